"""A node that follows: it applies the stream, watches for a leader, and stands for one where none is heard.

Nothing here is decided by a clock alone. Who has not heard the leader for a lease writes a record of a new term
behind the newest entry of the stream; the stream takes one of several, and refuses the old leader from there on.
"""

from __future__ import annotations

import logging
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import trio

from relay.cluster.beats import BEATS_PER_LEASE, Heard
from relay.cluster.faults import ungrouped
from relay.cluster.records import Kind, Record, parts
from relay.cluster.replica import Replica
from relay.cluster.stream import Entry, NoStream, Refused, Stream, Unreachable
from relay.protocol.errors import said
from relay.storage.errors import StorageFailed
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.cluster")

_BATCH_BYTES: Final = 4 << 20
"""How much is applied in one transaction by a node that catches up."""

_AHEAD: Final = 1024
"""Entries that are read ahead of what is applied."""

_DISK_PAUSE_SECONDS: Final = 1.0
_PURGE_SECONDS: Final = 1.0


Run = Callable[[Callable[[], int]], Awaitable[int]]
"""Runs a step that takes a while, and returns its number."""


class Follower:
    """One node while it does not lead.

    Args:
        name: of the node.
        heard: what it hears of the others.
        lease: seconds without a beat of the leader after which another stands for it.
        may_lead: returns whether this node may stand for the leader now.
        purge: removes copies of erased rows, as `relay.storage.replica.purging` returns it.
        run: runs a step of the replica's, off the event loop where there are threads.
        chance: returns a number from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        replica: Replica,
        stream: Stream,
        heard: Heard,
        lease: float,
        *,
        may_lead: Callable[[], bool] = lambda: True,
        purge: Callable[[sqlite3.Connection], bool] | None = None,
        run: Run = trio.to_thread.run_sync,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._replica = replica
        self._stream = stream
        self._heard = heard
        self._lease = lease
        self._may_lead = may_lead
        self._purge = purge
        self._run = run
        self._lock = trio.Lock()
        self._erased = Wakeup()
        self._chance = chance
        self._failing = ""
        self._applied = Wakeup()
        # What the replica says of itself changes on another thread, before the commit.
        self._place, self._position = replica.next_after, replica.position

    async def follow(self) -> None:
        """Follow until this node leads: its record of a new term is in the stream, and applied here.

        Raises:
            Diverged: the database needs a new copy.
            Missing: the stream no longer has what the database needs next.
            NoStream: the cluster has no stream.
        """
        self._heard.begin(self._replica.position.term)
        with ungrouped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._stand)
                if self._purge is not None:
                    self._erased.set()
                    nursery.start_soon(self._purge_soon, self._purge)
                leads = await self._apply_some()
                while not leads:  # the disk did not take it
                    await trio.sleep(_DISK_PAUSE_SECONDS)
                    leads = await self._apply_some()
                nursery.cancel_scope.cancel()

    async def _apply_some(self) -> bool:
        """Apply what comes until that says that this node leads; return False when the disk does not take it."""
        async with self._stream.entries(self._replica.next_after) as entries, trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel[Entry](_AHEAD)
            nursery.start_soon(_pass_on, entries, send)
            leads = False
            async with receive:
                async for entry in receive:
                    leads = await self._apply(_at_once(entry, receive)) and await self._leads()
                    if leads or self._failing:
                        break
                # First: a channel that is closed breaks a `send` that waits for room in it.
                nursery.cancel_scope.cancel()
        return leads

    async def _leads(self) -> bool:
        """Tell whether the newest record of the stream's newest term names this node; an older one may as well."""
        if self._replica.leader != self._name:
            return False
        try:
            return await self._stream.last() == self._replica.next_after
        except Unreachable:
            return False  # this node, or another, stands again after a lease

    async def _apply(self, entries: list[Entry]) -> bool:
        """Apply entries; return whether the disk took them."""
        term = self._position.term
        try:
            async with self._lock:
                await self._run(partial(self._replica.apply, entries))
        except sqlite3.Error as error:
            if not self._failing:
                self._failing = said(error)
                _log.error(
                    "the disk does not take the cluster's changes: %s; this node tries again every %g s",
                    *(self._failing, _DISK_PAUSE_SECONDS),
                )
            return False
        if self._failing:
            _log.warning("the disk takes the cluster's changes again")
            self._failing = ""
        self._place, self._position = self._replica.next_after, self._replica.position
        self._applied.set()
        if self._replica.erased:
            self._erased.set()
        if self._position.term != term:
            self._heard.begin(self._position.term)  # who has just been written down is given time to speak
        return True

    async def _purge_soon(self, purge: Callable[[sqlite3.Connection], bool]) -> None:
        """Remove the copies of what was erased, a moment after it was."""
        while True:
            await self._erased.wait()
            await trio.sleep(_PURGE_SECONDS)
            try:
                async with self._lock:
                    done = await self._run(partial(self._replica.purge, purge))
            except (sqlite3.Error, StorageFailed) as error:
                _log.warning("what was erased is purged later: %s", said(error))
                done = 0
            if not done:
                self._erased.set()

    def _is_silent(self) -> bool:
        return self._heard.silence() >= self._lease

    async def _stand(self) -> None:
        """Write this node down as the leader where none is heard for a lease; tried again until one is."""
        while True:
            # Not all at once: who is behind, or just unlucky, comes a little later.
            await trio.sleep(self._lease / BEATS_PER_LEASE * (0.25 + 0.5 * self._chance()))
            if not self._is_silent() or self._failing or not self._may_lead():
                continue
            try:
                await self._write_term(await self._stream.last())
            except (Unreachable, Refused, NoStream):
                continue  # the stream is away, or another was faster; its term is about to be read

    async def _write_term(self, last: int) -> None:
        """Append a record of the next term behind the newest entry, once this node has everything before it.

        Raises:
            Refused, Unreachable: as the stream says.
        """
        with trio.move_on_after(self._lease):
            while self._place < last:
                await self._applied.wait()
        if self._place != last or not self._is_silent():
            return
        before = self._position
        record = Record(Kind.TERM, before.number + 1, before.term + 1, before.digest, self._name.encode())
        append = partial(self._stream.append, parts(record, self._stream.most_bytes), last)
        await self._run(append)
        self._heard.begin(before.term)


def _at_once(first: Entry, more: trio.MemoryReceiveChannel[Entry]) -> list[Entry]:
    """Return an entry with those that wait behind it, some MiB at most."""
    found, size = [first], len(first.data)
    while size < _BATCH_BYTES:
        try:
            entry = more.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            break
        found.append(entry)
        size += len(entry.data)
    return found


async def _pass_on(entries: AsyncIterator[Entry], send: trio.MemorySendChannel[Entry]) -> None:
    async with send:
        async for entry in entries:
            await send.send(entry)
