"""WebSocket frames (RFC 6455 section 5.2): those a server makes, and the one kind that nearly all clients send.

A frame of the server's is unmasked, whole and uncompressed, and is made once for any number of peers.
"""

from __future__ import annotations

import struct
from typing import Final

MAX_REASON_BYTES: Final = 123
PING_FRAME: Final = b"\x89\x00"
"""A ping without a payload, which every WebSocket library answers by itself."""

_short = struct.Struct("!BB").pack
_medium = struct.Struct("!BBH").pack
_long = struct.Struct("!BBQ").pack
_TEXT: Final = 0x81
"""The first byte of a whole text frame: the FIN bit and the opcode."""

_CLOSE: Final = 0x88
_MASKED: Final = 128
_LONGEST_HEADER: Final = 8
"""Of the frames that are read here: two bytes, two more of an extended length, and the mask."""


def text_frame(text: bytes) -> bytes:
    """Return `text` (UTF-8) as one complete text frame."""
    size = len(text)
    if size < 126:
        return _short(_TEXT, size) + text
    if size < 65536:
        return _medium(_TEXT, 126, size) + text
    return _long(_TEXT, 127, size) + text


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; a reason over 123 bytes of UTF-8 is cut at a character."""
    body = reason.encode()
    if len(body) > MAX_REASON_BYTES:
        body = body[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return _short(_CLOSE, 2 + len(body)) + struct.pack("!H", code) + body


def read_text_frame(data: bytes, start: int, max_bytes: int) -> tuple[str, int] | None:
    """Return the text of the client's frame at `start`, and where the next one begins.

    None where there is anything but a whole text frame of at most `max_bytes`, and of fewer than 65,536: half a
    frame, a fragment, a control frame, or a fault, which all need a real parser.
    """
    length = len(data)
    if length - start < _LONGEST_HEADER or data[start] != _TEXT:
        return None
    # An unmasked frame has a negative size here, and one with an eight-byte length has 127.
    size, payload = data[start + 1] - _MASKED, start + 6
    if size == 126:
        size, payload = int.from_bytes(data[start + 2 : start + 4], "big"), start + 8
        if size < 126:
            return None  # a length in more bytes than it needs is a fault
    elif not 0 <= size < 126:
        return None
    end = payload + size
    if size > max_bytes or end > length:
        return None
    # The mask (RFC 6455 section 5.3) is undone by large integers: a loop over 120 bytes takes eight times as long.
    key = (data[payload - 4 : payload] * (size // 4 + 1))[:size]
    text = int.from_bytes(data[payload:end], "little") ^ int.from_bytes(key, "little")
    try:
        return text.to_bytes(size, "little").decode(), end
    except UnicodeDecodeError:
        return None
