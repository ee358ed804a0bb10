"""OfflineQueue: replays what a device missed, and stores how far each device has got.

No message is copied per recipient. A device is owed what the log holds after its cursor; a user, what it holds
after the highest ack of any of their devices. Acks come often and one by one, so they are gathered and written
together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import trio

from relay.protocol.envelope import encode_json
from relay.protocol.framing import text_frame
from relay.services.envelopes import ALIKE, PerRecipient, envelopes
from relay.storage import accounts, devices, history, messages, replay, versions
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.replay import Gap
from relay.wakeup import Wakeup

_SLICE: Final = 250
_SLICE_BYTES: Final = 131_072
"""How much of a replay is read at once, in messages and in bytes."""

_ACK_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 5.0


class Delivered(NamedTuple):
    """A user has received a conversation of two up to this seq, a message of the other's."""

    user_id: str
    channel_id: int
    address: str
    up_to_seq: int


class Resumption(NamedTuple):
    """The start of a connection: its cursor, and the replay that it is owed.

    Attributes:
        resumed: whether it begins at the client's own cursor.
        start: the position at which it begins.
        until: the position up to which the replay brings it.
    """

    resumed: bool
    start: int
    until: int
    message_ids: list[int]
    gaps: list[Gap]
    user_id: str


class OfflineQueue:
    """Plans and reads replays, and stores acks.

    Args:
        epoch: names this database; a cursor of another one means nothing here.
        limit: the most stream messages in one replay.
        priority: returns a type's place in the order of a replay, lowest first.
        on_delivered: called after the commit with what users have received for the first time.
        page_bytes: the most bytes of messages in one answer; 0 means no limit.
        recipients: what plugins change for single recipients.
    """

    def __init__(
        self,
        runner: Runner,
        epoch: str,
        limit: int,
        priority: Callable[[str], int],
        on_delivered: Callable[[list[Delivered]], None],
        page_bytes: int = 0,
        recipients: PerRecipient = ALIKE,
    ) -> None:
        self._runner = runner
        self._limit = limit
        self._priority = priority
        self._on_delivered = on_delivered
        self._page_bytes = page_bytes or history.NO_BOUND
        self._acks: dict[tuple[str, str], int] = {}
        self._recipients = recipients
        self._wakeup = Wakeup()
        self.epoch = epoch

    def plan(
        self, connection: sqlite3.Connection, user_id: str, cursor: int | None, epoch: str | None, until: int
    ) -> Resumption:
        """Decide where a connection begins, and plan its replay up to and including position `until`."""
        resumed = cursor is not None and cursor <= until and epoch in (None, self.epoch)
        start = cursor if resumed and cursor is not None else devices.delivered(connection, user_id)
        if start >= until:
            return Resumption(resumed, start, until, [], [], user_id)  # nothing was stored since
        planned = replay.plan(connection, user_id, start, until, self._limit, self._priority)
        return Resumption(resumed, start, until, *planned, user_id)

    async def frames(self, user_id: str, message_ids: Sequence[int]) -> AsyncGenerator[bytes, None]:
        """Yield planned messages as frames, a slice of many at a time.

        The next slice is read when it is asked for, so a peer that does not read costs the memory of one.
        """
        start = 0
        while start < len(message_ids):
            wanted = message_ids[start : start + _SLICE]
            read = await self._runner.read(partial(_slice, user_id=user_id, message_ids=wanted))
            start += read.taken
            records = [read.found[message_id] for message_id in wanted if message_id in read.found]
            shown = envelopes(records, user_id, self._recipients, replay=True)
            yield b"".join(text_frame(encode_json(one)) for one in shown)

    async def undelivered(self, user_id: str, *, after: int | None, limit: int) -> dict[str, Any]:
        """Return the oldest messages that no device of the user has acked, by priority. It acks nothing."""

        def read(connection: sqlite3.Connection) -> replay.Undelivered:
            start = devices.delivered(connection, user_id) if after is None else after
            window = replay.undelivered(connection, user_id, start, limit, self._priority, self._page_bytes)
            return window._replace(found=versions.as_seen(connection, user_id, window.found))

        window = await self._runner.read(read)
        records = [window.found[message_id] for message_id in window.message_ids if message_id in window.found]
        shown = envelopes(records, user_id, self._recipients)
        return {"messages": shown, "cursor": window.cursor, "has_more": window.has_more}

    def ack_nowait(self, user_id: str, client_id: str, cursor: int) -> None:
        """Note how far a device has got; it is written soon."""
        key = (user_id, client_id)
        self._acks[key] = max(self._acks.get(key, 0), cursor)
        self._wakeup.set()

    async def acknowledge(self, user_id: str, client_id: str, cursor: int) -> None:
        """Write how far a device has got; it never goes back.

        Raises:
            StorageFailed: the disk did not take it.
        """
        acks = {(user_id, client_id): cursor}
        if delivered := await self._runner.write(lambda connection: _move(connection, acks)):
            self._on_delivered(delivered)

    async def run(self) -> None:
        """Write acks for ever, many at a time."""
        while True:
            await self._wakeup.wait()
            await trio.sleep(_ACK_SECONDS)
            self._wakeup.clear()  # the acks that came meanwhile are written now
            if not await self.flush():
                await trio.sleep(_RETRY_SECONDS)

    async def flush(self) -> bool:
        """Write the acks that wait; return False if the disk did not take them, and they wait on."""
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
        before, after = devices.move_acked(connection, user_id, client_id, cursor)
        if after > before and accounts.tells_receipts(connection, user_id):
            delivered += _newly_delivered(connection, user_id, before, after)
    return delivered


def _newly_delivered(connection: sqlite3.Connection, user_id: str, before: int, after: int) -> list[Delivered]:
    """Return the conversations of two in which the other wrote between two positions."""
    found: list[Delivered] = []
    for seen in history.read_views(connection, user_id):
        if seen.kind != "user":
            continue
        newest = messages.newest_from_others(connection, seen.channel_id, user_id, after)
        if newest is not None and newest.message_id > before:
            found.append(Delivered(user_id, seen.channel_id, seen.address, newest.seq))
    return found
