"""Every type's payload as TypeScript: declarations that an application of the SDK takes in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from relay.engine.registry import Registry
from relay.protocol.envelope import MAX_INTEGER
from relay.transports.schemas.components import Schema, Schemas
from relay.transports.schemas.messages import ANSWERS, CONNECTION_EVENT, camel

_PREFIX: Final = "#/"
_PLAIN: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_WORD: Final = re.compile(r"[A-Za-z_$][\w$]*")
_HEAD: Final = """\
// The message types of one relay server, made by `relay schema --typescript`.

import "relay-sdk";
"""


def typescript(registry: Registry) -> str:
    """Return the declarations of all payloads, and an augmentation of the module `relay-sdk` with them.

    Payloads stand outside of the augmentation, so that no name is one of the SDK's, and applications import them.
    """
    types = {
        name: type_.payload
        for name, type_ in sorted(registry.types.items())
        if name not in (CONNECTION_EVENT, *ANSWERS)
    }
    schemas = Schemas(types.values(), _PREFIX, sent=filter(_omits, types.values()))
    names = _names(schemas, {camel(name) for name in types})
    lines: list[str] = []
    waiting: set[str] = set()
    for name, payload in types.items():
        schema = _resolved(schemas.of(payload), schemas)
        lines += ["", *_declaration(camel(name), schema, names)]
        waiting |= _referred(schema)
    declared: set[str] = set()
    while left := sorted(waiting - declared):
        for component in left:
            lines += ["", *_declaration(names[component], schemas.components[component], names)]
            waiting |= _referred(schemas.components[component])
        declared.update(left)
    lines += ["", 'declare module "relay-sdk" {', "  interface MessageTypes {"]
    lines += [*(f"    {name}: {camel(name)};" for name in types), "  }", "}"]
    return _HEAD + "\n".join(lines) + "\n"


def _omits(type_: Any) -> bool:
    """Tell whether a struct leaves fields out that have no value, so that none of them is ever null."""
    return bool(getattr(getattr(type_, "__struct_config__", None), "omit_defaults", False))


def _names(schemas: Schemas, taken: set[str]) -> dict[str, str]:
    """Name what payloads refer to, each unlike the payloads themselves."""
    names: dict[str, str] = {}
    for component in schemas.components:
        name = re.sub(r"\W", "_", component)
        while name in taken:
            name += "_"
        taken.add(name)
        names[component] = name
    return names


def _resolved(schema: Schema, schemas: Schemas) -> Schema:
    return schemas.components[schema["$ref"].removeprefix(_PREFIX)] if "$ref" in schema else schema


def _referred(schema: Any) -> set[str]:
    """Return the components that a schema refers to."""
    if isinstance(schema, list):
        return set().union(*map(_referred, schema))
    if not isinstance(schema, dict):
        return set()
    found = {schema["$ref"].removeprefix(_PREFIX)} if isinstance(schema.get("$ref"), str) else set()
    return found.union(*(_referred(part) for part in schema.values()))


def _declaration(name: str, schema: Schema, names: dict[str, str]) -> Iterator[str]:
    yield from _comment(schema, "")
    if "properties" not in schema:
        yield f"export type {name} = {_type(schema, names)};"
        return
    yield f"export interface {name} {{"
    for field, part in schema["properties"].items():
        yield from _comment(part, "  ")
        mark = "" if field in schema.get("required", ()) else "?"
        yield f"  {_key(field)}{mark}: {_type(part, names)};"
    yield "}"


def _comment(schema: Schema, indent: str) -> Iterator[str]:
    """Yield what there is to say of a schema: its description and its bounds."""
    told = [line.strip() for line in schema.get("description", "").replace("*/", "* /").splitlines()]
    told += [bound for part in (schema, *schema.get("anyOf", ())) if (bound := _bounds(part))]
    if len(told) == 1:
        yield f"{indent}/** {told[0]} */"
    elif told:
        yield f"{indent}/**"
        yield from (f"{indent} * {line}".rstrip() for line in told)
        yield f"{indent} */"


def _bounds(schema: Schema) -> str:
    """Return what a type cannot say: `1 to 64 characters`."""
    for least, most, unit in (("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items")):
        if most in schema:
            return f"{schema.get(least, 0)} to {schema[most]}{unit}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is not None and high != MAX_INTEGER:
        return f"at most {high}" if low is None else f"{low} to {high}"
    return f"at least {low}" if low else ""


def _key(name: str) -> str:
    return name if _WORD.fullmatch(name) else json.dumps(name)


def _type(schema: Schema, names: dict[str, str]) -> str:
    """Return a schema as a type."""
    if "$ref" in schema:
        return names[schema["$ref"].removeprefix(_PREFIX)]
    if "const" in schema or "enum" in schema:
        return " | ".join(map(json.dumps, schema.get("enum", [schema.get("const")])))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(option, names) for option in schema[key]))
    kind = schema.get("type")
    if kind == "array":
        return _list(schema, names)
    if kind == "object":
        return _object(schema, names)
    return _PLAIN.get(str(kind), "unknown")


def _list(schema: Schema, names: dict[str, str]) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_type(part, names) for part in schema['prefixItems'])}]"
    items = _type(schema["items"], names) if isinstance(schema.get("items"), dict) else "unknown"
    return f"({items})[]" if "|" in items else f"{items}[]"


def _object(schema: Schema, names: dict[str, str]) -> str:
    more = schema.get("additionalProperties")
    return f"Record<string, {_type(more, names) if isinstance(more, dict) and more else 'unknown'}>"
