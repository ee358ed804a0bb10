"""The stream between a peer and a library: it gives back what the front door read, and bounds every send.

A library that sends under a shield, or for ever, cannot be trusted with a peer that never reads. So every
send has a deadline here. A `send_all` that was cancelled may have sent half of what it was given: after that
the connection is over, and every later send fails.
"""

from __future__ import annotations

import errno
import os
import socket
from abc import abstractmethod
from contextlib import suppress
from typing import Any, Final

import trio

from relay.protocol.errors import said
from relay.transports.lobby import Guest

_CHUNK: Final = 65536


class PeerStream(trio.abc.HalfCloseableStream):
    """A stream whose first bytes were read already.

    Args:
        inner: the TCP, TLS or memory stream.
        received: what was read of it already.
        write_seconds: deadline of each send.
        address: the peer's address as its limits count it.
        guest: its place in the lobby, where it has one.
    """

    __slots__ = (
        "_passed_on", "_plain", "_received", "aborted", "address", "guest", "inner", "last_inbound",
        "last_outbound", "write_seconds",
    )  # fmt: skip

    def __init__(
        self,
        inner: trio.abc.Stream,
        received: bytes,
        *,
        write_seconds: float,
        address: str = "",
        guest: Guest | None = None,
    ) -> None:
        self.inner = inner
        self.address = address
        self.guest = guest
        self.write_seconds = write_seconds
        self._received = received
        # Found once: every delivery asks.
        self._plain = inner.socket if isinstance(inner, trio.SocketStream) else None
        self._passed_on = inner if isinstance(inner, PassedOn) else None
        self.aborted = False
        self.last_inbound = self.last_outbound = trio.current_time()

    @property
    def socket(self) -> Any:
        """The socket below; of a stream in memory, something that has addresses as well."""
        stream: Any = self.inner
        stream = getattr(stream, "transport_stream", stream)
        return getattr(stream, "socket", None) or _NO_SOCKET

    def write_now(self, data: bytes) -> int:
        """Send what may be sent without a wait, and return how many bytes that is; none under TLS and in memory.

        Raises:
            OSError: the connection is over.
        """
        if self._plain is not None:
            try:
                return os.write(self._plain.fileno(), data)
            except BlockingIOError:
                return 0
        return 0 if self._passed_on is None else self._passed_on.write_now(data)

    def unread(self, data: bytes) -> None:
        """Give bytes back, to be received again."""
        self._received = data + self._received

    def take_unread(self) -> bytes:
        """Return what was read already, without a wait."""
        data, self._received = self._received, b""
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive, first what was read already; raises as trio's streams do."""
        if self._received:
            await trio.lowlevel.checkpoint()
            return self.take_unread()
        if isinstance(self.inner, trio.SocketStream):
            data = await _receive(self.inner.socket, max_bytes or _CHUNK)
        else:
            data = bytes(await self.inner.receive_some(max_bytes))
        self.last_inbound = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send under the write deadline.

        Raises:
            trio.BrokenResourceError: the peer is gone, or did not read in time.
        """
        if self.aborted:
            raise trio.BrokenResourceError("the connection was ended by force")
        with trio.move_on_after(self.write_seconds) as deadline:
            await self.inner.send_all(data)
            self.last_outbound = trio.current_time()
            return
        if deadline.cancelled_caught:
            await self.abort()
        raise trio.BrokenResourceError("the peer did not read in time")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as trio's streams do."""
        await self.inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing follows, where the stream can."""
        if isinstance(self.inner, trio.abc.HalfCloseableStream):
            await self.inner.send_eof()

    async def aclose(self) -> None:
        """Close, within the write deadline."""
        with trio.move_on_after(self.write_seconds):
            await self.inner.aclose()
            return
        await self.abort()

    async def abort(self) -> None:
        """Close at once, telling the peer nothing."""
        self.aborted = True
        await trio.aclose_forcefully(self.inner)


class PassedOn(trio.abc.HalfCloseableStream):
    """A client's stream that another node of the cluster passes on: what it carries is plain.

    Attributes:
        address: the client's, as the other node sees it.
    """

    __slots__ = ("address",)

    address: str

    @abstractmethod
    def write_now(self, data: bytes) -> int:
        """Send what may be sent without a wait, and return how many bytes that is.

        Raises:
            OSError: the connection is over.
        """

    @abstractmethod
    def has_unread(self) -> bool:
        """Tell whether something has come that was not received yet."""


async def _receive(plain: trio.socket.SocketType, max_bytes: int) -> bytes:
    """Receive from a socket once something is there.

    trio's own streams try first. A peer that waits for its answers has said nothing yet nearly every time, and
    then that costs a system call and an exception: a tenth of what a lone message costs the event loop.

    Raises:
        trio.BrokenResourceError: the connection broke.
        trio.ClosedResourceError: it was closed here.
    """
    try:
        while (descriptor := plain.fileno()) >= 0:
            await trio.lowlevel.wait_readable(descriptor)
            with suppress(BlockingIOError):  # woken for nothing, as select(2) warns of
                return os.read(plain.fileno(), max_bytes)  # asked again: it may have been closed meanwhile
    except OSError as error:
        if error.errno != errno.EBADF:
            raise trio.BrokenResourceError(f"the connection broke: {said(error)}") from error
    raise trio.ClosedResourceError("this connection was closed here")


class _NoSocket:
    """The addresses of a stream in memory."""

    family = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        """Return a loopback address."""
        return ("127.0.0.1", 0)

    getsockname = getpeername


_NO_SOCKET = _NoSocket()
