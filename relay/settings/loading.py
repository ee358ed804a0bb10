"""Loading of the settings from the file and the environment, and the origin of each value in force.

Both sources become one flat table from key path to `Given`. `load` turns it into `Settings`, or raises every
problem at once; `explain` gives the origin of each value, for `relay config show`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.settings.backup import FILE_MARK
from relay.settings.environment import read_environment
from relay.settings.fields import FIELDS, SECTION_TYPES, TYPES_SECTION, KeyPath, dotted, field_at, is_plugin_option
from relay.settings.model import Settings, TypeSettings
from relay.settings.problems import Problem, SettingsError, did_you_mean, nearest
from relay.settings.toml_source import Document, read_document
from relay.settings.values import Given, convert, shown

REDACTED = "(redacted)"
_SECRET = re.compile("password|secret|token|key", re.IGNORECASE)


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


def load_for_server(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Return the same settings, which know their file: a server reads what a plugin's options are there again.

    Raises:
        SettingsError: with every problem found in the file and the environment.
    """
    settings = load(path, environ)
    file = None if path is None else str(path.absolute())
    return msgspec.structs.replace(settings, plugins=msgspec.structs.replace(settings.plugins, file=file))


def _default_paths(base: Path) -> dict[KeyPath, Any]:
    """Resolve the defaults that are paths, as if they stood in the file."""
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


_TLS: Final = "TLS takes both or neither"
_NODES: Final = "a node of a cluster has all of them"
_NODE_TLS: Final = "TLS between nodes takes all three or none"
_NEEDS: Final[tuple[tuple[KeyPath, KeyPath, str], ...]] = (
    (("server", "tls_certificate"), ("server", "tls_key"), _TLS),
    (("server", "tls_key"), ("server", "tls_certificate"), _TLS),
    (("mail", "smtp_host"), ("mail", "from_address"), "each mail comes from an address"),
    (("mail", "smtp_host"), ("server", "public_url"), "the links in mails lead there"),
    (("mail", "username"), ("mail", "password_file"), "a login takes both"),
    *((("cluster", "name"), ("cluster", needed), _NODES) for needed in ("node", "servers", "address")),
    (("cluster", "user"), ("cluster", "password_file"), "a login takes both"),
    (("cluster", "password_file"), ("cluster", "user"), "a login takes both"),
    (("cluster", "tls_certificate"), ("cluster", "tls_key"), _TLS),
    (("cluster", "tls_key"), ("cluster", "tls_certificate"), _TLS),
    (("cluster", "node_tls_certificate"), ("cluster", "node_tls_key"), _NODE_TLS),
    (("cluster", "node_tls_key"), ("cluster", "node_tls_ca"), _NODE_TLS),
    (("cluster", "node_tls_ca"), ("cluster", "node_tls_certificate"), _NODE_TLS),
)
"""Keys that need another one, and why."""


def _contradictions(given: Mapping[KeyPath, Given]) -> list[Problem]:
    """Return the problems of values that are right alone and wrong together."""

    def has(section: str, key: str) -> bool:
        return (section, key) in given and given[section, key].value not in ("", [])

    problems = []
    for (section, key), needed, why in _NEEDS:
        if has(section, key) and not has(*needed):
            name = needed[1] if needed[0] == section else key_label(needed)
            problems.append(given[section, key].problem(f"needs {name} as well", why))
    problems.extend(_backup_contradictions(given))
    if has("cluster", "credentials") and has("cluster", "user"):
        problems.append(
            given["cluster", "user"].problem("stands beside credentials", "a node logs in to NATS in one way")
        )
    by_domain = given.get(("accounts", "registration"))
    if by_domain is not None and by_domain.value == "domain":
        for needed in (("accounts", "mail_domains"), ("mail", "smtp_host")):
            if not has(*needed):
                name = needed[1] if needed[0] == "accounts" else key_label(needed)
                problems.append(
                    by_domain.problem(f'"domain" needs {name} as well', "or nobody could make an account")
                )
    return problems


def _backup_contradictions(given: Mapping[KeyPath, Given]) -> Iterator[Problem]:
    every, command = given.get(("backup", "every_seconds")), given.get(("backup", "command"))
    by_clock = given.get(("backup", "at"))
    if every is not None and by_clock is not None and by_clock.value and every.value not in (0, "0"):
        yield every.problem("stands beside [backup] at", "a backup is made at a time of the day or every so often")
    if command is not None and command.value and FILE_MARK not in str(command.value):
        yield command.problem(f"does not say {FILE_MARK}", "the path of the backup, which the command is to take")


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
    """Set a nested key. A table replaces a plain value on the way, since the later source wins."""
    *parents, last = path
    for parent in parents:
        if not isinstance(table.get(parent), dict):
            table[parent] = {}
        table = table[parent]
    table[last] = value


def explain(
    settings: Settings, path: Path | None, environ: Mapping[str, str]
) -> Iterator[tuple[str, object, str]]:
    """Yield (dotted key, value, origin) for each setting, in the order of the shipped relay.toml.

    The origin is "default", "FILE:LINE" or "environment NAME". Plugins' options whose key sounds like a secret are
    replaced, and each text that a variable's `_FILE` holds. No key of relay's own is a secret: it names files.
    """
    problems: list[Problem] = []
    in_file, in_environment = gather(path, environ, problems)
    given = in_file | in_environment
    for key, value in _values(settings):
        source = _source(key, given)
        yield dotted(key), _redacted(key, value, source), "default" if source is None else source.origin


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


def _redacted(path: KeyPath, value: object, source: Given | None) -> object:
    field = field_at(path)
    if source is not None and source.hidden and (field is None or field.kind in ("text", "list")):
        return REDACTED
    if field:
        return value
    return _without_secrets(value, is_secret=any(map(sounds_secret, path[2:])))


def sounds_secret(name: str) -> bool:
    """Tell whether the name of a key sounds like that of a secret."""
    return _SECRET.search(name) is not None


def _without_secrets(value: object, *, is_secret: bool) -> object:
    if is_secret:
        return REDACTED if value or isinstance(value, bool | int | float) else value
    if isinstance(value, dict):
        return {key: _without_secrets(inner, is_secret=sounds_secret(str(key))) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, is_secret=False) for inner in value]
    return value


def _source(path: KeyPath, given: Mapping[KeyPath, Given]) -> Given | None:
    """Return where a value comes from: itself, or the whole table that was given around it; None for a default."""
    while path:
        if path in given:
            return given[path]
        path = path[:-1]
    return None


def gather(path: Path | None, environ: Mapping[str, str], problems: list[Problem]) -> list[dict[KeyPath, Given]]:
    """Return the values of the file and those of the environment, in this order: the later one wins."""
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
    """Yield each value with its path; an empty table, or a table where a value belongs, counts as a value."""
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
    """Return the problem of a path that is not a key: unknown section, unknown key, or a value for a table."""
    if path[0] == "plugins" and len(path) == 2:
        hint = f"options of a plugin stand under [{dotted(path)}]"
        return given.problem("no such key", did_you_mean(path[1], FIELDS["plugins"]) or hint)
    if _may_hold_tables(path):
        return given.problem(f"{shown(given.value)} is not a table", _table_hint(path))
    if len(path) == 1:
        sections = [name for name in FIELDS if name != TYPES_SECTION] + ["types"]
        if isinstance(given.value, dict):
            found = nearest(path[0], sections)
            hint = f"options of a plugin stand under [plugins.{dotted(path)}]"
            return given.problem("no such section", f"did you mean [{found}]?" if found else hint)
        return given.problem("stands outside of any section", _elsewhere(path[0]))
    keys = FIELDS[TYPES_SECTION if path[0] == "types" else path[0]]
    return given.problem("no such key", did_you_mean(path[-1], keys) or _elsewhere(path[-1]))


def _table_hint(path: KeyPath) -> str:
    name = "types.NAME" if path == ("types",) else dotted(path)
    return f"write [{name}] in a line of its own, and its keys below"


def _elsewhere(key: str) -> str:
    """Return a hint at the sections that do have the key."""
    found = [f"[{section}] {key}" for section, fields in FIELDS.items() if key in fields]
    return f"did you mean {' or '.join(found)}?" if found else ""


def key_label(path: KeyPath) -> str:
    """Return a path as the file writes it: "[limits] pending"."""
    return f"[{dotted(path)}]" if len(path) == 1 else f"[{dotted(path[:-1])}] {dotted(path[-1:])}"
