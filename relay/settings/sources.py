"""Collecting what was given, from the file and from the environment, before any of it is judged.

Both end up as one flat table from key path to `Given`, which loading checks and `explain` reads origins from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.settings.environment import read_environment
from relay.settings.fields import FIELDS, TYPES_SECTION, KeyPath, dotted, field_at, is_plugin_option
from relay.settings.problems import Problem, did_you_mean, nearest
from relay.settings.toml_source import Document, read_document
from relay.settings.values import Given, shown


def gather(path: Path | None, environ: Mapping[str, str], problems: list[Problem]) -> list[dict[KeyPath, Given]]:
    """Return what the file gives and what the environment gives, in this order: the later one wins."""
    if path is None:
        in_file: dict[KeyPath, Given] = {}
    else:
        document = read_document(path, problems)
        in_file = dict(_from_document(document, path.absolute().parent, problems))
    return [in_file, dict(read_environment(environ, in_file, problems))]


def _from_document(document: Document, base: Path, problems: list[Problem]) -> Iterator[tuple[KeyPath, Given]]:
    for path, value in _leaves(document.data, ()):
        label = key_label(path)
        inside = document.lines_inside(path) if isinstance(value, list) else {}
        given = Given(
            value=value, file=document.file, line=document.line(path), key=label, base=base, inside=inside
        )
        if field_at(path) or (is_plugin_option(path) and (len(path) > 2 or value == {})):
            yield path, given
        elif not _is_empty_table(path, value):
            problems.append(_misplaced(path, given))


def _leaves(table: Mapping[str, object], path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    """Yield each value with its path; an empty table, or one where a value belongs, counts as a value."""
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and value and not field_at(here) and _may_hold_tables(here):
            yield from _leaves(value, here)
        else:
            yield here, value


def _may_hold_tables(path: KeyPath) -> bool:
    if len(path) == 1:
        return path[0] in FIELDS or path[0] == "types"
    return path[0] == "plugins" or (path[0] == "types" and len(path) == 2)


def _is_empty_table(path: KeyPath, value: object) -> bool:
    return value == {} and _may_hold_tables(path)


def _misplaced(path: KeyPath, given: Given) -> Problem:
    """Say why a path is no key: its section is unknown, or its key is, or it is no table but must be one."""
    if path[0] == "plugins" and len(path) == 2:
        hint = f"options of a plugin stand under [{dotted(path)}]"
        return given.problem("no such key", did_you_mean(path[1], FIELDS["plugins"]) or hint)
    if _may_hold_tables(path):
        return given.problem(f"{shown(given.value)} is not a table", _table_hint(path))
    if len(path) == 1:
        sections = [name for name in FIELDS if name != TYPES_SECTION] + ["types"]
        if isinstance(given.value, dict):
            found = nearest(path[0], sections)
            return given.problem("no such section", f"did you mean [{found}]?" if found else "")
        return given.problem("stands outside of any section", _elsewhere(path[0]))
    keys = FIELDS[TYPES_SECTION if path[0] == "types" else path[0]]
    return given.problem("no such key", did_you_mean(path[-1], keys) or _elsewhere(path[-1]))


def _table_hint(path: KeyPath) -> str:
    name = "types.NAME" if path == ("types",) else dotted(path)
    return f"write [{name}] in a line of its own, and its keys below"


def _elsewhere(key: str) -> str:
    """Point at the sections that do have the key."""
    found = [f"[{section}] {key}" for section, fields in FIELDS.items() if key in fields]
    return f"did you mean {' or '.join(found)}?" if found else ""


def key_label(path: KeyPath) -> str:
    """Write a path as in the file: "[limits] pending"."""
    return f"[{dotted(path)}]" if len(path) == 1 else f"[{dotted(path[:-1])}] {dotted(path[-1:])}"
