"""One WebSocket, the server's end: it reads messages, writes what waits for the peer, and closes.

Reading. A whole text frame, as nearly every frame is, is read here: the library takes 15 µs of CPU for one,
this takes 3. Everything else goes to the library, by `odd_frames.py`, which is made when the first such frame
comes. A text is handed to the session where it is read, not through a queue and a second task. One read may bring
thousands of frames, from somebody who has not even said hello, so the reading task pauses after some, for the
others' sake.

Writing. Two queues go out through here. *Direct* bytes are the session's and the library's own: the handshake,
`ready`, the replay, pongs, the close. The *outbox* is what the rest of the server sends; it is held back until the
replay is over. A write is tried at once, without a task: on a healthy connection the kernel takes it, and
that is the whole cost of a delivery. Only when it does not is a task started to wait, under a deadline, while
the outbox, which is bounded, fills.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import trio

from relay.protocol.errors import CLOSE_REASONS, CloseCode
from relay.protocol.framing import read_text_frame
from relay.protocol.outbox import Outbox
from relay.transports.odd_frames import FRAMES_BETWEEN_PAUSES, OddFrames
from relay.transports.peer import PeerStream

_CHUNK: Final = 65536
_LEAVING: Final = (1000, 1001)
"""What a peer closes with when its user leaves, as a page that is closed does (RFC 6455 section 7.4.1)."""


class Receiver(Protocol):
    """The session that a WebSocket belongs to."""

    async def on_text(self, text: str) -> None:
        """Take one text message; raises nothing that a peer could cause."""

    def on_end(self) -> None:
        """Leave: the end of the connection is decided."""


class WebSocket(trio.abc.Stream):
    """The server's end of one WebSocket, which is also the stream that the library reads and writes.

    Args:
        nursery: the connection's own; what must wait, waits there.
        outbox: what the rest of the server sends; held back at first.
        receiver: takes what is read.
        max_bytes: bound on a message, all its fragments together.
        small_per_second: pings, pongs and small fragments that the peer may send; 0 means no limit.
        close_seconds: how long the peer has to answer a close.
        on_binary: takes a binary message; without it the first one ends the connection.

    Attributes:
        open: whether what is in the outbox is sent.
        ending: the code and the reason that the server closes with; None until that is decided.
        peer_closed: the code that the peer closed with; None while it did not.
        closed: set when the connection is over.
    """

    __slots__ = (
        "_close_seconds", "_direct", "_library_reads", "_made", "_max_bytes", "_nursery", "_receiver",
        "_small_per_second", "_writing", "closed", "ending", "on_binary", "open", "outbox", "peer", "peer_closed",
    )  # fmt: skip

    def __init__(
        self,
        peer: PeerStream,
        nursery: trio.Nursery,
        outbox: Outbox,
        receiver: Receiver,
        *,
        max_bytes: int,
        small_per_second: int,
        close_seconds: float,
        on_binary: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self.peer = peer
        self.on_binary = on_binary
        self.outbox = outbox
        self.open = False
        self.ending: tuple[CloseCode, str] | None = None
        self.peer_closed: int | None = None
        self.closed = trio.Event()
        self._nursery = nursery
        self._receiver = receiver
        self._max_bytes = max_bytes
        self._close_seconds = close_seconds
        self._direct = bytearray()
        self._writing: trio.Event | None = None
        """Set when the task that writes is done; None while there is none."""
        self._small_per_second = small_per_second
        self._made: OddFrames | None = None
        self._library_reads = False
        """Whether the library was given bytes, and may stand in the middle of a message or a frame."""

    # Reading.

    @property
    def _odd_frames(self) -> OddFrames:
        """The library's part, made at first need: until a pong or a close comes it is 5 KiB for nothing."""
        if self._made is None:
            self._made = OddFrames(self, self._max_bytes, self._small_per_second)
        return self._made

    async def run(self) -> None:
        """Read until the connection is over, and end everything else on it."""
        try:
            async with self.closing_on_faults():
                if self._library_reads or await self._read_texts():
                    await self._odd_frames.run()
        finally:
            self.cut()

    async def _read_texts(self) -> bool:
        """Read whole text frames; return whether the peer has sent what the library must read from there on."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.peer.receive_some(_CHUNK):
                if rest := await self._take_text_frames(data):
                    self.peer.unread(rest)
                    return True
        return False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what the library must read; whole text frames that come before it are handed over here.

        There is no deadline: the heartbeat ends a connection whose peer is silent.
        """
        while True:
            if self._library_reads:
                self._odd_frames.check_declared_length()
                self._library_reads = not self._odd_frames.is_between_messages()
            data = await self.peer.receive_some(_CHUNK)
            if not self._library_reads:
                rest = await self._take_text_frames(data)
                if data and not rest:
                    continue
                data, self._library_reads = rest, True
            return data

    async def _take_text_frames(self, data: bytes) -> bytes:
        """Hand over the whole text frames that `data` begins with, and return the rest."""
        offset = count = 0
        while self.ending is None and (frame := read_text_frame(data, offset, self._max_bytes)) is not None:
            text, offset = frame
            await self._receiver.on_text(text)
            count += 1
            if count % FRAMES_BETWEEN_PAUSES == 0:
                await trio.lowlevel.checkpoint()
        return data[offset:] if offset else data

    async def deliver(self, text: str) -> None:
        """Hand over a text message that the library read."""
        await self._receiver.on_text(text)

    # Writing.

    def flush(self) -> None:
        """Write what waits, now where the kernel takes it, else as soon as it does."""
        if self._writing is not None or self.closed.is_set():
            return
        data = self._take()
        if not data:
            return
        sent = self._write(data)
        if sent == len(data):
            self.peer.last_outbound = trio.current_time()
        elif not self.closed.is_set():
            self._writing = trio.Event()
            self._nursery.start_soon(self._write_rest, data[sent:])

    def release_outbox(self) -> None:
        """Send what is in the outbox, and from here on whatever is put there."""
        self.open = True
        self.flush()

    def hold_outbox(self) -> None:
        """Send nothing of the outbox until it is released."""
        self.open = False

    def direct(self, data: bytes) -> None:
        """Send ahead of the outbox, soon."""
        if self.ending is None:
            self._direct += data
            self.flush()

    async def send(self, data: bytes) -> None:
        """Send ahead of the outbox and wait until the kernel has it.

        Raises:
            trio.BrokenResourceError: the connection is over.
        """
        self.direct(data)
        await self._written()
        if self.closed.is_set() or self.ending is not None:
            raise trio.BrokenResourceError("the connection is over")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send for the library: pongs, and its answer to a close."""
        self._direct += data
        self.flush()
        await self._written()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as trio's streams do."""
        await self.peer.wait_send_all_might_not_block()

    async def _written(self) -> None:
        """Return once the kernel has everything, or the connection is over."""
        while self._writing is not None and not self.closed.is_set():
            await self._writing.wait()
        await trio.lowlevel.checkpoint()

    def _take(self) -> bytes:
        if not self._direct:
            return self.outbox.take() if self.open else b""
        data = bytes(self._direct)
        self._direct.clear()
        return data + self.outbox.take() if self.open and len(self.outbox) else data

    def _write(self, data: bytes) -> int:
        """Give the peer what it takes of `data` without waiting."""
        try:
            return self.peer.write_now(data)
        except OSError:
            self.cut()
            return 0

    async def _write_rest(self, data: bytes) -> None:
        """Send what the kernel did not take at once, then whatever came to wait meanwhile."""
        try:
            while data:
                for start in range(0, len(data), _CHUNK):
                    await self.peer.send_all(memoryview(data)[start : start + _CHUNK])
                data = self._take()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()
        finally:
            if self._writing is not None:
                self._writing.set()
            self._writing = None

    # Ending.

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Send what waits and then a close frame; cut the connection when the peer does not answer it."""
        if self.ending is not None or self.closed.is_set():
            return
        self.ending = (code, CLOSE_REASONS[code] if reason is None else reason)
        self._receiver.on_end()
        if self.open:
            self._direct += self.outbox.take()
        self.outbox.clear()
        self.open = False
        self._direct += self._odd_frames.close_frame(*self.ending)
        self.flush()
        if not self.closed.is_set():
            self._nursery.start_soon(self._cut_in_time)

    @property
    def said_goodbye(self) -> bool:
        """Whether the connection ended for good: the peer closed it itself, or was sent away."""
        if self.ending is None:
            return self.peer_closed in _LEAVING
        code = self.ending[0]
        return code is CloseCode.NORMAL or CloseCode.BAD_TOKEN <= code < CloseCode.REPLACED

    @asynccontextmanager
    async def closing_on_faults(self) -> AsyncIterator[None]:
        """Tell the peer, by 1011, when a fault of the server's own ends the connection."""
        try:
            yield
        except Exception as fault:
            if not isinstance(fault, (trio.BrokenResourceError, trio.ClosedResourceError)):
                self.end(CloseCode.INTERNAL_ERROR)
                with trio.move_on_after(self._close_seconds):
                    await self._written()
            raise

    def cut(self) -> None:
        """End the connection without a word."""
        self._over()
        self._nursery.cancel_scope.cancel()

    async def aclose(self) -> None:
        """Close the connection: the library does this once closes were exchanged."""
        self._over()
        await self.peer.aclose()

    def _over(self) -> None:
        self.closed.set()
        if self._writing is not None:
            self._writing.set()

    async def _cut_in_time(self) -> None:
        with trio.move_on_after(self._close_seconds):
            await self.closed.wait()
            return
        self.cut()
