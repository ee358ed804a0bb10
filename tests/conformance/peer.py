"""A WebSocket peer that sends any bytes, and judges every byte that comes back by RFC 6455.

It shares no code with a WebSocket library nor with relay, so that a misreading common to both ends would be seen.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from tests.e2e.frames import BINARY, CLOSE, PING, PONG, TEXT, close_payload, encode_frame

_NAMES: Final = {TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}


class Fault(Exception):
    """The server did what RFC 6455 does not allow, or did not do in time what it must."""


class Frame(NamedTuple):
    """A frame of the server's; it fragments nothing, so each is whole."""

    opcode: int
    payload: bytes

    def __str__(self) -> str:
        shown = self.payload if len(self.payload) <= 40 else self.payload[:37] + b"..."
        return f"{_NAMES.get(self.opcode, self.opcode)} {shown!r}"


class Peer:
    """One connection, upgraded.

    Args:
        seconds: how long each frame may take to come.

    Attributes:
        closed: the code of the server's close frame; None while there was none, and 1005 for one without a code.
    """

    def __init__(self, address: tuple[str, int], seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._socket = socket.create_connection(address, timeout=seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._frames: deque[Frame] = deque()
        self._close_sent = False
        self.closed: int | None = None
        self._upgrade(address)

    def _upgrade(self, address: tuple[str, int]) -> None:
        key = base64.b64encode(os.urandom(16))
        self._socket.sendall(
            b"GET /ws HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (address[0].encode(), address[1], key)
        )
        while b"\r\n\r\n" not in self._received:
            self._fill(time.monotonic() + self._seconds)
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received[:] = rest
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        if not head.startswith(b"HTTP/1.1 101 ") or base64.b64encode(digest) not in head:
            raise Fault(f"the upgrade was answered with {head!r}")

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send bytes, each piece in a packet of its own; what a server that is gone does not take is lost."""
        try:
            for piece in pieces:
                self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def exchange(self, pieces: Iterable[bytes]) -> None:
        """Send as `send` does, and take what comes meanwhile: a server that echoes waits until it is read."""
        for piece in pieces:
            left = memoryview(piece)
            while left:
                readable, writable, _ = select.select([self._socket], [self._socket], [], self._seconds)
                if readable:
                    self._fill(time.monotonic() + self._seconds)
                if writable:
                    self._socket.settimeout(0)
                    left = left[self._socket.send(left) :]
                if not readable and not writable:
                    raise TimeoutError("the server neither reads nor writes")

    def next(self, seconds: float | None = None) -> Frame | None:
        """Return the next frame; None once the connection is over. The server's close is answered.

        Raises:
            TimeoutError: none came in time.
            Fault: the frame breaks RFC 6455, or follows a close.
        """
        deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        while (frame := self._parsed()) is None:
            if not self._fill(deadline):
                if self._received:
                    raise Fault(f"the connection ended within a frame: {bytes(self._received[:20])!r}")
                return None
        if self.closed is not None:
            raise Fault(f"after its close the server sent {frame}")
        if frame.opcode == CLOSE:
            self._note_close(frame.payload)
        return frame

    def _note_close(self, payload: bytes) -> None:
        self.closed = struct.unpack("!H", payload[:2])[0] if payload else 1005
        payload[2:].decode()
        if not self._close_sent:
            self.close(self.closed)

    def close(self, code: int = 1000) -> None:
        """Send a close frame."""
        self._close_sent = True
        self.send([encode_frame(close_payload(code) if code != 1005 else b"", CLOSE)])

    def end(self) -> None:
        """Leave."""
        self._socket.close()

    def _fill(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(1 << 20)
        except ConnectionResetError:
            return False
        self._received += data
        return bool(data)

    def _parsed(self) -> Frame | None:
        data = self._received
        if len(data) < 2:
            return None
        first, size, start = data[0], data[1] & 127, 2
        if data[1] & 128:
            raise Fault("a server's frame is masked")
        if first & 0x70 or not first & 0x80 or first & 15 not in _NAMES:
            raise Fault(f"a frame begins with {first:#x}")
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
            if size < (126 if start == 4 else 65536):
                raise Fault("a length is in more bytes than it needs")
        if first & 8 and size > 125:
            raise Fault("a control frame has over 125 bytes")
        if len(data) < start + size:
            return None
        frame = Frame(first & 15, bytes(data[start : start + size]))
        del data[: start + size]
        return frame
