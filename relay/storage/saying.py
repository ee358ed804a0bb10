"""Looking for a text in what was said by reading it, so much at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from relay.storage.folding import folded

CONTENT: Final = "json_extract(payload, '$.content')"
"""What a message says, as the last column of the rows to look through."""

LOOKED_AT: Final = 2_000_000
"""Characters that one page reads through; each message counts as 100 besides."""

_EACH: Final = 100


class Saying:
    """The rows of messages that say a text, in any case and with any accents, as far as one page reads.

    Args:
        rows: with the seq second and `CONTENT` last, which is left out of what is yielded.

    Attributes:
        ended: the last seq that was looked at, once so many characters were read that it ended there; None before.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], text: str) -> None:
        self.ended: int | None = None
        self._rows = rows
        self._sought = folded(text)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        looked = 0
        for row in self._rows:
            content = "" if row[-1] is None else str(row[-1])
            looked += _EACH + len(content)
            if self._sought in folded(content):
                yield row[:-1]
            if looked >= LOOKED_AT:
                self.ended = row[1]
                return
