"""A report of what did not fit in an export: counts by kind, the first examples, and all of it in a file."""

from __future__ import annotations

from collections import Counter
from typing import IO, Final

import msgspec

EXAMPLES: Final = 3


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that did not fit.

    Attributes:
        kind: a word for all that are alike, such as `left_out_join`.
        where: the file of the export, with the line or the number of the message in it.
        about: what it was, in a few words.
    """

    kind: str
    where: str
    about: str = ""


class Report:
    """Counts what did not fit, and how much did.

    Args:
        file: where each note becomes a line of JSON.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.kinds: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.examples: dict[str, list[Note]] = {}
        self._file = file

    def note(self, kind: str, where: str, about: object = "") -> None:
        """Add what did not fit."""
        note = Note(kind, where, " ".join(str(about).split())[:200])
        self.kinds[kind] += 1
        kept = self.examples.setdefault(kind, [])
        if len(kept) < EXAMPLES:
            kept.append(note)
        if self._file is not None:
            self._file.write(msgspec.json.encode(note) + b"\n")
