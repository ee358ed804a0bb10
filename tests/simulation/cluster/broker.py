"""The simulated message system: one stream that all nodes append to, and a bus that may lose what is said on it.

It does what `relay.cluster.stream` promises and no more: an answer may be lost, what was appended may come to stand
there later, an entry may come twice, a beat may come late or not at all.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import trio

from relay.cluster.stream import Entry, Missing, Refused, Unreachable
from tests.simulation.cluster.watch import StreamWatch
from tests.simulation.network import DELAYS, Trace

Fault = Literal["never", "lost", "late", "half"]
"""What may become of an append of which the node is told nothing: nothing, all of it, all of it later, or a part."""

FAULTS: tuple[Fault, ...] = ("never", "lost", "late", "half")
_LATE = (0.001, 0.02, 0.3, 2.0, 6.0)
_TWICE = 0.06
"""How often a node is given entries again that it had."""

_WAITING = 100
"""Messages of the bus that wait for a node that does not take them."""


class Line:
    """One node's line to the message system, and whether its process runs.

    Attributes:
        cut: whether nothing gets through.
        frozen: whether the process is stopped, and neither speaks nor hears.
        faults: what becomes of the next appends.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.cut = self.frozen = False
        self.faults: deque[Fault] = deque()
        self._lot = trio.lowlevel.ParkingLot()

    async def running(self) -> None:
        """Wait while the process is stopped."""
        while self.frozen:
            await self._lot.park()

    def thaw(self) -> None:
        """Have the process go on."""
        self.frozen = False
        self._lot.unpark_all()


class Broker:
    """What all nodes' lines lead to.

    Attributes:
        entries: all that were appended; `None` stands for one that is no longer kept.
        first: how many are no longer kept.
        away: whether it answers nobody.
        lossy: the share of the bus's messages that are lost.
        slowness: what delays are multiplied by.
        most_bytes: the most bytes that an entry has.
    """

    def __init__(self, rng: random.Random, trace: Trace, watch: StreamWatch) -> None:
        self.rng = rng
        self.watch = watch
        self._trace = trace
        self.entries: list[bytes | None] = []
        self.first = 0
        self.away = False
        self.lossy = 0.0
        self.slowness = 1.0
        self.most_bytes = rng.choice([700, 4096, 65_536])
        self.changed = trio.lowlevel.ParkingLot()
        self.listeners: dict[str, list[_Ear]] = {}
        self.nursery: trio.Nursery

    def reaches(self, line: Line) -> bool:
        """Return whether a node gets an answer."""
        return not (self.away or line.cut)

    def heal(self) -> None:
        """Lose nothing more, and be quick."""
        self.away, self.lossy, self.slowness = False, 0.0, 1.0
        self.changed.unpark_all()

    async def delay(self) -> None:
        """Let the network's time pass."""
        await trio.sleep(self.rng.choice(DELAYS) * self.slowness)

    def append(self, author: str, data: bytes, expected: int) -> bool:
        """Append an entry behind the place `expected`; return False if something is there already."""
        if len(self.entries) != expected:
            return False
        self.entries.append(data)
        self._trace.note(f"entry {len(self.entries)} of {author}", data)
        self.watch.take(author, len(self.entries), data)
        self.changed.unpark_all()
        return True

    def append_all(self, author: str, parts: Sequence[bytes], expected: int) -> int | None:
        """Append entries one after the other; return the last one's place, or None where one was refused."""
        for part in parts:
            if not self.append(author, part, expected):
                return None
            expected = len(self.entries)
        return expected

    async def append_late(self, author: str, parts: Sequence[bytes], expected: int) -> None:
        """Append entries after a while, each unless something else has come first."""
        await trio.sleep(self.rng.choice(_LATE))
        self.append_all(author, parts, expected)

    def purge(self, kept: int) -> int:
        """Keep the newest entries only; return how many are gone by now."""
        self.first = max(self.first, len(self.entries) - kept)
        self.entries[: self.first] = [None] * self.first
        return self.first

    def publish(self, subject: str, data: bytes) -> None:
        """Send to all nodes that listen; some of it is lost, or late."""
        for ear in self.listeners.get(subject, ()):
            if self.rng.random() >= self.lossy:
                ear.arrives(data, self.rng.choice(DELAYS) * self.slowness)


class ModelStream:
    """One node's way to the stream."""

    def __init__(self, broker: Broker, line: Line) -> None:
        self._broker = broker
        self._line = line

    @property
    def most_bytes(self) -> int:
        """The most bytes that an entry has."""
        return self._broker.most_bytes

    def append(self, parts: Sequence[bytes], expected: int) -> int:
        """Append entries behind the place `expected`, and return the place of the last one.

        Raises:
            Refused: there is something behind `expected` already.
            Unreachable: it is not known whether they are there.
        """
        broker, line = self._broker, self._line
        if not broker.reaches(line):
            raise Unreachable("no simulated server answers")
        if line.faults:
            self._fail(line.faults.popleft(), parts, expected)
            raise Unreachable("the answer is lost")
        last = broker.append_all(line.name, parts, expected)
        if last is None:
            raise Refused
        return last

    def _fail(self, fault: Fault, parts: Sequence[bytes], expected: int) -> None:
        """Let become of an append what its fault says."""
        broker, name = self._broker, self._line.name
        at_once = {"never": 0, "late": 0, "lost": len(parts), "half": broker.rng.randrange(len(parts) + 1)}[fault]
        there = broker.append_all(name, parts[:at_once], expected)
        later = fault == "late" or (fault == "half" and broker.rng.random() < 0.5)
        if there is not None and later:
            broker.nursery.start_soon(broker.append_late, name, parts[at_once:], there)

    async def last(self) -> int:
        """Return the place of the newest entry, which may be no longer the newest when it comes.

        Raises:
            Unreachable: there was no answer.
        """
        broker, line = self._broker, self._line
        await line.running()
        await broker.delay()
        last, reached = len(broker.entries), broker.reaches(line)
        await broker.delay()
        await line.running()
        if not (reached and broker.reaches(line)):
            raise Unreachable("no simulated server answers")
        return last

    @asynccontextmanager
    async def entries(self, after: int) -> AsyncIterator[AsyncIterator[Entry]]:
        """Return all entries behind the place `after` as they come; some of them twice."""
        yield _Feed(self._broker, self._line, after)

    async def create(self) -> None:
        """Make the stream, which is there already."""
        await trio.lowlevel.checkpoint()


class _Feed:
    """The entries behind a place, as they come.

    Raises:
        Missing: they are no longer kept.
    """

    def __init__(self, broker: Broker, line: Line, after: int) -> None:
        self._broker = broker
        self._line = line
        self._start = self._after = after

    def __aiter__(self) -> _Feed:
        return self

    async def __anext__(self) -> Entry:
        broker = self._broker
        await trio.lowlevel.checkpoint()
        while True:
            await self._line.running()
            if self._after >= len(broker.entries) or not broker.reaches(self._line):
                await broker.changed.park()
                continue
            if self._after < broker.first:
                raise Missing
            if broker.rng.random() < _TWICE:  # the connection was made again
                self._after = max(self._start, broker.first, self._after - broker.rng.randrange(1, 4))
            await broker.delay()
            data = broker.entries[self._after] if broker.reaches(self._line) else None
            if data is not None:
                self._after += 1
                await self._line.running()
                return Entry(self._after, data)


class ModelBus:
    """One node's way to the bus."""

    def __init__(self, broker: Broker, line: Line) -> None:
        self._broker = broker
        self._line = line

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to all nodes that listen; lost where this one is cut off."""
        await trio.lowlevel.checkpoint()
        await self._line.running()
        if self._broker.reaches(self._line):
            self._broker.publish(subject, data)

    @asynccontextmanager
    async def subscribe(self, subject: str) -> AsyncIterator[trio.MemoryReceiveChannel[bytes]]:
        """Return what comes to `subject`."""
        send, receive = trio.open_memory_channel[bytes](_WAITING)
        ear = _Ear(self._broker, self._line, send)
        ears = self._broker.listeners.setdefault(subject, [])
        ears.append(ear)
        self._broker.nursery.start_soon(ear.listen)
        try:
            yield receive
        finally:
            ears.remove(ear)
            ear.scope.cancel()


class _Ear:
    """What is on its way from the bus to one listener, in the order in which it was sent."""

    def __init__(self, broker: Broker, line: Line, send: trio.MemorySendChannel[bytes]) -> None:
        self._broker = broker
        self._line = line
        self._send = send
        self._arriving: deque[tuple[float, bytes]] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self.scope = trio.CancelScope()

    def arrives(self, data: bytes, seconds: float) -> None:
        """Take what comes in so many seconds, behind what came before."""
        due = trio.current_time() + seconds
        if self._arriving:
            due = max(due, self._arriving[-1][0])
        self._arriving.append((due, data))
        self._lot.unpark_all()

    async def listen(self) -> None:
        """Hand on what has come, unless the node is cut off then."""
        with self.scope:
            while True:
                while not self._arriving:
                    await self._lot.park()
                await trio.sleep_until(self._arriving[0][0])
                reached = self._broker.reaches(self._line)
                await self._line.running()
                _, data = self._arriving.popleft()
                if reached:
                    try:
                        self._send.send_nowait(data)
                    except (trio.WouldBlock, trio.BrokenResourceError):
                        continue
