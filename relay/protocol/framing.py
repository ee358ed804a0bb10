"""Server frames (RFC 6455 section 5.2): unmasked, whole, uncompressed, made once for any number of peers."""

from __future__ import annotations

import struct
from typing import Final

MAX_REASON_BYTES: Final = 123
PING_FRAME: Final = b"\x89\x00"
"""A ping without a payload; every peer's library answers it by itself."""

_short = struct.Struct("!BB").pack
_medium = struct.Struct("!BBH").pack
_long = struct.Struct("!BBQ").pack
_TEXT: Final = 0x81
_CLOSE: Final = 0x88


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
