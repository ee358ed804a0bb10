"""Checking one value against its key, and saying what would have been right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from relay.settings.fields import Field
from relay.settings.problems import ENVIRONMENT, Problem, did_you_mean
from relay.settings.toml_source import parse_value

_SHOWN_CHARACTERS = 60


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A value somebody gave, and where: what every problem and every origin is told from.

    Attributes:
        inside: for an array of tables: the line of each table and key in it, by its path from here.
    """

    value: object
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
    """Return the problem a value has, or the value wrapped, since a value may be anything."""
    try:
        value = _typed(field, given.value, is_text=given.is_text)
    except msgspec.ValidationError:
        return given.problem(f"{shown(given.value)} is not {expected(field)}", _hint(field, given))
    if field.least and isinstance(value, int) and 0 < value < field.least:
        return given.problem(f"{value} is not {expected(field)}")
    if field.check_entry and isinstance(value, list):
        for entry in value:
            try:
                field.check_entry(entry)
            except ValueError as error:
                return given.problem(f"{shown(entry)} does not fit: {error}")
    return _Fit(value)


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
        msgspec.ValidationError: it starts like an array and is none.
    """
    if not text.strip().startswith("["):
        return [entry for part in text.split(",") if (entry := part.strip())]
    try:
        return parse_value(text.strip())
    except ValueError:
        raise msgspec.ValidationError("not an array") from None


def _resolved(value: object, base: Path) -> object:
    """Make paths absolute without following links, since certificates are renewed by moving one."""
    if isinstance(value, list):
        return [_resolved(entry, base) for entry in value]
    return str(base / os.path.expanduser(str(value))) if value else value


def expected(field: Field) -> str:
    """Say what a key accepts, to be read after "is not"."""
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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
