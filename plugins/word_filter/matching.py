"""Words found in a text, in time that is linear in its length.

A text is folded letter by letter, with the place of each: case, accents, width and what nobody sees are gone, so
that full-width letters, `frák`, and `frak` with a zero-width space in it are one word. It is cut into runs of
letters and digits. A word of the list is a run, several words are runs in a row, and `*` stands for any letters of
a run. Nothing is tried twice: the parts of a word between its stars are looked for from left to right.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Generic, NamedTuple, TypeVar

from relay.plugin import plain, ranges

T = TypeVar("T")
_ASCII_RUN = re.compile(r"[^\W_]+")
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2028\u2029\ufeff\u180e"))
"""Invisible characters besides those that `plain` drops; inside a word they are there to hide it."""

_LONGEST = 64
"""The most characters that are taken for one letter with its marks."""


class Run(NamedTuple):
    """A run of letters and digits of a text: folded, and where it begins and ends in the text."""

    letters: str
    start: int
    end: int


class Found(NamedTuple, Generic[T]):
    """A word of the list in a text: from where to where, and what the list says of it."""

    start: int
    end: int
    what: T


@lru_cache(maxsize=4096)
def _folded(cluster: str) -> str:
    """Return a letter with its marks, without case, accents and width; "" for what nobody sees."""
    return plain(cluster.translate(_UNSEEN))


@cache
def _run() -> re.Pattern[str]:
    """Return a pattern for a run; vowel signs, which are marks, are letters to who reads them."""
    marks = ranges(code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks}])*")


def runs(text: str) -> list[Run]:
    """Return the runs of a text, in order."""
    if text.isascii():
        return [Run(one.group().lower(), one.start(), one.end()) for one in _ASCII_RUN.finditer(text)]
    letters: list[str] = []
    places: list[tuple[int, int]] = []
    for start, end in _clusters(text):
        folded = _folded(text[start:end])
        letters.append(folded)
        places.extend([(start, end)] * len(folded))
    return [
        Run(one.group(), places[one.start()][0], places[one.end() - 1][1])
        for one in _run().finditer("".join(letters))
    ]


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each letter of a text begins, and where the marks on it end."""
    start = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or not _continues(text[place]) or place - start > _LONGEST:
            yield start, place
            start = place


def _continues(character: str) -> bool:
    """Tell whether a character belongs to the letter before it: a mark, or the rest of a Korean syllable."""
    return "\u1160" <= character <= "\u11ff" or (
        character >= "\u0300" and unicodedata.category(character)[0] == "M"
    )


class _Pattern(NamedTuple):
    """A word of the list: its parts between the stars, and whether it begins and ends with one."""

    parts: tuple[str, ...]
    open_start: bool
    open_end: bool

    def fits(self, letters: str) -> bool:
        """Tell whether a run is this word. Each part is looked for behind the one before, and never again."""
        parts = self.parts
        if not parts:
            return True
        if not self.open_start and not letters.startswith(parts[0]):
            return False
        at = 0
        for number, part in enumerate(parts):
            if number == len(parts) - 1 and not self.open_end:
                return (
                    len(letters) - len(part) >= at
                    and letters.endswith(part)
                    and (self.open_start or number > 0 or len(letters) == len(part))
                )
            at = letters.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return True


class Words(Generic[T]):
    """A list of words to find, each with what is said of it.

    Args:
        listed: the words; a word that is there twice is what it is the first time.

    Raises:
        ValueError: a word has no letter and no digit.
    """

    def __init__(self, listed: Iterable[tuple[str, T]]) -> None:
        self._whole: dict[str, tuple[int, T]] = {}
        self._others: list[tuple[int, tuple[_Pattern, ...], T]] = []
        for number, (word, what) in enumerate(listed):
            patterns = _patterns(word)
            if len(patterns) == 1 and "*" not in word:
                self._whole.setdefault(patterns[0].parts[0], (number, what))
            else:
                self._others.append((number, patterns, what))

    def has(self, what: T) -> bool:
        """Tell whether the list says this of any word."""
        said = [one for _number, one in self._whole.values()] + [one for _number, _patterns, one in self._others]
        return what in said

    def __bool__(self) -> bool:
        return bool(self._whole or self._others)

    def find(self, text: str) -> Iterator[Found[T]]:
        """Yield the words of the list that a text has, in order; where two fit, the one that is listed first."""
        found = runs(text)
        for at, run in enumerate(found):
            best = self._whole.get(run.letters)
            length = 1
            for number, patterns, what in self._others:
                if (best is None or number < best[0]) and _fit(patterns, found, at):
                    best, length = (number, what), len(patterns)
                    break
            if best is not None:
                yield Found(run.start, found[at + length - 1].end, best[1])


def _fit(patterns: Sequence[_Pattern], found: Sequence[Run], at: int) -> bool:
    if at + len(patterns) > len(found):
        return False
    return all(pattern.fits(found[at + number].letters) for number, pattern in enumerate(patterns))


def _patterns(word: str) -> tuple[_Pattern, ...]:
    patterns = []
    for piece in word.split():
        parts = ["".join(run.letters for run in runs(part)) for part in piece.split("*")]
        kept = tuple(part for part in parts if part)
        if kept:
            patterns.append(_Pattern(kept, piece.startswith("*"), piece.endswith("*")))
    if not patterns:
        raise ValueError(f"{word!r} has no letter and no digit; a word of the list needs one")
    return tuple(patterns)


def masked(text: str, found: Iterable[Found[T]]) -> str:
    """Return a text with a dot in the place of each letter of some words."""
    letters = list(text)
    for one in found:
        for place in range(one.start, one.end):
            if not letters[place].isspace():
                letters[place] = "•"
    return "".join(letters)
