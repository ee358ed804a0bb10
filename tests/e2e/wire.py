"""A WebSocket client on a plain blocking socket, for tests that choose every byte that goes out.

It shares no code with relay's own client nor with any WebSocket library, on purpose: a misreading of
RFC 6455 common to both ends would never be seen. Every wait has a deadline.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from relay.testing.checking import Described, Frames
from tests.e2e.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, encode_frame

Address = tuple[str, int]
Envelope = dict[str, Any]

PATIENCE = 60.0
"""Seconds that a test waits for what must come: a bound on its end, and nothing that it measures."""


class Gone(ConnectionError):
    """The peer ended the TCP connection."""


class Closed(Gone):
    """The peer sent a close frame."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Response:
    """The answer to an HTTP request; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def request(
    target: str = "/ws",
    headers: Mapping[str, bytes | str | None] | None = None,
    *,
    method: str = "GET",
    version: str = "1.1",
    upgrade: bool = True,
    key: str = "dGhlIHNhbXBsZSBub25jZQ==",
) -> bytes:
    """Write a request head by hand; a header given as None is left out, any other replaces ours."""
    lines: dict[str, bytes | str | None] = {"Host": "relay.test"}
    if upgrade:
        lines |= {"Connection": "Upgrade", "Upgrade": "websocket"}
        lines |= {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    lines |= headers or {}
    head = f"{method} {target} HTTP/{version}\r\n".encode("latin-1")
    for name, value in lines.items():
        if value is not None:
            raw = value if isinstance(value, bytes) else value.encode("latin-1")
            head += name.encode() + b": " + raw + b"\r\n"
    return head + b"\r\n"


class Wire:
    """One TCP connection to the server, spoken to in bytes, HTTP heads or WebSocket frames.

    Args:
        described: the server's own AsyncAPI document, which every envelope that comes is held to, and every one that
            was sent and taken; see `relay.testing.checking.Frames`.
    """

    def __init__(
        self,
        address: Address,
        described: Described,
        *,
        timeout: float = PATIENCE,
        receive_buffer: int | None = None,
    ) -> None:
        self.timeout = timeout
        self._checks = Frames(described)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._buffer = bytearray()
        self._close_sent = False
        self._parts = bytearray()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """End the connection with a TCP reset instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- bytes ---

    def send_bytes(self, data: bytes) -> None:
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            raise Gone(str(error)) from error

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server said nothing in time")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise TimeoutError("the server said nothing in time") from None
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("end of stream")
        self._buffer += data

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            self._fill(deadline)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    # --- HTTP ---

    def read_response(self, timeout: float | None = None) -> Response:
        """Read one HTTP answer; of a 101 only the head."""
        deadline = self._deadline(timeout)
        while b"\r\n\r\n" not in self._buffer:
            self._fill(deadline)
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        status = int(first.split(" ")[1])
        if status in (100, 101, 204, 304):
            return Response(status, headers)
        return Response(status, headers, self._read_body(headers, deadline))

    def _read_body(self, headers: dict[str, str], deadline: float) -> bytes:
        if "content-length" in headers:
            return self._take(int(headers["content-length"]), deadline)
        body = bytearray()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self._line(deadline), 16):
                body += self._take(size, deadline)
                self._line(deadline)
            self._line(deadline)
            return bytes(body)
        with contextlib.suppress(Gone):
            while True:
                self._fill(deadline)
        body += self._buffer
        self._buffer.clear()
        return bytes(body)

    def _line(self, deadline: float) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill(deadline)
        return self._take(self._buffer.index(b"\r\n") + 2, deadline)[:-2]

    def upgrade(
        self,
        target: str = "/ws",
        headers: Mapping[str, bytes | str | None] | None = None,
        *,
        together_with: bytes = b"",
    ) -> Response:
        """Become a WebSocket; `together_with` goes out in the same packet as the head."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.send_bytes(request(target, headers, key=key) + together_with)
        response = self.read_response()
        assert response.status == 101, response
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert response.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        return response

    # --- frames ---

    def send_frame(self, payload: bytes, opcode: int = TEXT, **options: Any) -> None:
        self._close_sent |= opcode == CLOSE
        if opcode == TEXT:
            self._checks.sent(payload.decode(errors="replace"))
        self.send_bytes(encode_frame(payload, opcode, **options))

    def send_all(self, texts: list[str]) -> None:
        """Send many texts in as few packets as the kernel makes of them."""
        for text in texts:
            self._checks.sent(text)
        self.send_bytes(b"".join(encode_frame(text.encode()) for text in texts))

    def send_json(self, value: object, **options: Any) -> None:
        self.send_frame(json.dumps(value).encode(), **options)

    def recv_frame(self, timeout: float | None = None) -> Frame:
        deadline = self._deadline(timeout)
        # Nothing leaves the buffer before a whole frame is there, so that a wait that timed out can go on.
        while (frame := self._frame()) is None:
            self._fill(deadline)
        return frame

    def _frame(self) -> Frame | None:
        data = self._buffer
        if len(data) < 2:
            return None
        assert not data[0] & 0x70, "a reserved bit is set and no extension was negotiated"
        assert not data[1] & 0x80, "a server never masks"
        start, size = 2, data[1] & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        frame = Frame(data[0] & 0x0F, bytes(data[start : start + size]), bool(data[0] & 0x80))
        del data[: start + size]
        return frame

    def recv_json(self, timeout: float | None = None) -> Envelope:
        """Read the next envelope, answering pings; a close frame is answered and raised as `Closed`."""
        deadline = self._deadline(timeout)
        while True:
            frame = self.recv_frame(deadline - time.monotonic())
            if frame.opcode == PING:
                self.send_frame(frame.payload, PONG)
            elif frame.opcode == CLOSE:
                self._raise_closed(frame.payload)
            elif frame.opcode in (TEXT, CONTINUATION):
                self._parts += frame.payload
                if frame.fin:
                    text, self._parts = bytes(self._parts), bytearray()
                    value = json.loads(text)
                    assert isinstance(value, dict), value
                    self._checks.received(value)
                    return value
            else:
                assert frame.opcode == PONG, frame

    def _raise_closed(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else None
        if not self._close_sent:
            with contextlib.suppress(Gone):
                self.send_frame(payload[:2], CLOSE)
        raise Closed(code, payload[2:].decode("utf-8"))

    def wait_closed(self, timeout: float | None = None) -> int | None:
        """Read to the end; return the code of the close frame, or None when there was none."""
        deadline = self._deadline(timeout)
        try:
            while True:
                self.recv_json(deadline - time.monotonic())
        except Closed as closed:
            return closed.code
        except Gone:
            return None

    # --- the contract ---

    def hello(self, token: str | None, client_id: str | None, **payload: Any) -> Envelope:
        """Send a hello and return the payload of the `ready` that must be the next envelope."""
        self.send_json(hello(token, client_id, **payload))
        return self.expect_ready()

    def expect_ready(self) -> Envelope:
        ready = self.recv_json()
        assert ready["type"] == "connection_event", ready
        payload: Envelope = ready["payload"]
        assert payload["event"] == "ready", ready
        return payload


def hello(token: str | None, client_id: str | None, **payload: Any) -> Envelope:
    """Build a hello; an argument that is None is left out."""
    body = {"event": "hello", "token": token, **payload}
    meta = {} if client_id is None else {"client_id": client_id}
    present = {name: value for name, value in body.items() if value is not None}
    return {"type": "connection_event", "payload": present, "meta": meta}
