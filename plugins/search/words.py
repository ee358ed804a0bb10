"""Words as the index knows them: one form for what a reader takes for the same, in any language.

Letters lose case, accents and width, as `relay/storage/folding.py` has it. Scripts that are written without
spaces are cut into single characters, and a run of them is looked up as a phrase: so one character finds, and any
part of a longer word. Signs that are no punctuation, such as 🎉 and €, are words of one character too.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from relay.plugin import DROPPED, plain, ranges

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
    "\U00020000-\U0003ffff"
)
_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_PUNCTUATION = set(map(ord, "\u2044\u2212\u2215\u2216\u2217\u2223\u223c"))
"""Signs of mathematics that stand for /, -, \\, *, | and ~."""

_SKIN = range(0x1F3FB, 0x1F400)
_VOICED = "[\u3099\u309a]"
"""Marks of kana, where they stand by themselves."""


_ASTRAL = 0x10000


class Patterns:
    """What finds words, made of what this Python knows of Unicode.

    Args:
        end: beyond the last code point of a text. Classes of the first 65,536 alone are several times as quick.
    """

    def __init__(self, end: int) -> None:
        marks, signs, letterlike = map(ranges, _kinds(end))
        letter = rf"[^\W_{UNSPACED}]"
        sign = rf"[{UNSPACED}{signs}]"
        self.word = re.compile(rf"[{UNSPACED}]|{letter}+(?:[{marks}][{marks}]*{letter}*)*|[{signs}]")
        joined = rf"[{marks}{DROPPED}{letterlike}]"
        self.part = re.compile(rf"(?:{letter}|[{letterlike}]){letter}*(?:{joined}+{letter}*)*|{sign}{_VOICED}?")


@cache
def _of_all() -> Patterns:
    return Patterns(0x20000)


@cache
def _of_most() -> Patterns:
    return Patterns(_ASTRAL)


def _patterns(text: str) -> Patterns:
    astral = len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)
    return _of_all() if astral else _of_most()


def _kinds(end: int) -> tuple[list[int], list[int], list[int]]:
    """Return the marks that are letters to a reader, the signs that are words, and the signs that are letters."""
    left_out = re.compile(f"[{DROPPED}{UNSPACED}]")
    marks, signs, letterlike = [], [], []
    for code in range(0xA0, end):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind[0] not in "MS" or left_out.match(character):
            continue
        if kind[0] == "M":
            marks.append(code)
        elif unicodedata.normalize("NFKD", character) == character:
            if (kind != "Sk" or code in _SKIN) and code not in _PUNCTUATION:
                signs.append(code)
        elif plain(character)[:1].isalnum():
            letterlike.append(code)
    return marks, signs, letterlike


def words(text: str) -> list[str]:
    """Return the words of a text, in order, without case, accents and width."""
    if not text.isascii():
        text = plain(text)
        if not text.isascii():
            return _patterns(text).word.findall(text)
    return text.encode().translate(_ASCII).decode().split()


def located(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each word of a text with where it stands there, for marking it."""
    for part in _patterns(text).part.finditer(text):
        for word in words(part.group()):
            yield word, part.start(), part.end()
