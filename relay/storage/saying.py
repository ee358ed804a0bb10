"""Looking for a text in what was said by reading it, so much at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from relay.storage.folding import folded

CONTENT: Final = "json_extract(payload, '$.content')"
"""What a message says, as the last column of the rows to look through."""

LOOKED_AT: Final = 2_000_000
"""Characters that one page reads through; each message counts as 100 besides."""

_EACH: Final = 100


def that_say(rows: Iterable[Any], text: str, wanted: int) -> tuple[list[Any], int | None]:
    """Return the rows of messages that say a text, in any case and with any accents, and where the reading ended.

    Args:
        rows: with the seq second and `CONTENT` last.
        wanted: so many are enough.

    Returns:
        The rows, and the last seq that was looked at where so many characters were read that there may be more
        after it; None where the rows ended, or enough of them were found.
    """
    sought, looked = folded(text), 0
    found: list[Any] = []
    for row in rows:
        content = "" if row[-1] is None else str(row[-1])
        looked += _EACH + len(content)
        if sought in folded(content):
            found.append(row)
            if len(found) == wanted:
                return found, None
        if looked >= LOOKED_AT:
            return found, row[1]
    return found, None
