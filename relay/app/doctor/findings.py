"""Findings of `relay doctor`: one check's outcome each, in words, with the lines that mend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["good", "unknown", "warning", "bad"]


class Finding(msgspec.Struct, frozen=True):
    """The outcome of one check.

    Attributes:
        check: its name, one word.
        state: `bad` keeps people or the server from their work; `unknown` could not be found out.
        text: what was found and, where it is not good, what would be right.
        mend: lines to add, by where they belong: a proxy or a file.
    """

    check: str
    state: State
    text: str
    mend: Mapping[str, str] = {}


def good(check: str, text: str) -> Finding:
    """Return a check that found all well."""
    return Finding(check, "good", text)


def bad(check: str, text: str, mend: Mapping[str, str] | None = None) -> Finding:
    """Return a check that found a fault."""
    return Finding(check, "bad", text, mend or {})


def warning(check: str, text: str, mend: Mapping[str, str] | None = None) -> Finding:
    """Return a check that found what may become a fault."""
    return Finding(check, "warning", text, mend or {})


def unknown(check: str, text: str) -> Finding:
    """Return a check that could not be made."""
    return Finding(check, "unknown", text)
