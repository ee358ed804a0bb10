"""Conditional requests and ranges: RFC 9110 sections 13 and 14, rule by rule.

Everything served here has a strong entity tag and no date. So conditions by date are ignored, as sections 13.1.3
and 13.1.4 say, and a date in `If-Range` is never met (section 13.1.5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from quart import request

_TAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_RANGES: Final = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_ONE: Final = re.compile(r"(\d*)-(\d*)", re.ASCII)
_LONGEST: Final = 18
"""The most digits of a position that are read: a longer one is beyond the end of any file."""


class Part(NamedTuple):
    """A range of bytes, `stop` excluded; an empty one means that the request cannot be satisfied."""

    start: int
    stop: int


def precondition(tag: str) -> int | None:
    """Return the status that the request's conditions demand, 304 or 412; None to go on.

    Args:
        tag: the entity tag of the file, without quotes.
    """
    if_match = _header("If-Match")
    if if_match is not None and if_match.strip() != "*" and (False, tag) not in _tags(if_match):
        return 412
    if_none_match = _header("If-None-Match")
    if if_none_match is not None and (
        if_none_match.strip() == "*" or tag in [other for _, other in _tags(if_none_match)]
    ):
        return 304 if request.method in ("GET", "HEAD") else 412
    return None


def wanted_part(tag: str, size: int) -> Part | None:
    """Return the range that a GET asks for; None for the whole.

    Several ranges bring the whole, which section 14.2 allows, and so does a malformed range.
    """
    ranges = _header("Range")
    if ranges is None or request.method != "GET":
        return None
    condition = _header("If-Range")
    if condition is not None and _tags(condition) != [(False, tag)]:
        return None
    found = _RANGES.fullmatch(ranges.strip())
    parts = [] if found is None else _parts(found[1], size)
    if not parts:
        return None
    met = [part for part in parts if part.start < part.stop]
    if not met:
        # A suffix of an empty file is all of it, which no Content-Range can express.
        return None if size == 0 and _has_suffix(ranges) else Part(0, 0)
    return met[0] if len(parts) == 1 else None


def _parts(ranges: str, size: int) -> Sequence[Part]:
    """Return the ranges of a range set; none if one of them is malformed."""
    found = []
    for one in ranges.split(","):
        text = one.strip(" \t")
        if not text:
            continue  # a list may have empty elements (section 5.6.1)
        match = _ONE.fullmatch(text)
        if match is None or text == "-":
            return []
        first, last = match.groups()
        if not first:
            found.append(Part(max(0, size - _number(last)), size))
        elif last and _number(last) < _number(first):
            return []
        else:
            stop = min(size, _number(last) + 1) if last else size
            found.append(Part(_number(first), stop) if _number(first) < size else Part(0, 0))
    return found


def _has_suffix(ranges: str) -> bool:
    suffixes = re.findall(r"[=,]\s*-0*([1-9])", ranges)
    return bool(suffixes)


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _LONGEST else 10**_LONGEST


def _tags(header: str) -> list[tuple[bool, str]]:
    """Return the tags of a list, each with whether it is weak, up to the first that is malformed."""
    found, position = [], 0
    while match := _TAG.match(header, position):
        found.append((match[1] is not None, match[2]))
        position = match.end()
        if position >= len(header):
            break
    return found


def _header(name: str) -> str | None:
    """Return a header; several lines of the same name are one list (section 5.3)."""
    lines = request.headers.getlist(name)
    return ",".join(lines) if lines else None
