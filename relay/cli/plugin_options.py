"""`relay plugins options`: the options of a plugin, and changes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from relay.cli.base import Command, json_option, print_rows
from relay.cli.database import ask_server, perform


@click.command("options", cls=Command)
@click.argument("name")
@click.option(
    "--set",
    "given",
    metavar="OPTION=VALUE",
    multiple=True,
    help="Give an option a value: JSON, or else a text; may be repeated.",
)
@click.option("--default", "reset", metavar="OPTION", multiple=True, help="Take an option back to its default.")
@json_option
def options(name: str, given: tuple[str, ...], reset: tuple[str, ...], as_json: bool) -> None:
    """Show the options of the plugin NAME, or change some of them.

    A change is checked by the plugin, written to the settings file, whose comments stay, and the running server
    loads the plugin anew with it. Secrets are shown as (redacted).
    """
    changes = dict(_changes(given, reset))
    if changes:
        without = f"change [plugins.{name}] in the settings file, which the next start reads"
        ask_server("plugin.set_options", without=without, name=name, changes=changes)
        told = {"name": name, "changed": list(changes)}
        click.echo(json.dumps(told) if as_json else f"{name}: {', '.join(changes)} changed; loaded anew")
        return
    rows = perform("plugin.options", name=name)
    shown = rows if as_json else [row | {"value": json.dumps(row["value"], ensure_ascii=False)} for row in rows]
    print_rows(shown, ("option", "value", "origin", "description"), as_json=as_json)


def _changes(given: Sequence[str], reset: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield options with their new values; None for the default."""
    for text in given:
        option, equals, value = text.partition("=")
        if not option or not equals:
            raise click.BadParameter(f"{text!r} is not OPTION=VALUE; for example --set results=20")
        if option in reset:
            raise click.BadParameter(f"{option} is in --set and in --default; give one of them")
        yield option, _value(value)
    for option in reset:
        yield option, None


def _value(text: str) -> Any:
    """Return what a text means as JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
