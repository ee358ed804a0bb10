"""`relay plugins`: lists, checks, enables, reloads and resumes plugins, and writes a new one to begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from relay.cli.base import (
    DEFAULT_CONFIG,
    Failure,
    Group,
    config_file,
    json_option,
    load_settings,
    note,
    print_rows,
    printable,
    tell,
    wants_json,
)
from relay.cli.database import ask_server, perform, server_runs
from relay.cli.jobs import jobs, run_job
from relay.cli.plugin_options import options
from relay.settings import SettingsError

if TYPE_CHECKING:
    from relay.app.plugin_settings import Edit


@click.group(cls=Group)
def plugins() -> None:
    """List, check, enable and write plugins; reload one, or resume one that was set aside.

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
        broken += bool(row["reason"])
        if wants_json():
            tell("", **row)
        elif row["reason"]:
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
    tell(f"{name}: running", name=name, state="running")


@plugins.command("set-aside")
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why, for the log and for other admins; up to 200 characters.")
def set_aside(name: str, reason: str | None) -> None:
    """Set the plugin NAME aside in the running server, as too many failures would.

    Its message types and calls are refused, and nothing of it runs, until `relay plugins resume`, a reload, or the
    next start.
    """
    ask_server("plugin.set_aside", name=name, **({} if reason is None else {"reason": reason}))
    tell(f"{name}: set aside", name=name, state="set aside")


@plugins.command()
@click.argument("name")
def reload(name: str) -> None:
    """Load the code and the options of the plugin NAME anew, in the running server; or a new plugin.

    What is in flight ends with the old code. If the new code cannot be loaded, the old one goes on, and the reason
    is printed.
    """
    _tell(ask_server("plugin.reload", name=name))


@plugins.command()
@click.argument("name")
def unload(name: str) -> None:
    """Take the plugin NAME out of the running server, until it is loaded again or the server is started anew."""
    _tell(ask_server("plugin.unload", name=name))


def _tell(changed: Mapping[str, Any]) -> None:
    """Print what became of a plugin."""
    told = [f"{changed['name']}: {changed['state']}"]
    for key, text in (("types_added", "new message types"), ("types_removed", "unknown from now on")):
        if changed[key]:
            told.append(f"{text}: {', '.join(changed[key])}")
    tell("; ".join(told), **changed)
    if changed["old_runs"]:
        note("a task of the old code has not ended yet; the new code's tasks begin once it has")


@plugins.command()
@click.argument("plugin", metavar="NAME|FILE")
@click.option("--dry-run", is_flag=True, help="Print the change of the settings file, and make none.")
def install(plugin: str, dry_run: bool) -> None:
    """Enable the plugin NAME, or the one in FILE, in the settings file; comments and layout stay.

    NAME is a bundled plugin or one of an installed package; FILE is a .py file, or the folder of a package.
    """
    from relay.app import plugin_settings

    edit = _edit(plugin_settings.install, plugin, dry_run=dry_run)
    if edit.changes and not dry_run:
        from relay.app.plugin_admin import checked

        for row in checked(load_settings(), (edit.name,)):
            if row["reason"]:
                note(f"it cannot be loaded yet: {row['reason']}")
        note(f"next: relay plugins reload {edit.name}" if server_runs() else "the next start loads it")


@plugins.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Print the change of the settings file, and make none.")
def remove(name: str, dry_run: bool) -> None:
    """Disable the plugin NAME in the settings file; its options and its tables in the database stay."""
    from relay.app import plugin_settings

    edit = _edit(plugin_settings.remove, name, dry_run=dry_run)
    if edit.changes and not dry_run and server_runs():
        note(f"next: relay plugins unload {edit.name}")


def _edit(change: Callable[..., Edit], plugin: str, *, dry_run: bool) -> Edit:
    """Change the settings file, and print what was done."""
    from relay.settings.toml_writer import NotWritten, SettingsFile

    settings = load_settings()
    try:
        file = SettingsFile(config_file() or DEFAULT_CONFIG)
        edit = change(file, plugin, settings, os.environ)
        if edit.changes and dry_run:
            if not wants_json():
                click.echo(file.difference())
        elif edit.changes:
            file.save(os.environ)
    except (NotWritten, SettingsError) as error:
        raise Failure(str(error)) from None
    told = f"would do: {edit.did}" if dry_run and edit.changes else edit.did
    difference = file.difference() if dry_run and edit.changes else ""
    tell(told, **edit._asdict(), difference=difference)
    return edit


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
    tell("\n".join(map(str, written)), name=name, files=[str(path) for path in written])
    sending = f'relay send USER \'{{"text": "hello"}}\' --type {name}'
    what = f"press the button beside the paper clip on the server's page, or: {sending}" if page else sending
    from relay.app.about import is_program

    # pytest is no part of the program; its test is for where relay-server[testing] is installed.
    trial = f"relay plugins check {name}" if is_program() else f"pytest {written[-1]}"
    note(f"try it: {trial}; then start the server again, and: {what}")


for command in (jobs, run_job, options):
    plugins.add_command(command)
