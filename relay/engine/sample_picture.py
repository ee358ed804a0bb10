"""The picture of the sample data: a hut below the mountains, drawn here, so that nobody else's file is needed."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_WIDTH: Final = 640
_HEIGHT: Final = 400
_STEP: Final = 4
"""Pixels of one step of the drawing, which is 160 by 100 of them."""

_PEAKS: Final = ((20, 46), (62, 60), (104, 40), (142, 54))
"""The mountains: where each has its peak, from the left, and how high that is."""

_SKY_TOP: Final = (74, 111, 165)
_SKY_BELOW: Final = (247, 200, 150)
_SUN: Final = (255, 236, 179)
_SNOW: Final = (240, 243, 248)
_ROCK: Final = (84, 98, 122)
_MEADOW: Final = (92, 135, 80)
_WALL: Final = (134, 88, 56)
_ROOF: Final = (96, 46, 40)
_WINDOW: Final = (255, 220, 120)

Colour = tuple[int, int, int]


def draw_png() -> bytes:
    """Return the picture as a PNG (RFC 2083)."""
    columns, lines = _WIDTH // _STEP, _HEIGHT // _STEP
    rows = bytearray()
    for y in range(lines):
        pixels = b"".join(bytes(_colour(x, y)) * _STEP for x in range(columns))
        rows += (b"\0" + pixels) * _STEP
    head = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _colour(x: int, y: int) -> Colour:
    """Return the colour at a place, nearest things first."""
    if 92 <= x < 124 and 62 <= y < 80:  # the hut: a roof that widens, a wall with two windows
        if y < 70:
            if abs(x - 107.5) <= 4 + 1.6 * (y - 62):
                return _ROOF
        elif 95 <= x < 121:
            return _WINDOW if 73 <= y < 77 and (99 <= x < 104 or 112 <= x < 117) else _WALL
    if y >= 76:
        return _mixed(_MEADOW, (58, 96, 58), (y - 76) / 24)
    for peak, height in _PEAKS:
        above = 80 - height + 1.15 * abs(x - peak)
        if y >= above:
            return _SNOW if y < above + 9 - abs(x - peak) / 3 else _mixed(_ROCK, (60, 72, 94), (x - peak) / 30)
    if (x - 126) ** 2 + (y - 16) ** 2 <= 64:
        return _SUN
    return _mixed(_SKY_TOP, _SKY_BELOW, y / 70)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
