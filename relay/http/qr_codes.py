"""QR codes of links, as rows of modules for a page, or drawn for a terminal."""

from __future__ import annotations

from typing import TextIO

import segno


def rows_of(text: str) -> list[str]:
    """Return the QR code of a text as rows of dark (1) and light (0) modules, without the margin around them."""
    return ["".join(map(str, row)) for row in segno.make(text, error="m", micro=False).matrix]


def draw(text: str, out: TextIO) -> None:
    """Draw the QR code of a text on a terminal."""
    segno.make(text, error="m", micro=False).terminal(out=out, compact=True)
