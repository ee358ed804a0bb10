"""Words as the index knows them: one form for what a reader takes for the same, in any language.

Letters lose case, accents and width. Scripts that are written without spaces are cut into single characters, and a
run of them is looked up as a phrase: so one character finds, and any part of a longer word.
"""

import re
import unicodedata
from collections.abc import Iterator

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
    "\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_ACCENTS = "\u0300-\u036f"
_ACCENT = re.compile(f"[{_ACCENTS}]")
_PART = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:[{_ACCENTS}]+[^\W_{UNSPACED}]*)*")
"""A word as it is written: an accent may be a character of its own."""


def words(text: str) -> list[str]:
    """Return the words of a text, in order, without case, accents and width."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode().split()
    plain = _ACCENT.sub("", unicodedata.normalize("NFKD", text).casefold())
    return WORD.findall(unicodedata.normalize("NFC", plain))


def located(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each word of a text with where it stands there, for marking it."""
    for part in _PART.finditer(text):
        for word in words(part.group()):
            yield word, part.start(), part.end()
