"""Each value in force and where it comes from, for `relay config show`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.settings.fields import FIELDS, SECTION_TYPES, TYPES_SECTION, KeyPath, dotted, field_at
from relay.settings.model import Settings
from relay.settings.problems import Problem
from relay.settings.sources import gather
from relay.settings.values import Given

REDACTED = "(redacted)"
_SECRET = re.compile("password|secret|token|key", re.IGNORECASE)


def explain(
    settings: Settings, path: Path | None, environ: Mapping[str, str]
) -> Iterator[tuple[str, object, str]]:
    """Yield (dotted key, value, origin) for each setting, in the order of the shipped relay.toml.

    The origin is "default", "FILE:LINE" or "environment NAME". Values whose key sounds like a secret are
    replaced; relay's own numbers are not, since a length or a number of days gives nothing away.
    """
    problems: list[Problem] = []
    in_file, in_environment = gather(path, environ, problems)
    given = in_file | in_environment
    for key, value in _values(settings):
        yield dotted(key), _shown(key, value), _origin(key, given)


def _values(settings: Settings) -> Iterator[tuple[KeyPath, object]]:
    for section in SECTION_TYPES:
        for key in FIELDS[section]:
            yield (section, key), getattr(getattr(settings, section), key)
    for name, options in settings.plugins.options.items():
        yield from _flat(("plugins", name), options)
    for name, changed in settings.types.items():
        for key in FIELDS[TYPES_SECTION]:
            if (value := getattr(changed, key)) is not None:
                yield ("types", name, key), value


def _flat(path: KeyPath, value: object) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat((*path, str(key)), inner)
    else:
        yield path, value


def _shown(path: KeyPath, value: object) -> object:
    field = field_at(path)
    if field and field.kind in ("integer", "number"):
        return value
    names = path[1:] if field else path[2:]
    return _without_secrets(value, is_secret=any(map(_SECRET.search, names)))


def _without_secrets(value: object, *, is_secret: bool) -> object:
    if is_secret:
        return REDACTED if value or isinstance(value, bool | int | float) else value
    if isinstance(value, dict):
        return {
            key: _without_secrets(inner, is_secret=bool(_SECRET.search(str(key)))) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(inner, is_secret=False) for inner in value]
    return value


def _origin(path: KeyPath, given: Mapping[KeyPath, Given]) -> str:
    """Find who set a path: itself, or a whole table given at once around it."""
    while path:
        if path in given:
            return given[path].origin
        path = path[:-1]
    return "default"
