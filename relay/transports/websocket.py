"""The one module that names trio-websocket: a server's end of one WebSocket.

The library does the handshake, reads frames and answers pings and closes. Three things are done beside
it, each for a measured reason. Messages are handed to the session where they are parsed, not through the
library's queue and a second task. What is sent goes through `PeerLink`, framed once for all recipients.
And faults of the peer's are closed with the code the contract names, where the library would drop the
connection without a word.

wsproto's internals that are touched, all below `_frames`: the frame decoder's header, to refuse a declared
length before its payload arrives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from relay.protocol.errors import CloseCode
from relay.transports.link import PeerLink

SUBPROTOCOL: Final = "relay.v1"
_FAULTS: Final = {
    int(CloseReason.INVALID_FRAME_PAYLOAD_DATA): CloseCode.INVALID_DATA,
    int(CloseReason.MESSAGE_TOO_BIG): CloseCode.TOO_BIG,
}

OnText = Callable[[str], Awaitable[None]]


class ServerSocket(WebSocketConnection):
    """A WebSocket whose messages go to `on_text`, in the task that reads them.

    Args:
        max_bytes: bound on a message, all its fragments together.
    """

    def __init__(self, link: PeerLink, on_text: OnText, max_bytes: int) -> None:
        super().__init__(link, WSConnection(ConnectionType.SERVER), max_message_size=max_bytes)
        self._link = link
        self._on_text = on_text
        self._max_bytes = max_bytes
        self._message_bytes = 0
        link.close_frame = self._make_close_frame
        link.before_receive = self._check_declared_length

    async def run(self) -> None:
        """Read until the connection is over."""
        try:
            await self._reader_task()
        finally:
            self._link.closed.set()
            if not self._link.accepted.is_set():
                self._link.cut()

    async def handshake(self, offered: str, early: bytes) -> None:
        """Accept the upgrade; the subprotocol is answered where it was offered.

        Args:
            offered: the Sec-WebSocket-Protocol header.
            early: frames that came in one packet with the head; the library must not see them before.
        """
        request = await self._get_request()
        wanted = SUBPROTOCOL in [name.strip() for name in offered.split(",")]
        await request.accept(subprotocol=SUBPROTOCOL if wanted else None)
        self._link.accept(early)

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        """Hand a whole text message to the session; refuse what is none."""
        link = self._link
        if link.ending is not None:
            return
        if isinstance(event, BytesMessage):
            link.end(CloseCode.UNSUPPORTED_DATA)
            return
        text = event.data
        if not event.message_finished or self._message_parts:
            self._message_parts.append(text)
            self._message_bytes += len(text.encode())
            if self._message_bytes > self._max_bytes:
                link.end(CloseCode.TOO_BIG, self._too_big())
                return
            if not event.message_finished:
                return
            text = "".join(map(str, self._message_parts))
            self._message_parts = []
            self._message_bytes = 0
        await self._on_text(text)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        """Answer a close, or close for a fault of the peer's that the parser met."""
        if self._wsproto.state is ConnectionState.OPEN:
            code = _FAULTS.get(event.code, CloseCode.PROTOCOL_ERROR)
            self._link.end(code)
            self._reader_running = False
            with trio.move_on_after(0.25):
                await self._link.closed.wait()
            return
        await super()._handle_close_connection_event(event)

    def _frames(self) -> Any:
        connection = self._wsproto.connection
        return None if connection is None else connection._proto._frame_decoder

    def _check_declared_length(self) -> None:
        """Refuse a frame by the length that its header declares; called before each receive."""
        frames = self._frames()
        if frames is not None and frames.header is not None and self._link.ending is None:
            declared = frames.header.payload_len + self._message_bytes - frames.payload_consumed
            if declared > self._max_bytes:
                self._link.end(CloseCode.TOO_BIG, self._too_big())

    def _too_big(self) -> str:
        return f"a message has at most {self._max_bytes} bytes"

    def _make_close_frame(self, code: int, reason: str) -> bytes:
        try:
            return bytes(self._wsproto.send(CloseConnection(code=code, reason=reason)))
        except LocalProtocolError:
            return b""

