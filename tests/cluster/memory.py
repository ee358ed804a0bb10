"""A stream and a bus in memory, for nodes on one event loop; they do what JetStream promises, and fail on command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import trio

from relay.cluster.stream import Entry, Missing, NoStream, Refused, Unreachable


class MemoryLog:
    """What all nodes' streams have in common: the entries, and what nodes say to each other.

    Attributes:
        entries: all that were appended; `None` stands for one that is no longer kept.
        exists: whether the stream was made.
    """

    def __init__(self, *, exists: bool = True) -> None:
        self.entries: list[bytes | None] = []
        self.exists = exists
        self.more = trio.Event()
        self.listeners: dict[str, set[trio.MemorySendChannel[bytes]]] = defaultdict(set)

    def append(self, data: bytes) -> None:
        self.entries.append(data)
        self.more.set()
        self.more = trio.Event()


class MemoryStream:
    """One node's way to the stream.

    Attributes:
        cut: whether nothing gets through.
        lose: appends that happen, and of which the node is told nothing.
    """

    most_bytes = 4096

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.cut = False
        self.lose = 0

    def append(self, parts: Sequence[bytes], expected: int) -> int:
        for part in parts:
            if self.cut or not self.log.exists:
                raise Unreachable("no NATS server answers")
            if len(self.log.entries) != expected:
                raise Refused
            self.log.append(part)
            expected += 1
        if self.lose:
            self.lose -= 1
            raise Unreachable("no answer came")
        return expected

    async def last(self) -> int:
        await trio.lowlevel.checkpoint()
        if self.cut:
            raise Unreachable("no NATS server answers")
        if not self.log.exists:
            raise NoStream
        return len(self.log.entries)

    @asynccontextmanager
    async def entries(self, after: int) -> AsyncIterator[AsyncIterator[Entry]]:
        if not self.log.exists:
            raise NoStream
        async with aclosing(self._read(after)) as entries:
            yield entries

    async def _read(self, after: int) -> AsyncGenerator[Entry]:
        while True:
            more = self.log.more
            while after < len(self.log.entries) and not self.cut:
                data = self.log.entries[after]
                if data is None:
                    raise Missing
                after += 1
                await trio.lowlevel.checkpoint()
                yield Entry(after, data)
            with trio.move_on_after(0.05 if self.cut else float("inf")):
                await more.wait()

    async def create(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.cut:
            raise Unreachable("no NATS server answers")
        self.log.exists = True


class MemoryBus:
    """One node's way to the bus."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.cut = False

    async def publish(self, subject: str, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if not self.cut:
            for listener in list(self.log.listeners[subject]):
                with suppress(trio.WouldBlock):
                    listener.send_nowait(data)

    @asynccontextmanager
    async def subscribe(self, subject: str) -> AsyncIterator[trio.MemoryReceiveChannel[bytes]]:
        send, receive = trio.open_memory_channel[bytes](100)
        own, mine = trio.open_memory_channel[bytes](100)
        self.log.listeners[subject].add(send)
        try:
            async with trio.open_nursery() as nursery:

                async def pass_on() -> None:
                    async for data in receive:
                        if not self.cut:
                            await own.send(data)

                nursery.start_soon(pass_on)
                yield mine
                nursery.cancel_scope.cancel()
        finally:
            self.log.listeners[subject].discard(send)
