"""The environment as a source: RELAY_SECTION__KEY, and RELAY_SECTION__KEY_FILE for a file with the value.

A variable without a double underscore is left alone: Kubernetes, for example, puts RELAY_SERVER_PORT into every
container beside a service named relay-server.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from relay.settings.fields import FIELDS, TYPES_SECTION, Field, KeyPath, field_at, is_plugin_option
from relay.settings.problems import ENVIRONMENT, Problem, nearest
from relay.settings.toml_source import parse_value
from relay.settings.values import Given, convert

PREFIX = "RELAY_"
FROM_FILE = "_FILE"


def read_environment(
    environ: Mapping[str, str], in_file: Iterable[KeyPath], problems: list[Problem]
) -> Iterator[tuple[KeyPath, Given]]:
    """Yield the path and value of each variable that sets a key.

    A variable's upper case and underscores leave open how a plugin's name is spelled; the file's spelling wins.
    """
    written = {(path[0], _folded(path[1])): path[1] for path in in_file if path[0] in ("plugins", "types")}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        path, is_file_name = _key_path(name)
        if path is None:
            problems.append(_problem(name, "no such key", _variable_hint(name)))
            continue
        if is_file_name and name.removesuffix(FROM_FILE) in environ:
            problems.append(_problem(name, f"{name.removesuffix(FROM_FILE)} is set too", "set only one of them"))
        given = _given(name, environ[name], path, problems, is_file_name=is_file_name)
        if len(path) > 2:
            path = (path[0], written.get((path[0], path[1]), path[1]), *path[2:])
        if given is not None:
            yield path, given


def _given(name: str, text: str, path: KeyPath, problems: list[Problem], *, is_file_name: bool) -> Given | None:
    try:
        # os.environ carries bytes that are not UTF-8 as lone surrogates, which nothing after this accepts.
        text.encode()
        value: object = Path(text).read_text(encoding="utf-8").rstrip("\r\n") if is_file_name else text
    except OSError as error:
        problems.append(_problem(name, f"cannot read {text}: {error.strerror}"))
        return None
    except ValueError:
        problems.append(_problem(name, "the value is not UTF-8 text"))
        return None
    if is_plugin_option(path) and not is_file_name:
        value = _option_value(text)
    return Given(value=value, file=ENVIRONMENT, key=name, base=Path.cwd(), hidden=is_file_name)


def overlooked(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variables with one underscore where two belong, or without their section, each with the one meant.

    Those that Kubernetes sets by itself are left out: their values are addresses, or do not fit the key.
    """
    every = [field for section, fields in FIELDS.items() if section != TYPES_SECTION for field in fields.values()]
    keys = Counter(field.key for field in every)
    meant: dict[str, tuple[str, Field]] = {}
    for field in every:
        variable = variable_name(field.section, field.key)
        meant[variable.replace("__", "_")] = (variable, field)
        if keys[field.key] == 1:
            meant.setdefault(f"{PREFIX}{field.key}".upper(), (variable, field))
    for name in sorted(environ.keys() & meant.keys()):
        variable, field = meant[name]
        faults: list[Problem] = []
        convert(field, Given(value=environ[name], file=ENVIRONMENT, key=name, base=Path.cwd()), faults)
        if variable not in environ and not faults and "://" not in environ[name]:
            yield name, variable


def _problem(name: str, message: str, hint: str = "") -> Problem:
    return Problem(file=ENVIRONMENT, key=name, message=message, hint=hint)


def _folded(name: str) -> str:
    """Return a plugin's or type's name as a variable can hold it."""
    return name.lower().replace("-", "_")


def _key_path(name: str) -> tuple[KeyPath | None, bool]:
    """Return the key a variable sets, and whether it names a file with the value."""
    body = name.removeprefix(PREFIX)
    for text, is_file_name in ((body.removesuffix(FROM_FILE), body.endswith(FROM_FILE)), (body, False)):
        path = tuple(text.lower().split("__"))
        if all(path) and (field_at(path) or (len(path) > 2 and is_plugin_option(path))):
            return path, is_file_name
    return None, False


def _option_value(text: str) -> object:
    """Read an option as TOML; text that is not TOML, or a date, an infinity or a NaN, stays plain text."""
    try:
        value = parse_value(text.strip())
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value if isinstance(value, bool | int | float | str | list | dict) else text


def variable_name(section: str, key: str) -> str:
    """Return the environment variable of one key."""
    return f"{PREFIX}{section.replace('.', '__')}__{key}".upper()


def variable_names(section: str) -> list[str]:
    """Return the environment variables of the keys of one section."""
    return [variable_name(section, key) for key in FIELDS[section]]


def _variable_hint(name: str) -> str:
    suffix = FROM_FILE if name.endswith(FROM_FILE) else ""
    candidates = [variable for section in FIELDS for variable in variable_names(section)]
    parts = name.removeprefix(PREFIX).split("__")
    if len(parts) == 3 and nearest(parts[0], ["types"]):
        candidates = [variable.replace("__NAME__", f"__{parts[1]}__") for variable in candidates]
    found = nearest(name.removesuffix(suffix), candidates)
    return f"did you mean {found}{suffix}?" if found else ""
