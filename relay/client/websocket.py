"""A WebSocket as text frames in and out; the only module that names trio-websocket.

Any exception of the library, whatever the peer sent, ends this one connection as `WebSocketClosed`.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from relay.client.address import Address
from relay.client.close import CONNECTION_LOST, Close, WebSocketClosed
from relay.protocol.errors import said

Dial = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens a connection to the server, TLS included."""

_log = logging.getLogger("relay.client")
_MAX_FRAME: Final = 16 * 1024 * 1024
_READ_AHEAD: Final = 64
_CHUNK: Final = 64 * 1024
_CLOSE_SECONDS: Final = 2.0


class _Transport(trio.abc.Stream):
    """The stream below the WebSocket; it notes when the last byte came, pings included.

    Until the handshake is done, it raises at the stream's end: the library would go on waiting for the answer.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.open = False
        self.last_inbound = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._raising_in_handshake():
            data = await self._stream.receive_some(max_bytes)
        if not data and not self.open:
            raise ConnectionResetError("closed during the handshake")
        self.last_inbound = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._raising_in_handshake():
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
    def _raising_in_handshake(self) -> Iterator[None]:
        try:
            yield
        except trio.BrokenResourceError as error:
            if self.open:
                raise
            raise ConnectionResetError("broken off during the handshake") from error


class WebSocket:
    """An open WebSocket: `send` and `receive` text until one of them raises `WebSocketClosed`."""

    def __init__(self, socket: WebSocketConnection, stream: _Transport, write_seconds: float) -> None:
        self._socket = socket
        self._stream = stream
        self._write_seconds = write_seconds

    @property
    def last_inbound(self) -> float:
        """The time of the last byte received, on trio's clock."""
        return self._stream.last_inbound

    async def send(self, frame: str) -> None:
        """Send one text frame.

        MUST NOT be called from a scope that the application can cancel: half a frame ends the connection.

        Raises:
            WebSocketClosed: The connection is over, or the peer reads nothing any more.
        """
        try:
            with trio.fail_after(self._write_seconds):
                await self._socket.send_message(frame)
        except ConnectionClosed as closed:
            raise WebSocketClosed(_close_of(closed)) from None
        except trio.TooSlowError:
            await self.abort()
            raise WebSocketClosed(
                Close(CONNECTION_LOST, f"the server read nothing for {self._write_seconds:g} s")
            ) from None

    async def receive(self) -> str | bytes:
        """Wait for the next frame and return its content.

        Raises:
            WebSocketClosed: The connection is over.
        """
        try:
            frame: str | bytes = await self._socket.get_message()
        except ConnectionClosed as closed:
            raise WebSocketClosed(_close_of(closed)) from None
        return frame

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code; wait at most two seconds for the peer's close frame."""
        with trio.move_on_after(_CLOSE_SECONDS):
            await self._socket.aclose(code, reason)
        await self.abort()

    async def abort(self) -> None:
        """Cut the connection at once."""
        await self._stream.drop()


def _close_of(closed: ConnectionClosed) -> Close:
    if closed.reason is None:
        return Close(CONNECTION_LOST)
    return Close(closed.reason.code, closed.reason.reason or "")


async def dial_tcp(address: Address, context: ssl.SSLContext | None) -> trio.abc.Stream:
    """Open TCP, or TLS over it, to the server.

    Raises:
        OSError: There is no answer.
        trio.BrokenResourceError: The TLS handshake failed.
    """
    if not address.secure:
        return await trio.open_tcp_stream(address.host, address.port)
    stream = await trio.open_ssl_over_tcp_stream(
        address.host, address.port, ssl_context=context, https_compatible=True
    )
    await stream.do_handshake()
    return stream


async def open_websocket(
    nursery: trio.Nursery, address: Address, dial: Dial, *, open_seconds: float, write_seconds: float
) -> WebSocket:
    """Dial and upgrade; the library's reader then runs in `nursery` until the WebSocket is closed.

    Raises:
        WebSocketClosed: No connection within `open_seconds`, or the upgrade was refused.
    """
    stream: _Transport | None = None
    try:
        with trio.fail_after(open_seconds):
            stream = _Transport(await dial())
            socket = await nursery.start(_run_reader, stream, address)
            stream.open = True
            return WebSocket(socket, stream, write_seconds)
    except BaseException as error:
        if stream is not None:
            await stream.drop()
        if isinstance(error, trio.TooSlowError):
            raise WebSocketClosed(Close(CONNECTION_LOST, f"no connection within {open_seconds:g} s")) from None
        if isinstance(error, OSError | trio.BrokenResourceError):
            raise WebSocketClosed(Close(CONNECTION_LOST, f"cannot connect: {said(error)}")) from error
        raise


async def _run_reader(
    stream: _Transport, address: Address, task_status: trio.TaskStatus[WebSocketConnection]
) -> None:
    # The library gets a nursery of its own: one odd byte in a handshake raises errors of h11 or wsproto out of its
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
                max_message_size=_MAX_FRAME,
                receive_buffer_size=_CHUNK,
            )
            started = True
            task_status.started(socket)
    except* Exception as group:
        close = _close_for(group)
        if not started:
            raise WebSocketClosed(close) from None
        _log.debug("the connection's reader failed: %s", close.reason)
        await stream.drop()


def _close_for(group: BaseExceptionGroup[BaseException]) -> Close:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionRejected):
        return Close(error.status_code, f"the upgrade was refused: HTTP {error.status_code}", _retry_after(error))
    return Close(CONNECTION_LOST, f"{type(error).__name__}: {error}")


def _retry_after(rejected: ConnectionRejected) -> float | None:
    for name, value in rejected.headers or ():
        if name.lower() == b"retry-after" and value.isdigit():
            return float(value)
    return None
