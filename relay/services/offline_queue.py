"""OfflineQueue: what a device has not had yet.

There is no copy per recipient. What waits for a device is what the log holds after its cursor; what
waits for a user is what comes after the highest ack of any of their devices. Acks arrive often and one
by one, so they are gathered and written once in a while, like messages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import trio

from relay.protocol.envelope import encode_json
from relay.protocol.framing import text_frame
from relay.services.history import envelope
from relay.storage import accounts, history, messages, replay, versions
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.replay import Gap

_SLICE: Final = 250
_SLICE_BYTES: Final = 131_072
"""What is read of a replay at once, in messages and in bytes."""

_ACK_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 5.0


class Delivered(NamedTuple):
    """What became delivered to a user: the newest seq of somebody else's in one conversation."""

    user_id: str
    channel_id: int
    address: str
    up_to_seq: int


class Resumption(NamedTuple):
    """How a connection begins: from where, whether that was the client's own cursor, and what it is owed."""

    resumed: bool
    start: int
    until: int
    message_ids: list[int]
    gaps: list[Gap]
    user_id: str


class OfflineQueue:
    """Plans and reads replays, and keeps what counts as delivered.

    Args:
        limit: the most stream messages of one replay.
        priority: a type's place in the order of a replay, lowest first.
        on_delivered: told what became delivered, after the commit.
        page_bytes: bound on what is undelivered in one answer; 0 means none.
    """

    def __init__(
        self,
        runner: Runner,
        epoch: str,
        limit: int,
        priority: Callable[[str], int],
        on_delivered: Callable[[list[Delivered]], None],
        page_bytes: int = 0,
    ) -> None:
        self._runner = runner
        self._limit = limit
        self._priority = priority
        self._on_delivered = on_delivered
        self._page_bytes = page_bytes or history.NO_BOUND
        self._acks: dict[tuple[str, str], int] = {}
        self._wake = trio.Event()
        self.epoch = epoch

    def plan(
        self, connection: sqlite3.Connection, user_id: str, cursor: int | None, epoch: str | None, until: int
    ) -> Resumption:
        """Decide where a connection begins and plan its replay up to position `until`; runs on a reader."""
        resumed = cursor is not None and cursor <= until and epoch in (None, self.epoch)
        start = cursor if resumed and cursor is not None else accounts.delivered(connection, user_id)
        planned = replay.plan(connection, user_id, start, until, self._limit, self._priority)
        return Resumption(resumed, start, until, *planned, user_id)

    async def frames(self, user_id: str, message_ids: Sequence[int]) -> AsyncIterator[bytes]:
        """Yield planned messages as frames, joined by the slice, so that a long replay needs little memory.

        The next slice is read when it is asked for: a peer that does not read is one slice's worth.
        """
        start = 0
        while start < len(message_ids):
            wanted = message_ids[start : start + _SLICE]
            read = await self._runner.read(partial(_slice, user_id=user_id, message_ids=wanted))
            start += read.taken
            yield b"".join(
                text_frame(encode_json(envelope(read.found[message_id], replay=True)))
                for message_id in wanted
                if message_id in read.found
            )

    async def undelivered(self, user_id: str, *, after: int | None, limit: int) -> dict[str, Any]:
        """Return the oldest messages that no device of the user acked, by priority; moves nothing."""

        def read(connection: sqlite3.Connection) -> replay.Undelivered:
            start = accounts.delivered(connection, user_id) if after is None else after
            window = replay.undelivered(connection, user_id, start, limit, self._priority, self._page_bytes)
            return window._replace(found=versions.as_seen(connection, user_id, window.found))

        window = await self._runner.read(read)
        frames = [
            envelope(window.found[message_id]) for message_id in window.message_ids if message_id in window.found
        ]
        return {"messages": frames, "cursor": window.cursor, "has_more": window.has_more}

    def ack_nowait(self, user_id: str, client_id: str, cursor: int) -> None:
        """Note how far a device got; written soon."""
        key = (user_id, client_id)
        self._acks[key] = max(self._acks.get(key, 0), cursor)
        self._wake.set()

    async def acknowledge(self, user_id: str, client_id: str, cursor: int) -> None:
        """Note how far a device got, and return once that is written; it never goes back.

        Raises:
            StorageFailed: the disk did not take it.
        """
        acks = {(user_id, client_id): cursor}
        if delivered := await self._runner.write(lambda connection: _move(connection, acks)):
            self._on_delivered(delivered)

    async def run(self) -> None:
        """Write acks for ever, many at a time."""
        while True:
            await self._wake.wait()
            await trio.sleep(_ACK_SECONDS)
            self._wake = trio.Event()
            if not await self.flush():
                self._wake.set()
                await trio.sleep(_RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write the acks that wait; tell whether the disk took them. What it did not take waits on."""
        acks, self._acks = self._acks, {}
        if not acks:
            return True
        try:
            delivered = await self._runner.write(lambda connection: _move(connection, acks))
        except StorageFailed:
            for (user_id, client_id), cursor in acks.items():
                self.ack_nowait(user_id, client_id, cursor)
            return False
        if delivered:
            self._on_delivered(delivered)
        return True


def _slice(connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int]) -> messages.Slice:
    read = messages.read_first(connection, message_ids, _SLICE_BYTES)
    return read._replace(found=versions.as_seen(connection, user_id, read.found))


def _move(connection: sqlite3.Connection, acks: dict[tuple[str, str], int]) -> list[Delivered]:
    delivered: list[Delivered] = []
    for (user_id, client_id), cursor in acks.items():
        before, after = accounts.move_acked(connection, user_id, client_id, cursor)
        if after > before and accounts.tells_receipts(connection, user_id):
            delivered += _newly_delivered(connection, user_id, before, after)
    return delivered


def _newly_delivered(connection: sqlite3.Connection, user_id: str, before: int, after: int) -> list[Delivered]:
    """Return what others told this user, in conversations of two, between two positions."""
    found: list[Delivered] = []
    for seen in history.read_views(connection, user_id):
        if seen.kind != "user":
            continue
        row = connection.execute(
            "SELECT message_id, seq FROM log WHERE channel_id = ? AND message_id <= ? AND sender_id <> ?"
            " ORDER BY seq DESC LIMIT 1",
            (seen.channel_id, after, user_id),
        ).fetchone()
        if row is not None and row[0] > before:
            found.append(Delivered(user_id, seen.channel_id, seen.address, row[1]))
    return found
