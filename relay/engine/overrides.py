"""Overrides of message types by the configuration: `[types.NAME]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from relay.engine.registry import Registry
from relay.plugin.payloads import fields_of
from relay.protocol.kinds import Kind
from relay.settings.model import TypeSettings
from relay.settings.problems import did_you_mean


def override_types(registry: Registry, overrides: Mapping[str, TypeSettings]) -> list[str]:
    """Change message types as the configuration says; return what does not fit its type, and is left out."""
    found = (_override(registry, name, changed) for name, changed in overrides.items())
    return [remark for remark in found if remark is not None]


def _override(registry: Registry, name: str, changed: TypeSettings) -> str | None:
    known = registry.types.get(name)
    if known is None:
        hint = did_you_mean(name, registry.types) or f"there are: {', '.join(registry.types)}"
        return f"[types.{name}]: no plugin adds a message type of that name, so it changes nothing; {hint}"
    changes: dict[str, Any] = {} if changed.max_bytes is None else {"max_bytes": changed.max_bytes}
    for key in ("ttl_seconds", "collapse_key"):
        if getattr(changed, key) is not None and known.kind is not Kind.STREAM:
            registry.types[name] = replace(known, **changes)
            return f"[types.{name}] {key} is left out: it is for stream types, and this one is {known.kind}"
    if changed.ttl_seconds is not None:
        changes["ttl_seconds"] = changed.ttl_seconds
    field, remark = changed.collapse_key, None
    known_fields = fields_of(known.payload)
    if field is not None and field not in known_fields:
        fields = ", ".join(known_fields)
        remark = f"[types.{name}] collapse_key is left out: {field!r} is not a field of its payload ({fields})"
    elif field is not None:
        changes["collapse"] = partial(_field_text, field)
    registry.types[name] = replace(known, **changes)
    return remark


def _field_text(field: str, payload: Any) -> str | None:
    """Return a field of a payload as text; None where it has no value."""
    value = getattr(payload, field)
    return None if value is None else str(value)[:256]
