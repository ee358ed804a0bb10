"""JSON Schemas (draft 2020-12) of msgspec types, each named struct once, for others to refer to."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable
from typing import Any, Final

import msgspec

from relay.http.requests import Moment

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MOMENT: Final[Schema] = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800.5"]}


class Schemas:
    """The schemas of some types, and what those refer to.

    Args:
        types: all types that will be asked for; one that no schema can be made of is described as anything.
        prefix: what a reference to a component begins with.
        sent: structs that are only ever sent, and without the fields that have no value: those are never null.
    """

    def __init__(self, types: Iterable[Any], prefix: str, *, sent: Iterable[Any] = ()) -> None:
        self._prefix = prefix
        tight = list(sent)
        wanted: list[Any] = list(dict.fromkeys([*types, *tight]))
        self._made: dict[Hashable, Schema] = {type_: {} for type_ in wanted}
        try:
            made, self.components = _components(wanted, prefix)
        except TypeError:
            wanted = [type_ for type_ in wanted if _can_be_described(type_)]
            made, self.components = _components(wanted, prefix)
        self._made.update(zip(wanted, made, strict=True))
        for component in self.components.values():
            _clean(component)
        for type_ in tight:
            _drop_null(self.components.get(self.of(type_).get("$ref", "").removeprefix(prefix), {}))

    def of(self, type_: Any) -> Schema:
        """Return the schema of a type, mostly a reference to a component."""
        return self._made[type_]

    def add(self, name: str, schema: Schema) -> Schema:
        """Name a schema, unlike any type's, and return a reference to it."""
        while name in self.components:
            name += "_"
        self.components[name] = schema
        return {"$ref": self._prefix + name}

    def put(self, type_: Any, schema: Schema) -> None:
        """Describe a type by a schema of one's own from now on."""
        self._made[type_] = schema


def parameters(query: type[msgspec.Struct]) -> list[tuple[str, Schema, bool]]:
    """Return a query struct's parameters: name, schema, and whether it must be there."""
    schema = next(iter(msgspec.json.schema_components([query], schema_hook=_schema)[1].values()))
    _drop_null(schema)
    return [(name, part, name in schema["required"]) for name, part in schema["properties"].items()]


def _drop_null(schema: Schema) -> None:
    """Say of each optional field what it is where it is there."""
    for name, part in schema.get("properties", {}).items():
        if part.get("default", ...) is None and "anyOf" in part:
            del part["default"]
            options = [option for option in part.pop("anyOf") if option != {"type": "null"}]
            if len(options) == 1:
                schema["properties"][name] = {**options[0], **part}
            else:
                part["anyOf"] = options


def _clean(schema: Schema) -> None:
    """Take a docstring's indentation away."""
    if "description" in schema:
        schema["description"] = inspect.cleandoc(schema["description"])


def _components(types: list[Any], prefix: str) -> tuple[tuple[Schema, ...], dict[str, Schema]]:
    return msgspec.json.schema_components(types, schema_hook=_schema, ref_template=prefix + "{name}")


def _can_be_described(type_: Any) -> bool:
    try:
        _components([type_], "")
    except TypeError:
        return False
    return True


def _schema(kind: type[Any]) -> Schema:
    if kind is Moment:
        return _MOMENT
    raise NotImplementedError
