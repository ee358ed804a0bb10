"""The one module that names trio-websocket: it reads every frame that is not a whole text frame.

The library puts fragments together, answers pings and closes, and finds faults. Three things are done otherwise
than it does them, each for a measured reason. It begins with the connection open, as the front door has read and
judged the upgrade: its own handshake costs 0.3 ms and 5 KiB a connection. Messages go to the session from
here, not through its queue and a second task. And a fault of the peer's is closed with the code that
`docs/protocol.md` names, where the library would drop the connection without a word.

Frames that carry next to nothing, control frames and small fragments, cost much more to read than to send. So they
are few, or end the connection.

What is used of the library's and of wsproto's private parts is listed in ARCHITECTURE.md, "Private API".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast

import trio
from trio_websocket import WebSocketConnection
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from relay.protocol.errors import CloseCode

FRAMES_BETWEEN_PAUSES: Final = 32
"""After so many frames of one read others have their turn: 0.1 to 1 ms of work; a pause costs about as much as a
frame."""

_FAULTS: Final = {
    int(CloseReason.INVALID_FRAME_PAYLOAD_DATA): CloseCode.INVALID_DATA,
    int(CloseReason.MESSAGE_TOO_BIG): CloseCode.TOO_BIG,
}
_SMALL_BYTES: Final = 128
_BURST_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 0.25
"""How long the peer of a fault has to answer the close while nothing more is read from it."""


class Socket(Protocol):
    """A WebSocket, as far as its reader knows it. It is the stream that is read from, too."""

    ending: tuple[CloseCode, str] | None
    peer_closed: int | None
    closed: trio.Event
    on_binary: Callable[[bytes], Awaitable[None]] | None

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Close with a code, soon."""

    async def deliver(self, text: str) -> None:
        """Hand a whole text message over."""


class OddFrames(WebSocketConnection):
    """Reads what a WebSocket does not read itself.

    Args:
        max_bytes: bound on a message, all its fragments together.
        small_per_second: control frames and small fragments that may come, with ten seconds' worth at once;
            0 means no limit.
    """

    # Slots, as the library's own attributes are so many that with these the instances would no longer share the
    # keys of their dictionaries: 1.5 KiB a connection.
    __slots__ = (
        "_frame_bytes", "_max_bytes", "_message_bytes", "_since_pause", "_small_at", "_small_left",
        "_small_per_second", "_socket",
    )  # fmt: skip

    def __init__(self, socket: Socket, max_bytes: int, small_per_second: int) -> None:
        super().__init__(cast(Any, socket), cast(Any, Connection(ConnectionType.SERVER)))
        self._socket = socket
        self._max_bytes = max_bytes
        self._frame_bytes = self._message_bytes = self._since_pause = 0
        self._small_per_second = small_per_second
        self._small_left = float(small_per_second * _BURST_SECONDS)
        self._small_at = trio.current_time()

    async def run(self) -> None:
        """Read until the connection is over."""
        await self._reader_task()

    def is_between_messages(self) -> bool:
        """Tell whether the next byte begins a message or a control frame."""
        protocol = cast(Any, self._wsproto)._proto
        frames = protocol._frame_decoder
        return frames.header is None and not len(frames.buffer) and protocol._message_decoder.opcode is None

    def check_declared_length(self) -> None:
        """Refuse a frame by the length that its header declares, before its payload comes."""
        frames = cast(Any, self._wsproto)._proto._frame_decoder
        if frames.header is not None and self._socket.ending is None:
            declared = frames.header.payload_len + self._message_bytes - frames.payload_consumed
            if declared > self._max_bytes:
                self._refuse_size()

    def close_frame(self, code: int, reason: str) -> bytes:
        """Return the close frame to send, and expect the peer's; b"" where closes were exchanged already."""
        try:
            return bytes(self._wsproto.send(CloseConnection(code=code, reason=reason)))
        except LocalProtocolError:
            return b""

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        """Take a part of a message; hand the message over once it is whole."""
        if self._socket.ending is not None:
            return
        if isinstance(event, BytesMessage) and self._socket.on_binary is None:
            self._socket.end(CloseCode.UNSUPPORTED_DATA)
            return
        part: Any = event.data
        size = len(part.encode() if isinstance(part, str) else part)
        self._message_bytes += size
        self._frame_bytes += size
        if self._message_bytes > self._max_bytes:
            self._refuse_size()
            return
        # An event may be of a part of a frame: all that came of it so far.
        fragmented = not event.message_finished or bool(self._message_parts)
        await self._count_frame(small=event.frame_finished and fragmented and self._frame_bytes < _SMALL_BYTES)
        if event.frame_finished:
            self._frame_bytes = 0
        if fragmented:
            if part:
                self._message_parts.append(part)
            if not event.message_finished:
                return
            part = part[:0].join(self._message_parts)
            self._message_parts = []
        self._message_bytes = 0
        if isinstance(part, str):
            await self._socket.deliver(part)
        elif self._socket.on_binary is not None:
            await self._socket.on_binary(bytes(part))

    async def _handle_ping_event(self, event: Ping) -> None:
        """Answer a ping, unless a close was sent: nothing may follow that (RFC 6455 section 5.5.1)."""
        await self._count_frame(small=True)
        if self._socket.ending is None:
            await super()._handle_ping_event(event)

    async def _handle_pong_event(self, event: Pong) -> None:
        """Take a pong; that it came is all that matters."""
        await self._count_frame(small=True)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        """Answer a close, or close for a fault of the peer's that the parser met."""
        if self._wsproto.state is ConnectionState.OPEN:
            self._socket.end(_FAULTS.get(event.code, CloseCode.PROTOCOL_ERROR))
            self._reader_running = False
            with trio.move_on_after(_CLOSE_SECONDS):
                await self._socket.closed.wait()
            return
        self._socket.peer_closed = event.code
        await super()._handle_close_connection_event(event)

    async def _count_frame(self, *, small: bool) -> None:
        """Pause after some frames; end the connection after too many small ones."""
        self._since_pause += 1
        if self._since_pause >= FRAMES_BETWEEN_PAUSES:
            self._since_pause = 0
            await trio.lowlevel.checkpoint()
        rate = self._small_per_second
        if not small or not rate:
            return
        now = trio.current_time()
        left = min(self._small_left + (now - self._small_at) * rate, float(rate * _BURST_SECONDS))
        self._small_left, self._small_at = left - 1, now
        if left < 1:
            reason = f"over {rate} pings, pongs and small fragments a second"
            self._socket.end(CloseCode.NOT_THE_PROTOCOL, reason)

    def _refuse_size(self) -> None:
        self._socket.end(CloseCode.TOO_BIG, f"a message has at most {self._max_bytes} bytes")
