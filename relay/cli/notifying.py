"""`relay notify`: sends a notification to a user, a group or everybody."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from relay.cli.base import Command, tell
from relay.cli.database import perform

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Read a span of time such as 15m, as seconds."""
    if value is None:
        return None
    try:
        return float(value[:-1]) * _UNITS[value[-1:]]
    except (ValueError, KeyError):
        raise click.BadParameter(f"{value!r} is not a span of time; for example 90s, 15m, 2h or 7d") from None


@click.command(cls=Command)
@click.argument("target")
@click.argument("title")
@click.option("--body", metavar="TEXT", help="Text below the title.")
@click.option("--level", type=click.Choice(["info", "success", "warning", "error"]), help="How serious it is.")
@click.option("--data", metavar="JSON", help="A JSON object of your own, for applications.")
@click.option(
    "--expires-in",
    metavar="SPAN",
    callback=_seconds,
    help="When it expires: 90s, 15m, 2h or 7d from now.  [default: never]",
)
@click.option("--collapse-key", metavar="KEY", help="Replaces an older one of the same key and sender.")
@click.option("--as", "sender_id", metavar="USER", help="The sender.  [default: the first admin]")
def notify(
    target: str,
    title: str,
    body: str | None,
    level: str | None,
    data: str | None,
    expires_in: float | None,
    collapse_key: str | None,
    sender_id: str | None,
) -> None:
    """Send the notification TITLE to TARGET, a user, a group, or `*` for everybody, and print its id once stored.

    It works whether or not a server runs; users who are away get it first when they come back.
    """
    said = {"title": title, "body": body, "level": level, "collapse_key": collapse_key}
    payload: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if data is not None:
        try:
            payload["data"] = json.loads(data)
        except ValueError as error:
            raise click.UsageError(f"--data is a JSON object: {error}") from None
    stored = perform("notify", target_id=target, payload=payload, expires_in=expires_in, sender_id=sender_id)
    tell(f"notification {stored['message_id']} from {stored['sender_id']}", **stored)
