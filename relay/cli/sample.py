"""`relay sample`: people, groups and a conversation to try a new server with."""

from __future__ import annotations

import click

from relay.cli.base import Group, tell
from relay.cli.database import perform


@click.group(cls=Group)
def sample() -> None:
    """Add sample data to a server with one account, and remove it again."""


@sample.command()
@click.option("--language", type=click.Choice(("en", "fr")), default="en", show_default=True, help="Of its texts.")
def add(language: str) -> None:
    """Add four people, two groups and what they say in them, for the one account that there is.

    Nobody can sign in as one of these people. `relay sample remove` removes it all.
    """
    found = perform("sample.add", language=language)
    tell(f"sample: {len(found['users'])} users and {len(found['groups'])} groups added", **found)


@sample.command()
@click.option("--yes", is_flag=True, help="Really do it: what was said there is gone.")
def remove(yes: bool) -> None:
    """Remove the sample data, with everything that anybody said in its groups, or to its people."""
    if not yes:
        raise click.UsageError(
            "this removes the sample's people and groups, and all that was said to them; say --yes if you mean it"
        )
    perform("sample.remove")
    tell("sample: removed", removed=True)


@sample.command()
def show() -> None:
    """Tell whether the sample data is there."""
    found = perform("sample.show")
    if found["there"]:
        text = f"sample: there; {', '.join((*found['users'], *found['groups']))}"
    else:
        text = "sample: not there" + ("; `relay sample add` adds it" if found["offered"] else "")
    tell(text, **found)
