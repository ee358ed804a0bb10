"""The way out to one WebSocket peer: one write for all that waits, and an end to every wait.

Two queues go out through here. *Direct* bytes are the session's and the library's own: the handshake,
ready, the replay, pongs, the close. The *outbox* is what the rest of the server pushes; it stays shut
until the replay is over. A write is tried at once, without a task: on a healthy connection the kernel
takes it, and that is the whole cost of a delivery. Only when it does not is a task started to wait, under
a deadline, while the outbox, which is bounded, fills.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from relay.protocol.errors import CLOSE_REASONS, CloseCode
from relay.protocol.outbox import Outbox
from relay.transports.peer import PeerStream

_CHUNK: Final = 65536
_LEAVING: Final = (1000, 1001)
"""What a peer closes with when its user leaves, as a page that is closed does (RFC 6455 section 7.4.1)."""


async def _pass_on(data: bytes) -> bytes:
    return data


class PeerLink(trio.abc.Stream):
    """A connection's writer, and the stream that the WebSocket library is given.

    Args:
        nursery: the connection's own; what must wait, waits there.
        close_seconds: how long the peer has to answer a close.

    Attributes:
        close_frame: returns the close frame for a code and reason, and marks the library's side closing.
    """

    def __init__(
        self,
        peer: PeerStream,
        nursery: trio.Nursery,
        outbox: Outbox,
        *,
        close_seconds: float,
    ) -> None:
        self.peer = peer
        self.outbox = outbox
        self.open = False
        self.ending: tuple[CloseCode, str] | None = None
        self.peer_closed: int | None = None
        self.closed = trio.Event()
        self.on_end: Callable[[], None] = lambda: None
        self.close_frame: Callable[[int, str], bytes] = lambda _code, _reason: b""
        self.before_receive: Callable[[], None] = lambda: None
        self.intercept: Callable[[bytes], Awaitable[bytes]] = _pass_on
        self._nursery = nursery
        self._close_seconds = close_seconds
        self._direct = bytearray()
        self._draining = False
        self._drained = trio.Event()
        self._drained.set()
        self._plain = peer.fileno() is not None

    # What the services see: see relay.services.connections.Link.

    def flush(self) -> None:
        """Write what waits, now where the kernel takes it, else as soon as it does."""
        if self._draining or self.closed.is_set():
            return
        data = self._take()
        if not data:
            return
        sent = self._write(data) if self._plain else 0
        if sent == len(data):
            self.peer.last_outbound = trio.current_time()
        elif not self.closed.is_set():
            self._draining = True
            self._drained = trio.Event()
            self._nursery.start_soon(self._drain, data[sent:])

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Send what waits and then a close frame; cut the connection when the peer does not answer it."""
        if self.ending is not None or self.closed.is_set():
            return
        self.ending = (code, CLOSE_REASONS[code] if reason is None else reason)
        self.on_end()
        if self.open:
            self._direct += self.outbox.take()
        self.outbox.clear()
        self.open = False
        self._direct += self.close_frame(*self.ending)
        self.flush()
        if not self.closed.is_set():
            self._nursery.start_soon(self._close_in_time)

    @property
    def said_goodbye(self) -> bool:
        """Whether the connection ended for good: the peer closed it itself, or was sent away."""
        if self.ending is None:
            return self.peer_closed in _LEAVING
        code = self.ending[0]
        return code is CloseCode.NORMAL or CloseCode.BAD_TOKEN <= code < CloseCode.REPLACED

    # What the session and the library use.

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
        while self._draining and not self.closed.is_set():
            await self._drained.wait()
        await trio.lowlevel.checkpoint()
        if self.closed.is_set() or self.ending is not None:
            raise trio.BrokenResourceError("the connection is over")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send for the library: the handshake, pongs, and its answer to a close."""
        self._direct += data
        self.flush()
        while self._draining and not self.closed.is_set():
            await self._drained.wait()
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive for the library; a read deadline is the heartbeat supervisor's business."""
        while True:
            self.before_receive()
            data = await self.peer.receive_some(_CHUNK)
            if not data:
                return data
            if rest := await self.intercept(data):
                return rest

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as trio's streams do."""
        await self.peer.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the connection: the library does this once closes were exchanged."""
        self.closed.set()
        self._drained.set()
        await self.peer.aclose()

    @asynccontextmanager
    async def owning_faults(self) -> AsyncIterator[None]:
        """Tell the peer, by 1011, when a fault of our own ends the connection."""
        try:
            yield
        except Exception as fault:
            if not isinstance(fault, (trio.BrokenResourceError, trio.ClosedResourceError)):
                self.end(CloseCode.INTERNAL_ERROR)
                with trio.move_on_after(self._close_seconds):
                    await self._drained.wait()
            raise

    def cut(self) -> None:
        """End the connection without a word."""
        self.closed.set()
        self._drained.set()
        self._nursery.cancel_scope.cancel()

    def _take(self) -> bytes:
        if not self._direct:
            return self.outbox.take() if self.open else b""
        data = bytes(self._direct)
        self._direct.clear()
        return data + self.outbox.take() if self.open and len(self.outbox) else data

    def _write(self, data: bytes) -> int:
        """Give the kernel what it takes of `data` without waiting."""
        try:
            return os.write(self.peer.fileno() or -1, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.cut()
            return 0

    async def _drain(self, data: bytes) -> None:
        """Send what the kernel did not take at once, then whatever came to wait meanwhile."""
        try:
            while data:
                for start in range(0, len(data), _CHUNK):
                    await self.peer.send_all(memoryview(data)[start : start + _CHUNK])
                data = self._take()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()
        finally:
            self._draining = False
            self._drained.set()

    async def _close_in_time(self) -> None:
        with trio.move_on_after(self._close_seconds):
            await self.closed.wait()
            return
        self.cut()
