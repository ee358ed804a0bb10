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

import msgspec
import trio

from relay.cluster.records import Kind, Record, parts
from relay.cluster.replica import Replica
from relay.cluster.stream import Bus, Entry, NoStream, Refused, Stream, Unreachable
from relay.protocol.errors import said
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.cluster")

LEADER: Final = "leader"
"""The bus's subject of the leader's beats."""

NODES: Final = "nodes"
"""The bus's subject of the followers' beats."""

BEATS_PER_LEASE: Final = 4
_BATCH_BYTES: Final = 4 << 20
"""How much is applied in one transaction by a node that catches up."""

_DISK_PAUSE_SECONDS: Final = 1.0


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node says of itself a few times in a lease.

    Attributes:
        node: its name.
        term: the newest that it knows; the leader's own.
        number: the newest record that its database has.
        version: of its relay.
        address: where other nodes reach it, HOST:PORT.
        key: what proves to the leader that a node reads this bus.
        connections: how many clients it has.
        stops: whether the leader is about to stop, and waits for nobody's lease.
    """

    node: str
    term: int
    number: int
    version: str = ""
    address: str = ""
    key: str = ""
    connections: int = 0
    stops: bool = False


encode_beat: Final = msgspec.json.Encoder().encode
_decode_beat: Final = msgspec.json.Decoder(Beat).decode


def decode_beat(data: bytes) -> Beat | None:
    """Return a beat; None for bytes that are none, as a newer relay's may be."""
    try:
        return _decode_beat(data)
    except msgspec.MsgspecError:
        return None


class Follower:
    """One node while it does not lead.

    Args:
        name: of the node.
        lease: seconds without a beat of the leader after which another stands for it.
        run: runs a step of the replica's, off the event loop where there are threads.

    Attributes:
        beat: the leader's newest; None while none was heard.
        changed: set at each change of the leader or its term.
    """

    def __init__(
        self,
        name: str,
        replica: Replica,
        stream: Stream,
        bus: Bus,
        lease: float,
        *,
        run: Callable[[Callable[[], int]], Awaitable[int]] = trio.to_thread.run_sync,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._replica = replica
        self._stream = stream
        self._bus = bus
        self._lease = lease
        self._run = run
        self._chance = chance
        self._heard_at = trio.current_time()
        self._failing = ""
        self._applied = Wakeup()
        self.beat: Beat | None = None
        self.changed = Wakeup()

    @property
    def silent_for(self) -> float:
        """Seconds since the leader was heard."""
        return trio.current_time() - self._heard_at

    async def follow(self) -> None:
        """Follow until this node leads: its record of a new term is in the stream, and applied here.

        Raises:
            Diverged: the database needs a new copy.
            Missing: the stream no longer has what the database needs next.
            NoStream: the cluster has no stream.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._stand)
            await self._apply_all()
            nursery.cancel_scope.cancel()

    async def _apply_all(self) -> None:
        """Apply what comes until it says that this node leads."""
        while True:
            try:
                async with self._stream.entries(self._replica.next_after) as entries:
                    send, receive = trio.open_memory_channel[Entry](1024)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_pass_on, entries, send)
                        async with receive:
                            async for entry in receive:
                                await self._apply(_at_once(entry, receive))
                                if await self._leads():
                                    nursery.cancel_scope.cancel()
                                    return
            except sqlite3.Error as error:
                self._note_failing(f"the disk does not take the cluster's changes: {said(error)}")
                await trio.sleep(_DISK_PAUSE_SECONDS)

    async def _leads(self) -> bool:
        """Tell whether the newest record of the stream's newest term names this node; an older one may as well."""
        if self._replica.leader != self._name:
            return False
        try:
            return await self._stream.last() == self._replica.next_after
        except Unreachable:
            return False  # this node, or another, stands again after a lease

    async def _apply(self, entries: list[Entry]) -> None:
        term = self._replica.position.term
        with trio.CancelScope(shield=True):  # a thread cannot be cancelled
            await self._run(partial(self._replica.apply, entries))
        self._note_failing("")
        self._applied.set()
        if self._replica.position.term != term:
            self._heard_at = trio.current_time()  # who has just been written down is given time to speak
            self.changed.set()

    def _note_failing(self, reason: str) -> None:
        if reason and reason != self._failing:
            _log.error("%s; trying again every %g s", reason, _DISK_PAUSE_SECONDS)
        elif self._failing and not reason:
            _log.warning("the disk takes the cluster's changes again")
        self._failing = reason

    async def _listen(self) -> None:
        """Take note of the leader's beats."""
        async with self._bus.subscribe(LEADER) as beats:
            async for data in beats:
                beat = decode_beat(data)
                if beat is not None and beat.term >= self._replica.position.term and beat.node != self._name:
                    known, self.beat = self.beat, beat
                    self._heard_at = trio.current_time() - (self._lease if beat.stops else 0)
                    if known is None or (known.term, known.node, known.key) != (beat.term, beat.node, beat.key):
                        self.changed.set()

    async def _stand(self) -> None:
        """Write this node down as the leader where none is heard for a lease; tried again until one is."""
        while True:
            # Not all at once: who is behind, or just unlucky, comes a little later.
            await trio.sleep(self._lease / BEATS_PER_LEASE * (0.25 + 0.5 * self._chance()))
            if self.silent_for < self._lease or self._failing:
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
        replica = self._replica
        with trio.move_on_after(self._lease):
            while replica.next_after < last:
                await self._applied.wait()
        if replica.next_after != last or self.silent_for < self._lease:
            return
        before = replica.position
        record = Record(Kind.TERM, before.number + 1, before.term + 1, before.digest, self._name.encode())
        append = partial(self._stream.append, parts(record, self._stream.most_bytes), last)
        with trio.CancelScope(shield=True):
            await self._run(append)
        self._heard_at = trio.current_time()


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
