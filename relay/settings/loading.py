"""From what was given to `Settings`, or to every problem in it at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relay.settings.extensions import TypeSettings
from relay.settings.fields import FIELDS, SECTION_TYPES, KeyPath, dotted, field_at, is_plugin_option
from relay.settings.model import Settings
from relay.settings.problems import Problem, SettingsError
from relay.settings.sources import gather
from relay.settings.values import Given, convert


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a file with those of the environment over them.

    Without a path the defaults take the file's place. Relative paths in the file start at the file's own
    folder, all others at the current one.

    Raises:
        SettingsError: with every problem found in the file and the environment.
    """
    problems: list[Problem] = []
    layers = gather(path, environ, problems)
    base = Path.cwd() if path is None else path.absolute().parent
    values = _default_paths(base)
    for layer in layers:
        values |= {key: _value(key, given, problems) for key, given in layer.items()}
    problems.extend(_contradictions(layers[0] | layers[1]))
    if problems:
        raise SettingsError(problems)
    places: dict[str, str] = {}
    for layer in layers:
        for key, given in layer.items():
            if is_plugin_option(key):
                places[dotted(key)] = given.origin
                places |= {dotted((*key, *path)): f"{given.file}:{line}" for path, line in given.inside.items()}
    return _build(values, places)


def _default_paths(base: Path) -> dict[KeyPath, Any]:
    """Resolve the defaults that are paths as if they stood in the file."""
    fields = [field for section in SECTION_TYPES for field in FIELDS[section].values() if field.is_path]
    return {
        (field.section, field.key): convert(
            field, Given(value=field.default, file="default", key=field.key, base=base), []
        )
        for field in fields
    }


def _value(key: KeyPath, given: Given, problems: list[Problem]) -> Any:
    field = field_at(key)
    return convert(field, given, problems) if field else given.value


def _contradictions(given: Mapping[KeyPath, Given]) -> list[Problem]:
    """Find values that are right alone and wrong together."""
    pair = ("tls_certificate", "tls_key")
    present = [key for key in pair if ("server", key) in given and given["server", key].value != ""]
    if len(present) != 1:
        return []
    missing = pair[1 - pair.index(present[0])]
    return [given["server", present[0]].problem(f"needs {missing} as well", "TLS takes both or neither")]


def _build(values: Mapping[KeyPath, Any], places: Mapping[str, str]) -> Settings:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTION_TYPES}
    types: dict[str, dict[str, Any]] = {}
    options: dict[str, Any] = {}
    for path, value in values.items():
        if field_at(path) is None:
            _put(options, path[1:], copy.deepcopy(value))
        elif path[0] == "types":
            types.setdefault(path[1], {})[path[2]] = value
        else:
            sections[path[0]][path[1]] = value
    sections["plugins"] |= {"options": options, "places": dict(places)}
    built: dict[str, Any] = {name: struct(**sections[name]) for name, struct in SECTION_TYPES.items()}
    return Settings(**built, types={name: TypeSettings(**keys) for name, keys in types.items()})


def _put(table: dict[str, Any], path: KeyPath, value: object) -> None:
    """Set a nested key; a value where a table is needed gives way, since the later source wins."""
    *parents, last = path
    for parent in parents:
        if not isinstance(table.get(parent), dict):
            table[parent] = {}
        table = table[parent]
    table[last] = value
