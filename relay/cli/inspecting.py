"""`relay may`: a verdict on what a user may do, and why."""

from __future__ import annotations

import json
import sys

import click

from relay.cli.base import Command, json_option, print_rows, printable
from relay.cli.database import perform
from relay.protocol.rights import ON_SERVER, Act


@click.command(cls=Command)
@click.argument("user_id", metavar="USER", required=False)
@click.argument("act", metavar="ACT", required=False)
@click.argument("target", metavar="TARGET", required=False)
@click.option("--acts", "list_acts", is_flag=True, help="List all acts instead.")
@json_option
def may(user_id: str | None, act: str | None, target: str | None, list_acts: bool, as_json: bool) -> None:
    """Say whether USER may do ACT, by which rule, in one sentence.

    TARGET is a group, another user, or '*'; an act on the server as a whole has none. Exit status: 0 they may,
    1 they may not.
    """
    if list_acts:
        from relay.services.inspector import ACTS

        rows = [
            {"act": one.value, "where": "server" if one in ON_SERVER else "conversation", "means": ACTS[one]}
            for one in Act
        ]
        print_rows(rows, ("act", "where", "means"), as_json=as_json)
        return
    if user_id is None or act is None:
        raise click.UsageError("give a USER and an ACT, or --acts")
    if act not in list(Act):
        raise click.UsageError(f"there is no act {act!r}; `relay may --acts` lists them")
    found = perform("may", user_id=user_id, act=act, target=target)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else printable(found["sentence"]))
    if not found["allowed"]:
        sys.exit(1)
