"""Folding: one form of text for comparisons in search, names and history, in any script.

Letters lose case, accents and width; Arabic and Hebrew letters lose their points. Invisible characters are dropped
and do not separate words. Vowel signs of Indic and other scripts are marks too, but readers count them as letters,
so they stay.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from re import Pattern
from re import compile as compiled
from typing import Final

MOST_MARKS: Final = 30
"""Marks in a row on one letter; further ones are cut off, since normalizing takes time quadratic in their number.

No text of any language needs more (UAX #15, section 13).
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
"""Joiners, soft hyphens, directions and variants. A zero-width space separates words, so it is not among them."""

DROPPED: Final = ACCENTS + POINTS + UNSEEN
_DROPPED: Final = compiled(f"[{DROPPED}][{DROPPED}]*")  # Python's re finds one character of a class fastest
_SUSPECT: Final = compiled(rf"[^\w\s][^\w\s]{{{MOST_MARKS}}}")
_SPACE: Final = compiled(r"\s+")
_MARKS_END: Final = 0x20000
"""The end of the range of marks; only the variants of Han, which are in UNSEEN, come after it."""


def ranges(codes: Iterable[int]) -> str:
    """Return ascending code points as ranges for the inside of a regular expression's brackets."""
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
    """Return a pattern for the marks beyond MOST_MARKS in a row, by this Python's version of Unicode."""
    marks = ranges(code for code in range(0x300, _MARKS_END) if unicodedata.combining(chr(code)))
    return compiled(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def without_runs(text: str) -> str:
    """Return a text with at most MOST_MARKS marks in a row, so that normalizing it takes linear time."""
    if len(text) <= MOST_MARKS or _SUSPECT.search(text) is None:
        return text
    return _runs().sub(r"\1", text)


def plain(text: str) -> str:
    """Return a text without case, accents, points, width and invisible characters; spaces and signs stay."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", without_runs(text)).casefold()
    return unicodedata.normalize("NFC", _DROPPED.sub("", text))


def folded(text: str) -> str:
    """Return a name, or a query for names, in the form that is compared: plain, with single spaces."""
    return _SPACE.sub(" ", plain(text)).strip()


def sought(user_id: str, display_name: str) -> str:
    """Return the text that a search for a user looks through: both names, one a line (a query has one line)."""
    return f"{folded(user_id)}\n{folded(display_name)}"
