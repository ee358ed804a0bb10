"""One form for what a reader takes for the same text, in any script: what search, names and history compare.

Letters lose case, accents and width, Arabic and Hebrew their points. What the eye does not see is dropped and
parts no word. The vowels of Indic and other scripts are marks too, but they are letters to a reader, and stay.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from re import Pattern
from re import compile as compiled
from typing import Final

MOST_MARKS: Final = 30
"""Marks on one letter, in a row; more are cut off. To order them takes the square of how many there are.

UAX #15, section 13: no text of any language needs more.
"""

ACCENTS: Final = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
POINTS: Final = (
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic
    "\u0711\u0730-\u074a\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff"  # Syriac, more Arabic
)
UNSEEN: Final = (
    "\u00ad\u061c\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef"
)
"""Joiners, soft hyphens, directions and variants. A space of no width is a space, and not among them."""

DROPPED: Final = ACCENTS + POINTS + UNSEEN
_DROPPED: Final = compiled(f"[{DROPPED}][{DROPPED}]*")  # a search for one of a class is the quickest there is
_SUSPECT: Final = compiled(rf"[^\w\s][^\w\s]{{{MOST_MARKS}}}")
_SPACE: Final = compiled(r"\s+")
_MARKS_END: Final = 0x20000
"""No mark has a higher number than this but variants of Han (UNSEEN)."""


def ranges(codes: Iterable[int]) -> str:
    """Return rising code points as what stands between the brackets of a regular expression."""
    parts: list[list[int]] = []
    for code in codes:
        if parts and code == parts[-1][1] + 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(f"{_escaped(first)}-{_escaped(last)}" for first, last in parts)


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


@cache
def _runs() -> Pattern[str]:
    """Return what finds marks in a row beyond the most, of what this Python knows of Unicode."""
    marks = ranges(code for code in range(0x300, _MARKS_END) if unicodedata.combining(chr(code)))
    return compiled(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def without_runs(text: str) -> str:
    """Return a text with no more than 30 marks in a row, so that it can be normalized in a time of its length."""
    if len(text) <= MOST_MARKS or _SUSPECT.search(text) is None:
        return text
    return _runs().sub(r"\1", text)


def plain(text: str) -> str:
    """Return a text without case, accents, points, width and what is not seen; spaces and signs stay."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", without_runs(text)).casefold()
    return unicodedata.normalize("NFC", _DROPPED.sub("", text))


def folded(text: str) -> str:
    """Return a name, or what is looked for in names, in the form to compare: plain, with single spaces."""
    return _SPACE.sub(" ", plain(text)).strip()


def sought(user_id: str, display_name: str) -> str:
    """Return what a person is looked for by: their names, each on a line, as no text to look for has two."""
    return f"{folded(user_id)}\n{folded(display_name)}"
