"""`relay connections`: who is connected to the running server, and the end of one connection."""

from __future__ import annotations

from typing import Any

import click

from relay.cli.base import Group, json_option, print_rows, tell
from relay.cli.database import ask_server

_PAGE = 1000
_COLUMNS = ("user_id", "client_id", "agent", "address", "since_at", "waiting", "sent", "acked")


@click.group(cls=Group)
def connections() -> None:
    """List who is connected to the running server, or end one connection."""


@connections.command("list")
@click.option("--user", metavar="USER", help="Only connections of this user.")
@json_option
def list_connections(user: str | None, as_json: bool) -> None:
    """List the connections of now, by user and device.

    WAITING frames have not gone out to a device yet. ACKED is the position up to which it has said that it has
    all, SENT the one up to which it was sent what concerns it.
    """
    rows: list[dict[str, Any]] = []
    while True:
        after = rows[-1]["key"] if rows else ""
        page = ask_server("connection.list", without="nobody is connected", user_id=user, after=after, limit=_PAGE)
        rows += page
        if len(page) < _PAGE:
            break
    shown = [{name: value for name, value in row.items() if name != "key"} for row in rows]
    if not as_json:
        shown = [row | {"since_at": row["since"]} for row in shown]
    print_rows(shown, _COLUMNS, as_json=as_json)


@connections.command()
@click.argument("user", metavar="USER")
@click.argument("client_id")
def end(user: str, client_id: str) -> None:
    """End the connection of USER with the device CLIENT_ID.

    Nothing is revoked: its program comes back after a while, and resumes. `relay user revoke-device` signs it out.
    """
    ask_server("connection.end", without="nobody is connected", user_id=user, client_id=client_id)
    tell(f"connection of {user} with {client_id}: ended", user_id=user, client_id=client_id)
