"""Overrides of message types by the configuration: `[types.NAME]`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from relay.engine.registry import Registry
from relay.plugin.payloads import fields_of
from relay.protocol.kinds import Kind
from relay.settings.model import TypeSettings

_log: Final = logging.getLogger("relay")


def override_types(registry: Registry, overrides: Mapping[str, TypeSettings]) -> None:
    """Change message types as the configuration says; a key that does not fit its type is logged and left out."""
    for name, changed in overrides.items():
        _override(registry, name, changed)


def _override(registry: Registry, name: str, changed: TypeSettings) -> None:
    known = registry.types.get(name)
    if known is None:
        _log.warning("[types.%s] changes nothing: no plugin adds a message type of that name", name)
        return
    changes: dict[str, Any] = {} if changed.max_bytes is None else {"max_bytes": changed.max_bytes}
    for key in ("ttl_seconds", "collapse_key"):
        if getattr(changed, key) is not None and known.kind is not Kind.STREAM:
            _log.error(
                "[types.%s] %s is left out: it is for stream types, and this one is %s", name, key, known.kind
            )
            registry.types[name] = replace(known, **changes)
            return
    if changed.ttl_seconds is not None:
        changes["ttl_seconds"] = changed.ttl_seconds
    field = changed.collapse_key
    known_fields = fields_of(known.payload)
    if field is not None and field not in known_fields:
        fields = ", ".join(known_fields)
        text = "[types.%s] collapse_key is left out: %r is not a field of its payload (%s)"
        _log.error(text, name, field, fields)
    elif field is not None:
        changes["collapse"] = partial(_field_text, field)
    registry.types[name] = replace(known, **changes)


def _field_text(field: str, payload: Any) -> str | None:
    """Return a field of a payload as text; None where it has no value."""
    value = getattr(payload, field)
    return None if value is None else str(value)[:256]
