"""Builds a client from its options, runs it, and closes its parts in order."""

from __future__ import annotations

import os
import random
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from relay.client import address as addresses
from relay.client.backoff import Backoff
from relay.client.client import Client
from relay.client.inbox import Inbox
from relay.client.outbox import Outbox
from relay.client.persistence import Identity, Persistence, Run, in_thread
from relay.client.reconnector import ReconnectOptions, Reconnector
from relay.client.rest import RestClient
from relay.client.session import SessionOptions
from relay.client.state import Saved
from relay.client.websocket import Dial, WebSocket, dial_tcp, open_websocket

_OPEN_SECONDS: Final = 10.0
_READY_SECONDS: Final = 15.0
_WRITE_SECONDS: Final = 30.0
_INBOX_BYTES: Final = 32 * 1024 * 1024


def _random_id() -> str:
    return uuid.uuid4().hex


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


@asynccontextmanager
async def connect(
    url: str,
    token: str,
    *,
    client_id: str | None = None,
    state: Path | str | None = None,
    cursor: int | None = None,
    epoch: str | None = None,
    heartbeats: bool = True,
    backoff: Backoff | None = None,
    rng: random.Random | None = None,
    clock: Callable[[], float] = time.time,
    new_id: Callable[[], str] = _random_id,
    ssl_context: ssl.SSLContext | None = None,
    dial: Dial | None = None,
    run_in_thread: Run = in_thread,
    in_flight: int = 64,
    outbox_capacity: int = 10_000,
    inbox_capacity: int = 4096,
) -> AsyncIterator[Client]:
    """Open a client that connects, reconnects and resumes by itself until the block is left.

    The block is entered at once, connected or not; `Client.wait_live` waits. `state` names a file (or a
    directory for it) in which the outbox, the client id and the cursor outlive the process. `clock` (Unix
    seconds) stamps messages; `rng`, `new_id`, `dial` and `run_in_thread` are for tests. At most `in_flight`
    messages are on the wire without an answer: with 1, a message that is refused and tried again cannot be
    overtaken by a later one.

    Raises:
        ValueError: The url is not a server address.
        StateError: The state file cannot be used.
    """
    server = addresses.parse(url)
    persistence = Persistence(Path(os.fspath(state)) if state is not None else None, run_in_thread)
    session_options = SessionOptions(token, heartbeats, _READY_SECONDS)
    random_numbers = rng or random.Random()  # noqa: S311 - jitter, not a secret
    options = ReconnectOptions(session_options, backoff or Backoff(), random_numbers)
    open_stream = dial or (lambda: dial_tcp(server, ssl_context))

    async def open_one(nursery: trio.Nursery) -> WebSocket:
        return await open_websocket(
            nursery, server, open_stream, open_seconds=_OPEN_SECONDS, write_seconds=_WRITE_SECONDS
        )

    def make_rest() -> RestClient:
        return RestClient(server.base_url, token, ssl_context=ssl_context)

    saved = await persistence.open()
    try:
        identity = _identity(saved, client_id or _text(saved.facts.get("client_id")) or new_id(), epoch)
        inbox = _inbox(saved, cursor, inbox_capacity)
        outbox = _outbox(saved, persistence, options.delay, capacity=outbox_capacity, in_flight=in_flight)
        reconnector = Reconnector(open_one, options, identity, inbox, outbox, persistence.wake)
        client = Client(reconnector, identity, inbox, outbox, persistence, make_rest, clock, new_id)
        async with _running(client, reconnector):
            yield client
    finally:
        await persistence.close()


def _identity(saved: Saved, client_id: str, epoch: str | None) -> Identity:
    facts = saved.facts
    return Identity(
        client_id,
        _text(facts.get("session_id")),
        _text(facts.get("user_id")),
        epoch or _text(facts.get("epoch")),
    )


def _inbox(saved: Saved, cursor: int | None, capacity: int) -> Inbox:
    return Inbox(
        cursor=cursor if cursor is not None else _integer(saved.facts.get("cursor")),
        taken=saved.taken,
        max_events=capacity,
        max_bytes=_INBOX_BYTES,
    )


def _outbox(
    saved: Saved, persistence: Persistence, delay: Callable[[int], float], *, capacity: int, in_flight: int
) -> Outbox:
    outbox = Outbox(
        capacity=capacity,
        in_flight=in_flight,
        durable=persistence.durable,
        delay=delay,
        on_unsaved=persistence.wake,
    )
    outbox.restore(saved.outbox)
    return outbox


@asynccontextmanager
async def _running(client: Client, reconnector: Reconnector) -> AsyncIterator[None]:
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconnector.run)
        nursery.start_soon(client._keep_saving)
        await nursery.start(client._run_streams)
        try:
            yield
        except BaseException as error:
            # Raised again below: the nursery would wrap it in a group, and no `except RelayClosed` around the
            # block would ever catch it.
            raised = error
        with trio.CancelScope(shield=True):
            await client._finish(clean=raised is None)
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
