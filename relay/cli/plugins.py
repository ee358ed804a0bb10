"""`relay plugins`: lists and checks plugins, ends a quarantine, and writes a new plugin to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from relay.cli.base import Failure, Group, json_option, load_settings, note, print_rows, printable
from relay.cli.database import perform


@click.group(cls=Group)
def plugins() -> None:
    """List, check and write plugins; resume one that was set aside because it failed too often.

    A plugin is one Python file; docs/plugins/writing.md tells how to write one.
    """


@plugins.command("list")
@json_option
def list_plugins(as_json: bool) -> None:
    """List the plugins that are there: running, set aside, left out, or off.

    With a running server this tells of that server's plugins; failures count since its start.
    """
    rows = perform("plugin.list")
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    print_rows(rows, ("name", "state", "source", "failures", "types"), as_json=False)
    for row in rows:
        if row["reason"]:
            click.echo(f"\n{row['name']}: {printable(row['reason'])}")
        if times := row["page_faults"]:
            click.echo(f"\n{row['name']}: its page module failed {times} times; the log says how")


@plugins.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(names: tuple[str, ...]) -> None:
    """Load the plugins NAME, or all that are enabled, as a start of the server does, and print what they add.

    Only their registration is run. Exit status 1 when one of them would be left out.
    """
    from relay.app.plugin_admin import checked

    broken = 0
    for row in checked(load_settings(), names):
        if row["reason"]:
            broken += 1
            note(f"{row['name']}: {row['reason']}")
        else:
            click.echo(f"{row['name']}: {row['adds']}")
            if remark := row.get("remark"):
                note(remark)
    if broken:
        raise Failure(f"{broken} would be left out")


@plugins.command()
@click.argument("name")
def resume(name: str) -> None:
    """Resume the plugin NAME, which the running server has set aside."""
    perform("plugin.resume", name=name)
    click.echo(f"{name}: running")


@plugins.command()
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write it.  [default: the first of [plugins] directories]",
)
@click.option("--page", is_flag=True, help="With a module by which relay's own page draws its messages.")
def new(name: str, directory: Path | None, page: bool) -> None:
    """Write a working plugin, NAME.py, and its test, test_NAME.py, to begin with.

    It adds a message type of its name, which the server knows from its next start on. With --page the plugin is
    the folder NAME, with a page module in it.
    """
    from relay.plugin.scaffold import BadName, write_plugin

    folders = load_settings().plugins.directories
    folder = directory or Path(folders[0] if folders else "plugins.d")
    try:
        written = write_plugin(name, folder, page=page)
    except (BadName, OSError) as error:
        raise Failure(str(error)) from None
    click.echo("\n".join(map(str, written)))
    sending = f'relay send USER \'{{"text": "hello"}}\' --type {name}'
    what = f"press the button beside the paper clip on the server's page, or: {sending}" if page else sending
    note(f"try it: pytest {written[-1]}; then start the server again, and: {what}")
