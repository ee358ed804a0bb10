"""One WebSocket connection, as text frames in and out; the only module that names trio-websocket.

What the library or a hostile peer raises ends this one connection with `WireClosed` and goes no further.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from relay.client.address import Address
from relay.client.closing import Close, WireClosed

Dial = Callable[[], Awaitable[trio.abc.Stream]]

_log = logging.getLogger("relay.client")
_LARGEST_FRAME = 16 * 1024 * 1024
_READ_AHEAD = 64
_CHUNK = 64 * 1024
_CLOSE_SECONDS = 2.0


class _Watched(trio.abc.Stream):
    """The transport, which remembers when the peer last gave a sign of life, pings included.

    Until the handshake is done, it raises whatever ends it: the library would wait on for the answer.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.open = False
        self.last_inbound = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._loudly():
            data = await self._stream.receive_some(max_bytes)
        if not data and not self.open:
            raise ConnectionResetError("closed during the handshake")
        self.last_inbound = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._loudly():
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
        if not self.open:
            raise ConnectionResetError("the answer to the handshake is not HTTP")

    async def drop(self) -> None:
        await trio.aclose_forcefully(self._stream)

    @contextmanager
    def _loudly(self) -> Iterator[None]:
        try:
            yield
        except trio.BrokenResourceError as error:
            if self.open:
                raise
            raise ConnectionResetError("broken off during the handshake") from error


class Wire:
    """An open connection: `send` and `receive` text until one of them raises `WireClosed`."""

    def __init__(self, socket: WebSocketConnection, stream: _Watched, write_seconds: float) -> None:
        self._socket = socket
        self._stream = stream
        self._write_seconds = write_seconds

    @property
    def last_inbound(self) -> float:
        """Give trio's time of the last byte received."""
        return self._stream.last_inbound

    async def send(self, frame: str) -> None:
        """Send one text frame.

        MUST NOT be called from a scope the application can cancel: half a frame sent is the connection's end.

        Raises:
            WireClosed: The connection is over, or the peer takes nothing any more.
        """
        try:
            with trio.fail_after(self._write_seconds):
                await self._socket.send_message(frame)
        except ConnectionClosed as closed:
            raise WireClosed(_close_of(closed)) from None
        except trio.TooSlowError:
            await self.abort()
            raise WireClosed(Close(1006, f"the server read nothing for {self._write_seconds:g} s")) from None

    async def receive(self) -> str | bytes:
        """Wait for the next frame.

        Raises:
            WireClosed: The connection is over.
        """
        try:
            frame: str | bytes = await self._socket.get_message()
        except ConnectionClosed as closed:
            raise WireClosed(_close_of(closed)) from None
        return frame

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code, waiting at most two seconds for the peer to agree."""
        with trio.move_on_after(_CLOSE_SECONDS):
            await self._socket.aclose(code, reason)
        await self.abort()

    async def abort(self) -> None:
        """Drop the transport at once."""
        await self._stream.drop()


def _close_of(closed: ConnectionClosed) -> Close:
    if closed.reason is None:
        return Close(1006)
    return Close(closed.reason.code, closed.reason.reason or "")


async def dial_tcp(address: Address, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Open TCP, or TLS over it, to the server.

    Raises:
        OSError: Nobody answers there.
        trio.BrokenResourceError: The TLS handshake failed.
    """
    if not address.secure:
        return await trio.open_tcp_stream(address.host, address.port)
    stream = await trio.open_ssl_over_tcp_stream(
        address.host, address.port, ssl_context=context, https_compatible=True
    )
    await stream.do_handshake()
    return stream


async def open_wire(
    nursery: trio.Nursery, address: Address, dial: Dial, *, open_seconds: float, write_seconds: float
) -> Wire:
    """Dial and upgrade; the library's reader then runs in `nursery` until the wire is closed.

    Raises:
        WireClosed: No connection within `open_seconds`, or the upgrade was refused.
    """
    stream: _Watched | None = None
    try:
        with trio.fail_after(open_seconds):
            stream = _Watched(await dial())
            socket = await nursery.start(_read_for_ever, stream, address)
            stream.open = True
            return Wire(socket, stream, write_seconds)
    except BaseException as error:
        if stream is not None:
            await stream.drop()
        if isinstance(error, trio.TooSlowError):
            raise WireClosed(Close(1006, f"no connection within {open_seconds:g} s")) from None
        if isinstance(error, OSError | trio.BrokenResourceError):
            raise WireClosed(Close(1006, f"cannot connect: {error or error.__cause__}")) from error
        raise


async def _read_for_ever(
    stream: _Watched, address: Address, task_status: trio.TaskStatus[WebSocketConnection]
) -> None:
    # A nursery of the library's own: one odd byte in a handshake raises h11's or wsproto's errors out of its
    # reader task, and those must end this connection, not the application.
    started = False
    try:
        async with trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery,
                cast(Any, stream),  # annotated as a socket, used as any stream
                address.authority,
                address.socket_path,
                subprotocols=["relay.v1"],
                message_queue_size=_READ_AHEAD,
                max_message_size=_LARGEST_FRAME,
                receive_buffer_size=_CHUNK,
            )
            started = True
            task_status.started(socket)
    except* Exception as group:
        close = _fault(group)
        if not started:
            raise WireClosed(close) from None
        _log.debug("the connection's reader failed: %s", close.reason)
        await stream.drop()


def _fault(group: BaseExceptionGroup[BaseException]) -> Close:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionRejected):
        return Close(error.status_code, f"the upgrade was refused: HTTP {error.status_code}", _patience(error))
    return Close(1006, f"{type(error).__name__}: {error}")


def _patience(rejected: ConnectionRejected) -> float | None:
    for name, value in rejected.headers or ():
        if name.lower() == b"retry-after" and value.isdigit():
            return float(value)
    return None
