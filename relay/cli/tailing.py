"""`relay tail`: prints a user's events as they happen, one a line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.base import Command, Failure, note, printable
from relay.cli.connecting import connection_options, find_token, find_url

if TYPE_CHECKING:
    from relay.client import Client, Event, Gap

_WAIT_SECONDS: Final = 3.0
_PAUSE: Final = 1.0
_TEXTS: Final = ("chat_message", "group_message")


@click.command(cls=Command)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Whole envelopes, one JSON object a line.")
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="FILE", help="Keep the position in FILE over runs of tail."
)
@click.option("--cursor", type=click.IntRange(0), metavar="N", help="Start after the position N (a message_id).")
def tail(
    url: str | None,
    token: str | None,
    token_file: Path | None,
    as_json: bool,
    state: Path | None,
    cursor: int | None,
) -> None:
    """Print what the token's user receives, until it is stopped (Ctrl-C).

    It begins with what no device of the user has received yet, or at the place of --state or --cursor. Restarts of
    the server and lost connections lose nothing and repeat nothing; with --state, neither do its own restarts.
    What is printed counts as delivered.
    """
    write = _write_json if as_json else _write_text
    _run(find_url(url), find_token(token, token_file), state, cursor, write)


def _run(url: str, token: str, state: Path | None, cursor: int | None, write: Callable[[Event], None]) -> None:
    import trio

    from relay.client import RelayClosed, StateError, connect

    async def work() -> None:
        async with connect(url, token, state=state, cursor=cursor) as client:
            await _follow(client, url, write)

    try:
        trio.run(work)
    except RelayClosed as closed:
        raise Failure(f"{url}: {closed.reason or 'closed for good'} ({closed.code})") from None
    except (StateError, ValueError) as error:
        raise Failure(str(error)) from None
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt):
            raise click.Abort from None
        raise


async def _follow(client: Client, url: str, write: Callable[[Event], None]) -> None:
    """Print events until the client closes; a connection error is raised outside of any nursery."""
    import trio

    fault: Exception | None = None
    epoch = client.epoch
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_leave_when_told, client)
        nursery.start_soon(_say_when_waiting, client, url)
        try:
            async for event in client:
                for gap in event.gaps:
                    await _write_gap(client, gap, write)
                if event.type != "connection_event":
                    write(event)
                elif event.event == "ready":
                    if epoch not in (None, event.payload.get("epoch")):
                        note("the server has another database now; what it had before may be missing")
                    epoch = event.payload.get("epoch")
        except Exception as error:
            fault = error
        nursery.cancel_scope.cancel()
    if fault is not None:
        raise fault


async def _leave_when_told(client: Client) -> None:
    """Close the client at the first signal; the second one has Python's own effect."""
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _number in signals:
            break
    await client.goodbye()


async def _say_when_waiting(client: Client, url: str) -> None:
    import trio

    from relay.client import RelayClosed, StateError

    try:
        with trio.move_on_after(_WAIT_SECONDS):
            await client.wait_live()
            return
        note(f"waiting for {url}: {client.trouble or 'no answer yet'}")
    except (RelayClosed, StateError):
        return  # the iteration reports it


async def _write_gap(client: Client, gap: Gap, write: Callable[[Event], None]) -> None:
    """Fetch and print a gap of a limited replay; until that is done, the cursor stays before it."""
    import trio

    from relay.client import RelayError

    while True:
        try:
            for event in await client.fill(gap):
                write(event)
            return
        except RelayError as error:
            if not error.retry:
                note(
                    f"{gap.target_id}: messages {gap.from_seq} to {gap.to_seq} are not to be had: {error.message}"
                )
                return
            await trio.sleep(error.retry_after or _PAUSE)


def _write_json(event: Event) -> None:
    envelope = {"type": event.type, "payload": event.payload, "meta": event.meta}
    click.echo(json.dumps(envelope, ensure_ascii=False, separators=(",", ":")))


def _write_text(event: Event) -> None:
    at = "-" if event.timestamp is None else f"{datetime.fromtimestamp(event.timestamp):%Y-%m-%d %H:%M:%S}"
    way = " → ".join(name for name in (event.sender_id, event.target_id) if name)
    content = event.payload.get("content")
    if event.type in _TEXTS and isinstance(content, str):
        line = f"{at} {way}: {content}"
    else:
        line = f"{at} {way} [{event.type}] {json.dumps(event.payload, ensure_ascii=False)}"
    click.echo(printable(line))
