"""WebSocket frames as bytes (RFC 6455 section 5.2), the malformed ones too."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
PLAIN = b"\0\0\0\0"  # a mask that leaves the payload readable in a trace


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    opcode: int
    payload: bytes
    fin: bool


def encode_frame(
    payload: bytes,
    opcode: int = TEXT,
    *,
    fin: bool = True,
    mask: bytes | None = None,
    masked: bool = True,
    rsv: int = 0,
    length: int | None = None,
) -> bytes:
    """Encode a frame, right or wrong: `length` is what the header declares, whatever follows it."""
    declared = len(payload) if length is None else length
    key = (os.urandom(4) if mask is None else mask) if masked else b""
    bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if declared < 126:
        head += bytes([bit | declared])
    elif declared < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", declared)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", declared)
    return head + key + (_xor(payload, key) if masked else payload)


def _xor(data: bytes, key: bytes) -> bytes:
    stream = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack("!H", code) + reason
