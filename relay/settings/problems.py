"""Problems of a configuration, in words that let a reader correct each without looking anything up.

Exception
 └─ SettingsError   carries every problem found, not only the first one
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

ENVIRONMENT = "environment"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem; `file` is "environment" for a variable, `line` is None where there is none."""

    file: str
    line: int | None = None
    key: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class SettingsError(Exception):
    """The configuration cannot be used; the text has every problem, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file == ENVIRONMENT, problem.line or 0))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most like the given one, or None when nothing comes near."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    # An abbreviation shares too few letters with its name to come near: ttl for ttl_seconds.
    found = found or [candidate for candidate in by_lower if candidate.startswith(f"{name.lower()}_")]
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "did you mean …?" with the nearest name, or an empty text."""
    found = nearest(name, names)
    return f"did you mean {found}?" if found else ""
