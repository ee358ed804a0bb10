"""The one module that names trio-websocket: a server's end of one WebSocket.

The library reads frames and answers pings and closes. Four things are done beside it, each for a measured
reason. The front door has read and judged the upgrade already, so it is answered here in one write and the
library begins with the connection open: its own handshake costs 0.3 ms and 5 KiB a connection. Messages are
handed to the session where they are parsed, not through a queue and a second task. What is sent goes through
`PeerLink`, framed once for all recipients. And faults of the peer's are closed with the code the contract
names, where the library would drop the connection without a word.

A whole, unfragmented text frame, as nearly every frame is, is read here: wsproto takes 15 µs of CPU for it,
this takes 3. Whatever is anything else goes to the library, control frames and faults included.

One read may bring thousands of frames, from somebody who has not even said hello. So the reading task pauses
after some, for the others' sake, and frames that say next to nothing, control frames and small fragments, are
few or end the connection.

wsproto's internals that are touched, two: the frame decoder's header, to refuse a declared
length before its payload arrives, and its buffer, to know whether it stands between two messages.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio
from trio_websocket import WebSocketConnection
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from relay.protocol.errors import CloseCode
from relay.transports.link import PeerLink

SUBPROTOCOL: Final = "relay.v1"
_FAULTS: Final = {
    int(CloseReason.INVALID_FRAME_PAYLOAD_DATA): CloseCode.INVALID_DATA,
    int(CloseReason.MESSAGE_TOO_BIG): CloseCode.TOO_BIG,
}

_WHOLE_TEXT: Final = 0x81
_FRAMES_BETWEEN_PAUSES: Final = 32
"""Of one read: some 0.1 to 1 ms of work, and a pause costs about as much as one frame."""

_SMALL_BYTES: Final = 128
"""A fragment of fewer costs much more to read than to send."""

_BURST_SECONDS: Final = 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

OnText = Callable[[str], Awaitable[None]]


def _unmask(mask: bytes, data: bytes) -> bytes:
    """Undo a client's masking (RFC 6455 section 5.3) for the whole payload at once."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def switching_protocols(key: str, offered: str) -> bytes:
    """Return the answer to an upgrade (RFC 6455 section 4.2.2).

    Args:
        key: the Sec-WebSocket-Key header.
        offered: the Sec-WebSocket-Protocol header; relay's own name is answered where it was offered.
    """
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if SUBPROTOCOL in [name.strip() for name in offered.split(",")]:
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
    return "\r\n".join([*lines, "\r\n"]).encode()


class _Counted:
    """What is counted of one connection's frames.

    One object, as with one more attribute of the socket's own its dictionary would take 1.5 KiB more: over 30 it
    shares no keys with others'.

    Attributes:
        since_pause: frames since others had their turn.
        frame_bytes, message_bytes: of the frame and of the message that are being read.
    """

    __slots__ = ("_at", "_left", "_rate", "frame_bytes", "message_bytes", "since_pause")

    def __init__(self, small_per_second: int) -> None:
        self.since_pause = self.frame_bytes = self.message_bytes = 0
        self._rate = small_per_second
        self._left = float(small_per_second * _BURST_SECONDS)
        self._at = trio.current_time()

    def over(self) -> str | None:
        """Count a small frame; return what there were too many of, None while there are not."""
        if not self._rate:
            return None
        now = trio.current_time()
        left = min(self._left + (now - self._at) * self._rate, float(self._rate * _BURST_SECONDS))
        self._left, self._at = left - 1, now
        return f"over {self._rate} pings, pongs and small fragments a second" if left < 1 else None


class ServerSocket(WebSocketConnection):
    """A WebSocket whose messages go to `on_text`, in the task that reads them.

    Args:
        max_bytes: bound on a message, all its fragments together.
        small_per_second: control frames and small fragments that may come, with ten seconds' worth at once;
            0 means no limit.
    """

    def __init__(self, link: PeerLink, on_text: OnText, max_bytes: int, small_per_second: int = 0) -> None:
        self._opened = Connection(ConnectionType.SERVER)
        super().__init__(link, cast(Any, self._opened), max_message_size=max_bytes)
        self._link = link
        self._on_text = on_text
        self._max_bytes = max_bytes
        self._counted = _Counted(small_per_second)
        link.close_frame = self._make_close_frame
        link.before_receive = self._check_declared_length
        link.intercept = self._take_text_frames

    async def run(self) -> None:
        """Read until the connection is over, and end everything else on it."""
        try:
            async with self._link.owning_faults():
                await self._reader_task()
        finally:
            self._link.cut()

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        """Hand a whole text message to the session; refuse what is none."""
        link = self._link
        if link.ending is not None:
            return
        if isinstance(event, BytesMessage):
            link.end(CloseCode.UNSUPPORTED_DATA)
            return
        text, size = event.data, len(event.data.encode())
        self._counted.message_bytes += size
        self._counted.frame_bytes += size
        if self._counted.message_bytes > self._max_bytes:
            link.end(CloseCode.TOO_BIG, self._too_big())
            return
        await self._count_frame(small=event.frame_finished and self._is_small_fragment(event))
        if event.frame_finished:
            self._counted.frame_bytes = 0
        if not event.message_finished or self._message_parts:
            if text:
                self._message_parts.append(text)
            if not event.message_finished:
                return
            text = "".join(map(str, self._message_parts))
            self._message_parts = []
        self._counted.message_bytes = 0
        await self._on_text(text)

    def _is_small_fragment(self, event: TextMessage) -> bool:
        return self._counted.frame_bytes < _SMALL_BYTES and (
            not event.message_finished or bool(self._message_parts)
        )

    async def _handle_ping_event(self, event: Ping) -> None:
        """Answer a ping, unless a close was sent: nothing may follow that (RFC 6455 section 5.5.1)."""
        await self._count_frame(small=True)
        if self._link.ending is None:
            await super()._handle_ping_event(event)

    async def _handle_pong_event(self, event: Pong) -> None:
        """Take a pong; that it came is all that there is to it."""
        await self._count_frame(small=True)

    async def _count_frame(self, *, small: bool) -> None:
        """Pause after some frames; end the connection after too many small ones."""
        counted = self._counted
        counted.since_pause += 1
        if counted.since_pause >= _FRAMES_BETWEEN_PAUSES:
            counted.since_pause = 0
            await trio.lowlevel.checkpoint()
        if small and (reason := counted.over()) is not None:
            self._link.end(CloseCode.NOT_THE_PROTOCOL, reason)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        """Answer a close, or close for a fault of the peer's that the parser met."""
        if self._wsproto.state is ConnectionState.OPEN:
            code = _FAULTS.get(event.code, CloseCode.PROTOCOL_ERROR)
            self._link.end(code)
            self._reader_running = False
            with trio.move_on_after(0.25):
                await self._link.closed.wait()
            return
        self._link.peer_closed = event.code
        await super()._handle_close_connection_event(event)

    async def _take_text_frames(self, data: bytes) -> bytes:
        """Hand over the whole text frames that `data` begins with; return what the library must read."""
        counted = self._counted
        counted.since_pause = 0  # the read itself was a pause
        if not self._between_messages():
            return data
        offset, size_of_data, on_text, link = 0, len(data), self._on_text, self._link
        while size_of_data - offset >= 8 and data[offset] == _WHOLE_TEXT and link.ending is None:
            size, start = data[offset + 1] - 128, offset + 6
            if size == 126:
                size, start = int.from_bytes(data[offset + 2 : offset + 4], "big"), offset + 8
                if size < 126:
                    break
            end = start + size
            if not 0 <= size <= self._max_bytes or data[offset + 1] == 255 or end > size_of_data:
                break
            try:
                text = _unmask(data[start - 4 : start], data[start:end]).decode()
            except UnicodeDecodeError:
                break
            offset = end
            await on_text(text)
            counted.since_pause += 1
            if counted.since_pause >= _FRAMES_BETWEEN_PAUSES:
                counted.since_pause = 0
                await trio.lowlevel.checkpoint()
        return data[offset:] if offset else data

    def _between_messages(self) -> bool:
        protocol = self._opened._proto
        frames = protocol._frame_decoder
        return frames.header is None and not len(frames.buffer) and protocol._message_decoder.opcode is None

    def _check_declared_length(self) -> None:
        """Refuse a frame by the length that its header declares; called before each receive."""
        frames = self._opened._proto._frame_decoder
        if frames.header is not None and self._link.ending is None:
            declared = frames.header.payload_len + self._counted.message_bytes - frames.payload_consumed
            if declared > self._max_bytes:
                self._link.end(CloseCode.TOO_BIG, self._too_big())

    def _too_big(self) -> str:
        return f"a message has at most {self._max_bytes} bytes"

    def _make_close_frame(self, code: int, reason: str) -> bytes:
        try:
            return bytes(self._wsproto.send(CloseConnection(code=code, reason=reason)))
        except LocalProtocolError:
            return b""
