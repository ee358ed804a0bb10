"""JSON Schemas (draft 2020-12) of msgspec types; each struct is a component that others refer to."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from relay.http.requests import Moment

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MOMENT: Final[Schema] = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800.5"]}


class Schemas:
    """The schemas of some types, and the components they refer to.

    Args:
        types: all types that will be asked for; a type that no schema can be made of has the schema `{}`.
        prefix: the beginning of a reference to a component.
        sent: structs that are only sent, without the fields that have no value: those are never null.
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
        """Return the schema of a type, in most cases a reference to a component."""
        return self._made[type_]

    def add(self, name: str, schema: Schema) -> Schema:
        """Add a component under a name that no other has, and return a reference to it."""
        while name in self.components:
            name += "_"
        self.components[name] = schema
        return {"$ref": self._prefix + name}

    def put(self, type_: Any, schema: Schema) -> None:
        """Replace the schema of a type."""
        self._made[type_] = schema


def parameters(query: type[msgspec.Struct]) -> list[tuple[str, Schema, bool]]:
    """Return the parameters of a query struct: name, schema, and whether it is required.

    Raises:
        TypeError: it is no struct, or has a field that no schema can be made of.
    """
    (top,), parts = _components([query], "")
    if "$ref" not in top:
        raise TypeError(f"a query is a struct, not {query!r}")
    schema = parts[top["$ref"]]
    _drop_null(schema)
    return [(name, _whole(part, parts), name in schema["required"]) for name, part in schema["properties"].items()]


def _whole(schema: Any, parts: dict[str, Schema]) -> Any:
    """Return a schema with what it refers to in place of the references, as a query has no components."""
    if isinstance(schema, list):
        return [_whole(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _whole(value, parts) for name, value in schema.items() if name != "$ref"}
    if "$ref" not in schema:
        return told
    meant = {name: value for name, value in parts[schema["$ref"]].items() if name != "title"}
    _clean(meant)
    return {**_whole(meant, parts), **told}


def _drop_null(schema: Schema) -> None:
    """Take null out of each optional field's schema."""
    for name, part in schema.get("properties", {}).items():
        if part.get("default", ...) is None and "anyOf" in part:
            del part["default"]
            options = [option for option in part.pop("anyOf") if option != {"type": "null"}]
            if len(options) == 1:
                schema["properties"][name] = {**options[0], **part}
            else:
                part["anyOf"] = options


def _clean(schema: Schema) -> None:
    """Remove the indentation of a docstring."""
    if "description" in schema:
        schema["description"] = inspect.cleandoc(schema["description"])


def _components(types: Sequence[Any], prefix: str) -> tuple[list[Schema], dict[str, Schema]]:
    make = _of_one if len(types) == 1 else _of_many
    return cast(tuple[list[Schema], dict[str, Schema]], msgspec.json.decode(make(tuple(types), prefix)))


def _encoded(types: tuple[Any, ...], prefix: str) -> bytes:
    made = msgspec.json.schema_components(types, schema_hook=_schema, ref_template=prefix + "{name}")
    return msgspec.json.encode(made)


# All types of a server take a third of a second, and a plugin that is loaded anew may change none of them. Text is
# kept, as each caller changes its own schemas; and little of it, as it holds the types of plugins that are gone.
_of_many: Final = lru_cache(maxsize=4)(_encoded)
_of_one: Final = lru_cache(maxsize=256)(_encoded)


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
