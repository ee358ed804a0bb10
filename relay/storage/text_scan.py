"""A search for a text that reads the messages of one conversation, a bounded amount for each page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from relay.storage.folding import folded

CONTENT: Final = "json_extract(payload, '$.content')"
"""The text of a message, the last column of the rows to scan."""

SCANNED: Final = 2_000_000
"""Characters that are scanned for one page; each message counts as 100 more."""

_PER_MESSAGE: Final = 100


class TextScan:
    """The rows of messages that contain a text, as far as one page scans; case and accents are ignored.

    Args:
        rows: with the seq second and `CONTENT` last, which is left out of the rows that are yielded.

    Attributes:
        ended: the seq of the last message scanned, if the scan stopped at its bound; None otherwise.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]], text: str) -> None:
        self.ended: int | None = None
        self._rows = rows
        self._sought = folded(text)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        scanned = 0
        for row in self._rows:
            content = "" if row[-1] is None else str(row[-1])
            scanned += _PER_MESSAGE + len(content)
            if self._sought in folded(content):
                yield row[:-1]
            if scanned >= SCANNED:
                self.ended = row[1]
                return


def contains(payload: bytes, text: str) -> bool:
    """Tell whether the text of a message contains another, as a scan finds it; the payload is given as JSON."""
    content = msgspec.json.decode(payload).get("content")
    return folded(text) in folded("" if content is None else str(content))
