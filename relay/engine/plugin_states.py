"""The plugins as operators see them: their states, figures, parts and options, with secrets left out."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from relay.engine.discovery import bundled_directory, in_directory, installed
from relay.engine.engine import Engine
from relay.engine.registry import PARTS, LoadedPlugin, Registry
from relay.plugin.page import PageExtension
from relay.protocol.errors import ErrorCode, RelayError
from relay.settings.loading import REDACTED, sounds_secret

State = Literal["running", "set aside", "left out", "off"]
_ATTRIBUTE: Final = re.compile(r"^(\w+): (.*(?:\n +.*)*)", re.MULTILINE)
"""One line of "Attributes:" in a docstring, with the indented lines that go on."""


class PluginState(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin in a list.

    Attributes:
        source: "bundled", "directory" or "installed"; "" where it is not known.
        failures: since it was loaded.
        reason: why it does not run, or its last failure; "" for neither.
        page_faults: how often pages told that its page module failed.
    """

    name: str
    state: State
    source: str
    failures: int = 0
    types: list[str] = []
    reason: str = ""
    description: str = ""
    page_faults: int = 0


def states(engine: Engine) -> list[PluginState]:
    """Return every plugin: those that were loaded, in their order, those left out, and those that are off."""
    registry, lacking = engine.registry, engine.required.lacking()
    found = [_state(engine, loaded) for loaded in registry.loaded]
    found += [
        PluginState(name=one.name, state="left out", source="", reason=one.reason) for one in registry.broken
    ]
    found = [
        msgspec.structs.replace(row, reason=f"required, so what it must check is refused: {row.reason}")
        if row.name in lacking
        else row
        for row in found
    ]
    named = {row.name for row in found}
    folders = [in_directory(Path(folder), "directory") for folder in engine.settings.plugins.directories]
    others = {**installed(), **in_directory(bundled_directory(), "bundled")}
    others |= {name: one for folder in reversed(folders) for name, one in folder.items()}
    off = [(name, one.source) for name, one in others.items() if name not in named]
    return found + [PluginState(name=name, state="off", source=source) for name, source in off]


def _state(engine: Engine, loaded: LoadedPlugin) -> PluginState:
    guard, counts = loaded.guard, engine.server_of(loaded.name).counts
    return PluginState(
        name=loaded.name,
        state="set aside" if guard.quarantined else "running",
        source=loaded.source,
        failures=guard.failures,
        types=list(loaded.types),
        reason=guard.reason or guard.last or "",
        description=loaded.description,
        page_faults=sum(times for (what, _), times in counts.items() if what == "page_fault"),
    )


def parts_of(registry: Registry, loaded: LoadedPlugin) -> dict[str, list[str]]:
    """Return what a plugin registered: by hook, each part by its name or by what it does."""
    found = {}
    for hook in PARTS:
        own = [owned.part for owned in registry.parts[hook] if owned.guard is loaded.guard]
        if own:
            found[hook] = [called(part) for part in own]
    return found


def called(part: Any) -> str:
    """Return a part's name, or the names of its functions."""
    name = getattr(part, "name", None)
    if isinstance(name, str):
        return name
    if isinstance(part, PageExtension):
        return part.module if part.folder is not None and part.module is not None else "a module"
    blueprint = getattr(part, "blueprint", None)
    if blueprint is not None:
        return str(blueprint.name)
    return " and ".join(field.name for field in dataclasses.fields(part) if callable(getattr(part, field.name)))


def option_schema(loaded: LoadedPlugin) -> dict[str, Any] | None:
    """Return the JSON Schema of a plugin's options: types, bounds, defaults, texts; None without a struct."""
    if loaded.struct is None:
        return None
    try:
        (top,), parts = msgspec.json.schema_components([loaded.struct], ref_template="#/$defs/{name}")
    except TypeError:  # one of its types is none that JSON Schema has
        return {"type": "object"}
    for part in parts.values():
        _put_texts(part)
    top = parts.pop(top.get("$ref", "").rpartition("/")[2], top)
    return {**top, "$defs": parts} if parts else top


def _put_texts(schema: dict[str, Any]) -> None:
    """Give each field what the docstring of its struct says of it, below "Attributes:"."""
    about, _, attributes = inspect.cleandoc(schema.get("description", "")).partition("Attributes:\n")
    if about:
        schema["description"] = about.strip()
    for name, text in _ATTRIBUTE.findall(textwrap.dedent(attributes)):
        if name in schema.get("properties", {}):
            schema["properties"][name].setdefault("description", " ".join(text.split()))


def option_values(loaded: LoadedPlugin) -> dict[str, Any]:
    """Return a plugin's options as they are in force; secrets are `(redacted)`."""
    if loaded.struct is None:
        return {}
    values: dict[str, Any] = msgspec.to_builtins(loaded.options)
    schema = option_schema(loaded) or {}
    return {key: _masked(key, value, schema, schema.get("properties", {})) for key, value in values.items()}


def options(loaded: LoadedPlugin) -> list[dict[str, Any]]:
    """Return a plugin's options: of each its value in force, where that comes from, and what it is.

    Raises:
        RelayError: `conflict` for a plugin that declares none.
    """
    schema = option_schema(loaded)
    if schema is None:
        raise RelayError(ErrorCode.CONFLICT, f"plugin {loaded.name!r} declares no options")
    described = schema.get("properties", {})
    return [
        {
            "option": key,
            "value": value,
            "origin": loaded.origins.get(key, "default"),
            "description": described.get(key, {}).get("description", ""),
        }
        for key, value in option_values(loaded).items()
    ]


def is_secret(key: str, described: Mapping[str, Any]) -> bool:
    """Tell whether an option is secret: its schema says writeOnly, or its name sounds like it."""
    return bool(described.get("writeOnly")) or sounds_secret(key)


def _masked(key: str, value: Any, schema: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
    described = fields.get(key, {})
    if isinstance(value, Mapping):
        inner = _fields_inside(described, schema)
        return {name: _masked(name, one, schema, inner) for name, one in value.items()}
    if is_secret(key, described) and (isinstance(value, str | list) and value):
        return REDACTED
    if isinstance(value, list):
        inner = _fields_inside(described.get("items", {}), schema)
        return [
            {name: _masked(name, one, schema, inner) for name, one in entry.items()}
            if isinstance(entry, Mapping)
            else entry
            for entry in value
        ]
    return value


def _fields_inside(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a table that a schema describes, by a reference or as one of several."""
    for one in (described, *described.get("anyOf", ())):
        if "$ref" in one:
            one = schema.get("$defs", {}).get(one["$ref"].rpartition("/")[2], {})
        if "properties" in one:
            fields: Mapping[str, Any] = one["properties"]
            return fields
    return {}


def why_not_writable(engine: Engine) -> str | None:
    """Return why no option can be changed from here; None where they can."""
    file = engine.settings.plugins.file
    if not engine.settings.plugins.admin_changes:
        return "[plugins] admin_changes is false"
    if file is None:
        return "this server was started without a settings file, or in safe mode"
    if not os.access(file, os.W_OK) or not os.access(Path(file).resolve().parent, os.W_OK):
        return f"{file}, or its folder, is not writable by the server"
    return None
