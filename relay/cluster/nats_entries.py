"""The stream's entries from one place on: pulled in batches, by a consumer that is made anew when it is lost.

A consumer is a place that NATS remembers; relay keeps its own place, so it has one only as long as it listens.
What is pulled waits here until it is taken; no more is asked for meanwhile, so little memory is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

import trio

from relay.cluster import nats_answers as api
from relay.cluster.nats_answers import Answer
from relay.cluster.nats_client import Connection, Message
from relay.cluster.stream import Entry, Missing, Unreachable
from relay.wakeup import Wakeup

_SECOND: Final = 1_000_000_000
_BATCH: Final = 512
_BATCH_BYTES: Final = 4 << 20
_PULL_SECONDS: Final = 30
_HEARTBEAT_SECONDS: Final = 0.5
_SILENT_SECONDS: Final = 2.0
"""A consumer that has said nothing for so long is lost."""

_FORGET_SECONDS: Final = 60
"""How long NATS remembers a consumer that nobody pulls from."""

_PAUSE_SECONDS: Final = 0.1
_SURE_SECONDS: Final = 1.0
_LOOKS: Final = 6
"""A stream counts as one that lacks entries after so many looks, with such pauses."""

_MAKE_SECONDS: Final = 1.0
_FEW: Final = 64
"""So many are asked for one by one, before there is a consumer: making one may take seconds where servers died."""

_PULLED: Final = ("408", "404")
"""The statuses of a pull that is over without having had all it asked for."""

_FULL: Final = "MaxBytes"
"""What the status 409 says where a pull is over because of its bytes; what else it says is the consumer's end."""


class Entries:
    """The entries behind one place.

    Args:
        look: asks for the stream's state, on asyncio's loop.
        stored: asks for the entry at a place; None where there is none.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        after: int,
        look: Callable[[], Awaitable[Answer]],
        stored: Callable[[int], Awaitable[bytes | None]],
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._look = look
        self._stored = stored
        self._last = after
        self._made = ""
        self._found: deque[Entry] = deque()
        self._come = Wakeup()
        self._wrong: Exception | None = None
        self._is_full = False
        self._bytes_come = 0  # each of the two is written by one thread
        self._bytes_taken = 0
        # Of the consumer of this moment:
        self._pulled = 0
        self._is_over = False
        self._is_heard = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Entry]]:
        """Pull as long as this lasts, and return what comes."""
        pulling = self._connection.loop.start(self._keep)
        try:
            async with aclosing(self._taken()) as taken:
                yield taken
        finally:
            pulling.cancel()

    async def _taken(self) -> AsyncGenerator[Entry, None]:
        while True:
            while self._found:
                entry = self._found.popleft()
                self._bytes_taken += len(entry.data)
                if self._is_full and self._is_half_empty():
                    self._connection.loop.soon(self._news.set)
                yield entry
                await trio.lowlevel.checkpoint()
            if self._wrong is not None:
                raise self._wrong
            await self._come.wait()

    def _is_half_empty(self) -> bool:
        waiting = self._bytes_come - self._bytes_taken
        return len(self._found) < _BATCH // 2 and waiting < _BATCH_BYTES // 2

    # On asyncio's loop.

    async def _keep(self) -> None:
        """Have one consumer after the other."""
        self._news = asyncio.Event()
        self._connection.changed.add(self._news)
        try:
            while True:
                try:
                    await self._take_few(await self._check())
                    await self._consume()
                except Unreachable:
                    pass
                await asyncio.sleep(_PAUSE_SECONDS)
        except Exception as error:
            self._wrong = error
            self._come.set()
        finally:
            self._connection.changed.discard(self._news)

    async def _check(self) -> int:
        """Look whether the stream has what comes next, and return the place of the newest entry.

        Raises:
            Missing: it has not, or it is another stream than before.
            NoStream: it is gone.
        """
        for _ in range(_LOOKS):
            answer = await self._look()
            state = answer.state
            if self._made not in ("", answer.created) or state.first_seq > self._last + 1:
                raise Missing
            if state.last_seq >= self._last:
                break
            # A new leader of the stream may not have it all in its first moments.
            await asyncio.sleep(_SURE_SECONDS)
        else:
            raise Missing
        self._made = answer.created
        return state.last_seq

    async def _take_few(self, newest: int) -> None:
        """Take the next entries one by one."""
        for place in range(self._last + 1, min(newest, self._last + _FEW) + 1):
            data = await self._stored(place) if self._is_half_empty() else None
            if data is None:
                return
            self._add(place, data)

    async def _consume(self) -> None:
        """Take entries until the consumer is lost."""
        times = self._connection.times
        self._is_over = False
        inbox = self._connection.inbox()
        number = await self._connection.listen(inbox, self._take)
        name = ""
        try:
            name = await self._make_consumer()
            while not self._is_over and times == self._connection.times:
                if self._pulled <= 0 and self._has_room():
                    await self._ask_for_more(name, inbox)
                await self._wait()
        finally:
            await self._connection.unlisten(number)
            if name:
                with suppress(Unreachable):  # NATS forgets it by itself, too
                    await self._connection.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}", b"")

    async def _make_consumer(self) -> str:
        config: dict[str, Any] = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._last + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": _FORGET_SECONDS * _SECOND,
            "num_replicas": 1,
            "mem_storage": True,
        }
        request = api.encode({"stream_name": self._stream, "config": config})
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}"
        answer = api.decode(await self._connection.request(subject, request, _MAKE_SECONDS))
        if answer.error is not None:
            raise Unreachable(answer.error.description)
        self._pulled = 0
        return answer.name

    def _has_room(self) -> bool:
        """Tell whether more may be asked for; if not, who takes an entry says so when there is room again."""
        self._is_full = True  # before the look: who takes one looks at this afterwards
        if not self._is_half_empty():
            return False
        self._is_full = False
        return True

    async def _ask_for_more(self, name: str, inbox: str) -> None:
        self._pulled = _BATCH
        body = {
            "batch": _BATCH,
            "max_bytes": _BATCH_BYTES,
            "expires": _PULL_SECONDS * _SECOND,
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * _SECOND),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{name}"
        await self._connection.publish(subject, api.encode(body), inbox)

    async def _wait(self) -> None:
        """Wait for news; a consumer of which something is asked, and that says nothing, is over."""
        self._is_heard, before = False, self._last
        try:
            async with asyncio.timeout(_SILENT_SECONDS if self._pulled > 0 else None):
                await self._news.wait()
        except TimeoutError:
            # One on a server that stood still may give signs of life, and none of what the stream has.
            self._is_over = self._is_over or not self._is_heard
            if self._last == before and not self._is_over:
                self._is_over = (await self._look()).state.last_seq > self._last
        self._news.clear()

    def _take(self, message: Message) -> None:
        self._is_heard = True
        if message.status:
            self._take_status(message)
            return
        self._pulled -= 1
        place = _place(message.reply)
        if place == self._last + 1:
            self._add(place, message.data)
        elif place > self._last:
            self._end()  # something between them is lost: a new consumer brings it, or finds that it is missing
        if self._pulled <= 0:
            self._news.set()

    def _add(self, place: int, data: bytes) -> None:
        self._last = place
        self._bytes_come += len(data)
        self._found.append(Entry(place, data))
        self._come.set()

    def _take_status(self, message: Message) -> None:
        if message.status in _PULLED or (message.status == "409" and _FULL in message.about):
            self._pulled = 0
            self._news.set()
        elif message.status != "100":
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._news.set()


def _place(reply: str) -> int:
    """Return an entry's place in the stream, from where its ack would go.

    ``$JS.ACK.STREAM.CONSUMER.DELIVERED.PLACE.…`` has nine parts; with a domain and an account before the stream,
    it has more (ADR-15 of NATS).
    """
    parts = reply.split(".")
    return int(parts[5] if len(parts) == 9 else parts[7])
