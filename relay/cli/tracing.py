"""`relay trace`: what became of one message, who has it, who waits for it, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from relay.cli.base import Command, json_option, printable
from relay.cli.database import perform

_PAGE = 200


@click.command("trace", cls=Command)
@click.argument("message_id", type=click.IntRange(1, (1 << 53) - 1))
@click.option("--user", metavar="USER", help="Only what became of it for this user.")
@json_option
def trace(message_id: int, user: str | None, as_json: bool) -> None:
    """Tell what became of the message MESSAGE_ID: who has it, who waits for it, and why.

    What it says is not shown. With --json, the first line is the message, and each further line one recipient.
    Without a running server nobody is connected.
    """
    page = perform("trace", message_id=message_id, user=user, limit=_PAGE)
    if as_json:
        head = {key: page[key] for key in ("message", "events", "counts")}
        click.echo(json.dumps(head, ensure_ascii=False))
    else:
        click.echo("\n".join(map(printable, _head(page))))
    while True:
        for one in page["recipients"]:
            lines = [json.dumps(one, ensure_ascii=False)] if as_json else map(printable, _recipient(one))
            click.echo("\n".join(lines))
        if page["next"] is None:
            return
        page = perform("trace", message_id=message_id, user=user, after=page["next"], limit=_PAGE)


def _head(page: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on the message as a whole."""
    message, counts = page["message"], page["counts"]
    size = "erased" if message["bytes"] is None else f"{message['bytes']} bytes"
    yield f"message {message['message_id']}: {message['type']} in {message['conversation']}, {size}"
    if (commit := message["commit"]) is not None:
        took = f"{commit['seconds'] * 1000:.1f} ms"
        yield f"stored with messages {commit['first']} to {commit['last']} in one transaction, which took {took}"
    for event in page["events"]:
        at = "" if event["at"] is None else f"{datetime.fromtimestamp(event['at'], UTC):%Y-%m-%d %H:%M:%SZ}"
        teller = f" ({event['plugin']})" if event["plugin"] else ""
        yield f"{at:20}  {event['text']}{teller}"
    yield f"for {counts['members']} others: {counts['delivered']} have it, {counts['read']} show that they read it"


def _recipient(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on one recipient."""
    yield f"{one['user_id']}: {one['text']}"
    for device in one["devices"]:
        yield f"    {device['state']:10}  {device['text']}"
    for note in one["notes"]:
        yield f"    {note['plugin']}: {note['text']}"
