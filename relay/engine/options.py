"""Plugins' options: reads `[plugins.NAME]` into the plugin's own struct; errors name the key and its line."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.protocol.choices import with_choices
from relay.settings.fields import unit_of
from relay.settings.problems import did_you_mean
from relay.settings.values import without_unit

Places = Mapping[str, str]
"""The place of each key in the configuration, such as "relay.toml:12", by its dotted name."""

_INSIDE: Final = re.compile(r"at `\$([^`]+)`$")
_INDEX: Final = re.compile(r"\[(\d+)\]")


class BadOptions(Exception):
    """A plugin's table in the configuration does not fit; the text names the key and the line."""


def read_options(plugin: str, struct: type[msgspec.Struct], given: Mapping[str, Any], places: Places) -> Any:
    """Return the struct filled from a plugin's table.

    Raises:
        BadOptions: a key does not exist, or a value does not fit.
    """
    return _read((plugin,), struct, given, places)


def _read(path: tuple[str, ...], struct: type[msgspec.Struct], given: Mapping[str, Any], places: Places) -> Any:
    """Return a struct filled from a table; tables inside it are read the same way, so that each key is found."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key in given:
        if key not in fields:
            hint = did_you_mean(key, fields)
            listed = ", ".join(sorted(fields)) or "none"
            raise BadOptions(f"{_where((*path, key), places)}: no such option; {hint or f'there are: {listed}'}")
    for key, field in fields.items():
        if key in given:
            _check((*path, key), field.type, given[key], places)
        elif field.required:
            raise BadOptions(f"{_table(path, places)} needs {key}")
    try:
        return msgspec.convert(dict(given), struct)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadOptions(f"{_table(path, places)}: {error}") from None


def _check(path: tuple[str, ...], kind: Any, value: Any, places: Places) -> None:
    """Check one value; in a table, and in each of several named tables, every key."""
    table = _table_type(kind)
    named = typing.get_args(table)[1:] if typing.get_origin(table) is dict else ()
    if isinstance(value, Mapping) and _is_struct(table):
        _read(path, table, value, places)
    elif isinstance(value, Mapping) and named and _is_struct(named[0]):
        for name, table in value.items():
            _check((*path, name), named[0], table, places)
    elif isinstance(value, list) and (element := _element_type(kind)) is not None:
        for number, one in enumerate(value):
            if isinstance(one, Mapping):
                _check((*path, str(number)), element, one, places)
        _convert(path, kind, value, places)
    else:
        _convert(path, kind, value, places)


def _convert(path: tuple[str, ...], kind: Any, value: Any, places: Places) -> None:
    """Check one value as a whole."""
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, TypeError) as error:
        problem = with_choices(error, kind).replace("`$", f"`{path[-1]}")
        found = _INSIDE.search(str(error))
        plain = without_unit(unit_of(path[-1]), value) if isinstance(value, str) else None
        hint = f"; write {plain}, without the unit" if plain is not None else ""
        raise BadOptions(f"{_where(path, places, found[1] if found else '')}: {problem}{hint}") from None


def _element_type(kind: Any) -> type[msgspec.Struct] | None:
    """Return the struct of the tables of an array `[[plugins.NAME.KEY]]`; None for another kind of option."""
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    if typing.get_origin(kind) not in (list, tuple):
        return None
    element = _table_type(typing.get_args(kind)[0])
    return element if _is_struct(element) else None


def _table_type(kind: Any) -> Any:
    """Return the struct of a field that may also be left out, or the type as it is."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next((one for one in typing.get_args(kind) if _is_struct(one)), kind)
    return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _table(path: tuple[str, ...], places: Places) -> str:
    """Name a table, with its line where it is one inside the plugin's own."""
    dotted = ".".join(("plugins", *path))
    place = _line(dotted, dotted, places) if len(path) > 1 else None
    return f"{place}: [{dotted}]" if place else f"[{dotted}]"


def _where(path: tuple[str, ...], places: Places, inside: str = "") -> str:
    """Name a key and its line, or the line of what is wrong inside it where that has one of its own."""
    dotted = ".".join(("plugins", *path))
    place = _line(dotted + _INDEX.sub(r".\1", inside), dotted, places)
    return f"{place}: {dotted}" if place else dotted


def _line(wrong: str, key: str, places: Places) -> str | None:
    """Return the nearest place of what is wrong, up to the key it is in, or the first below that."""
    while wrong not in places and len(wrong) > len(key):
        wrong = wrong.rpartition(".")[0]
    begins = key + "."
    return places.get(wrong) or next((where for name, where in places.items() if name.startswith(begins)), None)
