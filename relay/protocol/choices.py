"""The allowed values of a field, added to msgspec's error about a value that is not among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import inspect

_NONE_OF_THEM: Final = re.compile(r"^Invalid (?:enum )?value .*?(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[[^\]]*\]")


def with_choices(error: Exception, kind: Any) -> str:
    """Return the text of an error of msgspec; for a value outside of an enumeration, with the allowed values.

    Args:
        kind: the type that was decoded.
    """
    text = str(error)
    found = _NONE_OF_THEM.match(text)
    if found is None:
        return text
    nodes = [inspect.type_info(kind)]
    for step in _STEP.finditer(found["path"] or ""):
        nodes = [below for node in nodes for below in _below(node, step[1])]
    choices = [str(choice) for node in nodes for choice in _choices(node)]
    return f"{text}; expected one of {', '.join(choices)}" if choices else text


def _plain(node: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types that a type may be, without its metadata."""
    if isinstance(node, inspect.Metadata):
        yield from _plain(node.type)
    elif isinstance(node, inspect.UnionType):
        for one in node.types:
            yield from _plain(one)
    else:
        yield node


def _below(node: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    """Yield the types of a field, or of the entries if `name` is None."""
    for one in _plain(node):
        if isinstance(one, inspect.StructType) and name is not None and name == one.tag_field:
            yield inspect.LiteralType((one.tag,))
        elif isinstance(one, inspect.StructType):
            yield from (field.type for field in one.fields if field.encode_name == name)
        elif isinstance(one, inspect.DictType):
            yield one.value_type
        elif name is None and isinstance(one, inspect.ListType | inspect.SetType | inspect.VarTupleType):
            yield one.item_type


def _choices(node: inspect.Type) -> Iterator[object]:
    for one in _plain(node):
        if isinstance(one, inspect.LiteralType):
            yield from one.values
        elif isinstance(one, inspect.EnumType):
            yield from (member.value for member in one.cls)
