"""A splitter of WebSocket frames (RFC 6455 section 5.2), for tests that look at a connection from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Frame(NamedTuple):
    """One frame as it came.

    Attributes:
        raw: all its bytes.
        opcode: its kind, 1 for text, 8 for a close.
        final: whether it ends its message.
        payload: what it carries, still masked where a client sent it.
    """

    raw: bytes
    opcode: int
    final: bool
    payload: bytes


class FrameSplitter:
    """Cuts what comes of one side of a connection into frames. It judges nothing.

    Attributes:
        rest: the part of a frame that came and is not whole.
    """

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole with these bytes."""
        self.rest += data
        while (frame := self._next()) is not None:
            self.rest = self.rest[len(frame.raw) :]
            yield frame

    def _next(self) -> Frame | None:
        data = self.rest
        if len(data) < 2:
            return None
        size, start = data[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        start += 4 if data[1] & 128 else 0
        if len(data) < start or len(data) < start + size:
            return None
        return Frame(data[: start + size], data[0] & 15, bool(data[0] & 128), data[start : start + size])
