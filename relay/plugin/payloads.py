"""Payloads: the base class of their schemas, and the checks that a decoder does not make."""

from __future__ import annotations

from typing import Any

import msgspec

from relay.protocol.choices import with_choices


class Payload(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of payload schemas: unknown fields are refused, absent ones stay absent."""


def explain(error: Exception, schema: Any) -> str:
    """Return what is wrong with a payload, by the names of its sender's own frame."""
    if isinstance(error, RecursionError):
        return "the payload is nested too deeply"
    return with_choices(error, schema).replace("`$.", "`payload.").replace("`$`", "`payload`")


def fields_of(payload: Any) -> tuple[str, ...]:
    """Return the names of a payload's fields; none for one that is no struct, such as `dict[str, int]`."""
    fields: tuple[str, ...] = getattr(payload, "__struct_fields__", ())
    return fields


def free_form_fields(payload: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields that may hold any JSON: only messages of a type that has some pay for their check."""
    schema = msgspec.inspect.type_info(payload)
    fields = schema.fields if isinstance(schema, msgspec.inspect.StructType) else ()
    return tuple(field.name for field in fields if _is_free_form(str(field.type)))


def plain_value(part: Any) -> Any:
    """Return a field's value as plain Python objects."""
    return msgspec.json.decode(part) if isinstance(part, msgspec.Raw) else msgspec.to_builtins(part)


def _is_free_form(description: str) -> bool:
    if "AnyType" in description or "RawType" in description:
        return True
    return "IntType(gt=None, ge=None, lt=None, le=None" in description
