"""Putting a client together, and taking it apart in order."""

from __future__ import annotations

import os
import random
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from relay.client import address as addresses
from relay.client.backoff import Backoff
from relay.client.client import Client
from relay.client.inbox import Inbox
from relay.client.keeper import Identity, Keeper, Run, in_thread
from relay.client.link import Link, Patience
from relay.client.outbox import Outbox
from relay.client.rest import RestClient
from relay.client.session import Manners
from relay.client.state import Saved
from relay.client.wire import Dial, Wire, dial_tcp, open_wire

_OPEN_SECONDS = 10.0
_READY_SECONDS = 15.0
_WRITE_SECONDS = 30.0
_INBOX_BYTES = 32 * 1024 * 1024


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
    seconds) stamps messages; `rng`, `new_id`, `dial` and `run_in_thread` are for those who test. At most
    `in_flight` messages are on the wire without an answer: with 1, not even a refused and retried message can be
    overtaken by a later one.

    Raises:
        ValueError: The url is no server address.
        StateError: The state file cannot be used.
    """
    server = addresses.parse(url)
    keeper = Keeper(Path(os.fspath(state)) if state is not None else None, run_in_thread)
    patience = Patience(backoff or Backoff(), rng or random.Random())  # noqa: S311 - jitter, no secret
    reach = dial or (lambda: dial_tcp(server, ssl_context))

    async def open_one(nursery: trio.Nursery) -> Wire:
        return await open_wire(nursery, server, reach, open_seconds=_OPEN_SECONDS, write_seconds=_WRITE_SECONDS)

    def make_rest() -> RestClient:
        return RestClient(server.base_url, token, ssl_context=ssl_context)

    saved = await keeper.open()
    try:
        identity = _identity(saved, client_id or _text(saved.facts.get("client_id")) or new_id(), epoch)
        inbox = _inbox(saved, cursor, inbox_capacity)
        outbox = _outbox(saved, keeper, patience, capacity=outbox_capacity, in_flight=in_flight)
        manners = Manners(token, heartbeats, _READY_SECONDS)
        link = Link(open_one, manners, patience, identity, inbox, outbox, keeper.wake)
        client = Client(link, identity, inbox, outbox, keeper, make_rest, clock, new_id)
        async with _running(client, link):
            yield client
    finally:
        await keeper.close()


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
        most_events=capacity,
        most_bytes=_INBOX_BYTES,
    )


def _outbox(saved: Saved, keeper: Keeper, patience: Patience, *, capacity: int, in_flight: int) -> Outbox:
    outbox = Outbox(
        capacity=capacity,
        in_flight=in_flight,
        durable=keeper.durable,
        delay=lambda attempt: patience.backoff.delay(attempt, patience.rng),
    )
    outbox.on_unsaved = keeper.wake
    outbox.restore(saved.outbox)
    return outbox


@asynccontextmanager
async def _running(client: Client, link: Link) -> AsyncIterator[None]:
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        nursery.start_soon(client._keep_saving)
        try:
            yield
        except BaseException as error:
            # Raised again below: out of the nursery it would come wrapped in a group, and no one's
            # `except RelayClosed` around the block would ever catch it.
            raised = error
        with trio.CancelScope(shield=True):
            await client._finish(clean=raised is None)
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
