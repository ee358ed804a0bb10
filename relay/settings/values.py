"""The check of one value against its key, and the hint of what would have been right."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from relay.settings.fields import Field
from relay.settings.problems import ENVIRONMENT, Problem, did_you_mean
from relay.settings.toml_source import parse_value

_SHOWN_CHARACTERS = 60
_LOGIN = re.compile(r"://[^/@\s]*@")
"""A name and a password in a URL, which no problem shows."""

_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_UNITS = {
    "seconds": {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400},
    "bytes": {
        name: 1024**power
        for power, names in enumerate((("b",), ("k", "kb", "kib"), ("m", "mb", "mib"), ("g", "gb", "gib")))
        for name in names
    },
    "minutes": {"s": 1 / 60, "m": 1, "min": 1, "h": 60, "d": 1440},
    "hours": {"m": 1 / 60, "min": 1 / 60, "h": 1, "d": 24, "w": 168},
    "days": {"d": 1, "day": 1, "days": 1, "w": 7},
}
"""Units that people write behind a number, as factors of the unit that the key's name ends with."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A value from the file or the environment with its place, which problems and origins are reported with.

    Attributes:
        hidden: the value came from a file that a variable names, so it may be a secret and is never shown.
        inside: for an array of tables: the line of each table and key in it, by its path from here.
    """

    value: object
    hidden: bool = False
    file: str
    line: int | None = None
    key: str
    base: Path
    inside: Mapping[tuple[str, ...], int] = {}

    @property
    def is_text(self) -> bool:
        """Whether it came from the environment, where every value is text."""
        return self.file == ENVIRONMENT

    @property
    def shown(self) -> str:
        """The value as a problem's text shows it."""
        return "what the file holds" if self.hidden else shown(self.value)

    @property
    def origin(self) -> str:
        """Where the value stands, in the words of `relay config show`."""
        if self.is_text:
            return f"{ENVIRONMENT} {self.key}"
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def problem(self, message: str, hint: str = "") -> Problem:
        """Return a problem that points at this value."""
        return Problem(file=self.file, line=self.line, key=self.key, message=message, hint=hint)


def convert(field: Field, given: Given, problems: list[Problem]) -> object:
    """Return the value with the type of its key, its paths resolved.

    A value that does not fit adds to the problems; what is returned then is the default.
    """
    found = _fault(field, given)
    if isinstance(found, Problem):
        problems.append(found)
        return field.default
    return _resolved(found.value, given.base) if field.is_path else found.value


class _Fit(msgspec.Struct, frozen=True):
    value: object


def _fault(field: Field, given: Given) -> Problem | _Fit:
    """Return the problem of a value, or the value wrapped, since a value may be anything."""
    try:
        value = _typed(field, given.value, is_text=given.is_text)
    except msgspec.ValidationError:
        return given.problem(f"{given.shown} is not {expected(field)}", _hint(field, given))
    if field.least and isinstance(value, int) and 0 < value < field.least:
        return given.problem(f"{given.shown} is not {expected(field)}")
    if field.check_entry:
        entries = value if isinstance(value, list) else [str(value)]
        faults = [found for entry in entries if (found := _entry_fault(field.check_entry, entry, given))]
        if faults:
            return given.problem("; ".join(faults))
    return _Fit(value)


def _entry_fault(check: Callable[[str], None], entry: str, given: Given) -> str:
    try:
        check(entry)
    except ValueError as error:
        return "what the file has does not fit" if given.hidden else f"{shown(entry)} does not fit: {error}"
    return ""


def _typed(field: Field, value: object, *, is_text: bool) -> object:
    if is_text and isinstance(value, str):
        if field.kind == "list":
            value = split_list(value)
        elif field.kind != "text":
            value = value.strip()
    lax = is_text and field.kind in ("integer", "number", "boolean")
    return msgspec.convert(value, field.annotation, strict=not lax)


def split_list(text: str) -> object:
    """Read a list from the environment: an array as in TOML or JSON, or entries separated by commas.

    Raises:
        msgspec.ValidationError: it starts like an array and is not one.
    """
    if not text.strip().startswith("["):
        return [entry for part in text.split(",") if (entry := part.strip())]
    try:
        return parse_value(text.strip())
    except ValueError:
        raise msgspec.ValidationError("not an array") from None


def _resolved(value: object, base: Path) -> object:
    """Make paths absolute without following links, since certificates are renewed by changing a link."""
    if isinstance(value, list):
        return [_resolved(entry, base) for entry in value]
    return str(base / os.path.expanduser(str(value))) if value else value


def expected(field: Field) -> str:
    """Return what a key accepts, in words that follow "is not"."""
    if field.kind in ("choice", "boolean"):
        return field.type_text
    text = f"a {field.type_text}"
    if field.low is not None:
        bounds = field.bounds_text
        return f"{text} which is {bounds}" if field.section == "limits" else f"{text} from {bounds}"
    if field.kind == "list":
        example = f' such as "{field.example}"' if field.example else ""
        return f"{text}{example}, {field.max_length} at most"
    low, high = field.min_length or 0, field.max_length
    return f"{text} of {low} to {high} characters" if low else f"{text} of at most {high} characters"


def shown(value: object) -> str:
    """Return a value as its author would recognise it, shortened."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        value = _LOGIN.sub("://…@", value)
        text = f'"{value}"' if value.isprintable() else repr(value)
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, list):
        text = f"[{', '.join(map(shown, value[:5]))}{', …' if len(value) > 5 else ''}]"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _hint(field: Field, given: Given) -> str:
    value = given.value
    if field.kind == "choice" and isinstance(value, str):
        return did_you_mean(value.strip(), field.choices)
    if field.kind in ("integer", "number") and isinstance(value, str) and not given.hidden:
        plain = without_unit(field.unit, value)
        if plain is not None:
            return f"write {plain}, without the unit"
    if given.is_text:
        return "separate its entries by commas" if field.kind == "list" else ""
    if field.kind in ("integer", "number") and isinstance(value, str) and _is_number(value):
        return "numbers stand without quotes"
    if field.kind == "boolean" and value in ("true", "false"):
        return f"{value} stands without quotes"
    if field.kind == "list" and isinstance(value, str):
        return f"a list stands in brackets: [{shown(value)}]"
    if field.kind == "text" and isinstance(value, int | float) and not isinstance(value, bool):
        return f'text stands in quotes: "{value}"'
    return ""


def without_unit(unit: str, text: str) -> str | None:
    """Convert "64MB" or "10s" to a key's own unit, its name's end; None if it is no number with a unit."""
    found = _WITH_UNIT.fullmatch(text.strip())
    factor = _UNITS.get(unit, {}).get(found[2].lower()) if found else None
    return None if found is None or factor is None else f"{float(found[1]) * factor:.15g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
