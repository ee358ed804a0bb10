"""The JSON Schema of relay.toml, by which editors complete its keys, explain them and mark mistakes.

It is of draft 7, which editors' TOML extensions know. A line `#:schema relay.schema.json` in the file names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from relay.settings.environment import variable_name
from relay.settings.fields import FIELDS, SECTION_INTROS, SECTION_TYPES, TYPES_SECTION, Field

SCHEMA_FILE: Final = "relay.schema.json"
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_TYPES: Final = {"text": "string", "choice": "string"}
"""Kinds that JSON Schema calls otherwise."""


def render_schema(options: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Return the schema as text.

    Args:
        options: schemas of plugins' options, by the plugins' names; the tables of others may hold anything.
    """
    sections = {name: _table(SECTION_INTROS[name], FIELDS[name]) for name in SECTION_TYPES}
    plugins = sections["plugins"]
    plugins["properties"] |= {name: _own(name, schema) for name, schema in (options or {}).items()}
    plugins["additionalProperties"] = {"type": "object", "description": "Options of a plugin, by its name."}
    types = _table("Changes to one message type.", FIELDS[TYPES_SECTION])
    whole = {
        "$schema": _DRAFT,
        "title": "The settings of relay",
        "type": "object",
        "properties": {
            **sections,
            "types": {"type": "object", "description": SECTION_INTROS["types"], "additionalProperties": types},
        },
        "additionalProperties": False,
        "definitions": {
            _definition(plugin, name): _moved(plugin, inner)
            for plugin, schema in (options or {}).items()
            for name, inner in schema.get("$defs", {}).items()
        },
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _table(description: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": {key: _value(field) for key, field in fields.items()},
        "additionalProperties": False,
    }


def _value(field: Field) -> dict[str, Any]:
    told = f"{field.description}\n\nIn the environment: {variable_name(field.section, field.key)}"
    schema: dict[str, Any] = {"description": told}
    if field.kind == "list":
        schema |= {"type": "array", "items": {"type": "string"}, "maxItems": field.max_length}
    else:
        schema["type"] = _TYPES.get(field.kind, field.kind)
    if field.kind == "choice":
        schema["enum"] = list(field.choices)
    if field.kind == "text":
        bounds = {"minLength": field.min_length, "maxLength": field.max_length}
        schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    if field.low is not None:
        schema |= {"minimum": field.low, "maximum": field.high}
    if field.least:
        schema["anyOf"] = [{"const": 0}, {"minimum": field.least}]
    if field.default is not None:
        schema["default"] = field.default
    if field.example is not None:
        schema["examples"] = [[field.example] if field.kind == "list" else field.example]
    return schema


def _own(plugin: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a plugin's table, whose parts are among the definitions of the whole."""
    moved: dict[str, Any] = _moved(plugin, {key: value for key, value in schema.items() if key != "$defs"})
    return {**moved, "additionalProperties": False}


def _definition(plugin: str, name: str) -> str:
    return f"{plugin}.{name}"


def _moved(plugin: str, schema: Any) -> Any:
    """Return a schema with its references to parts led to where these are in the whole."""
    if isinstance(schema, list):
        return [_moved(plugin, inner) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = {key: _moved(plugin, inner) for key, inner in schema.items()}
    if isinstance(reference := moved.get("$ref"), str):
        moved["$ref"] = f"#/definitions/{_definition(plugin, reference.rpartition('/')[2])}"
    return moved
