"""The plugins of one server, loaded as its settings say."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from relay.engine.discovery import bundled_directory, in_directory
from relay.engine.guard import Rules
from relay.engine.loader import load
from relay.engine.registry import Registry
from relay.http.paths import Claimed
from relay.protocol.kinds import Kind
from relay.settings import Settings
from relay.settings.extensions import TypeSettings

_log: Final = logging.getLogger("relay")
NO_TYPES: Final = (
    "no plugin that is loaded adds a message type, so nobody could send anything; this list replaces the default"
    " one: leave it out, and name what you add in `also`"
)


def safe(settings: Settings) -> Settings:
    """Return the settings with the bundled plugins only, of those that are enabled."""
    plugins = settings.plugins
    bundled = in_directory(bundled_directory(), "bundled")
    wanted = [*plugins.enabled, *plugins.also]
    left_out = [name for name in wanted if name not in bundled]
    _log.warning("safe mode: bundled plugins only%s", f"; left out: {', '.join(left_out)}" if left_out else "")
    kept = [name for name in wanted if name in bundled]
    return msgspec.structs.replace(
        settings, plugins=msgspec.structs.replace(plugins, enabled=kept, also=[], directories=[])
    )


def load_plugins(settings: Settings, paths: Claimed, *, tell: bool = True) -> Registry:
    """Return what the enabled plugins register; each that is broken is logged, with the reason, and left out.

    Args:
        paths: of routes that are relay's own.
        tell: whether it is logged; False where the caller prints it.
    """
    plugins = settings.plugins
    enabled, directories = [*plugins.enabled, *plugins.also], [Path(folder) for folder in plugins.directories]
    rules = Rules(
        plugins.quarantine_failures,
        plugins.quarantine_seconds,
        settings.timeouts.handler_seconds,
        _any_threads_clock(),
    )
    priorities = {name: type_.priority for name, type_ in settings.types.items() if type_.priority is not None}
    registry = load(
        enabled, directories, plugins.options, rules, priorities=priorities, places=plugins.places, paths=paths
    )
    if tell:
        for broken in registry.broken:
            _log.error("%s", broken)
        for remark in registry.remarks:
            _log.warning("%s", remark)
    for name, changed in settings.types.items():
        _adjust(registry, name, changed)
    return registry


def _any_threads_clock() -> Callable[[], float]:
    """Return trio's clock as any thread may read it: a plugin may fail on the writer's."""
    try:
        return trio.lowlevel.current_clock().current_time
    except RuntimeError:  # nothing runs: the plugins are only looked at
        return time.monotonic


def _adjust(registry: Registry, name: str, changed: TypeSettings) -> None:
    """Change a message type as `[types.NAME]` says; what it cannot be is logged, with the key, and left out."""
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
    known_fields: tuple[str, ...] = getattr(known.payload, "__struct_fields__", ())
    if field is not None and field not in known_fields:
        fields = ", ".join(known_fields)
        _log.error("[types.%s] collapse_key is left out: %r is no field of its payload (%s)", name, field, fields)
    elif field is not None:
        changes["collapse"] = partial(_field_text, field)
    registry.types[name] = replace(known, **changes)


def _field_text(field: str, payload: Any) -> str | None:
    """Return what a payload says in a field, as text; None where it says nothing."""
    value = getattr(payload, field)
    return None if value is None else str(value)[:256]
