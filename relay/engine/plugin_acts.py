"""Acts of admins and the operator on plugins: load, take out, set aside, take back, change; with their entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relay.engine.engine import Engine
from relay.engine.option_changes import change_options
from relay.engine.registry import LoadedPlugin
from relay.engine.reloading import Changed
from relay.protocol.errors import not_found
from relay.services.acts import Act
from relay.services.audit import About, Actor

ASIDE: Final = "an admin set it aside"
"""Why a plugin is set aside where nobody says why."""


async def reload(engine: Engine, actor: Actor, name: str) -> Changed:
    """Load a plugin's code and options anew, or for the first time; see `relay.engine.reloading`.

    Raises:
        RelayError: `not_found`; `conflict` with the reason where the old code stays; `overloaded`.
    """
    changed = await engine.reloader.reload(name)
    await _record(engine, actor, Act.PLUGIN_RELOADED, name, {"state": changed.state})
    return changed


async def unload(engine: Engine, actor: Actor, name: str) -> Changed:
    """Take a plugin out until it is loaded again.

    Raises:
        RelayError: `not_found`; `overloaded`.
    """
    changed = await engine.reloader.unload(name)
    await _record(engine, actor, Act.PLUGIN_UNLOADED, name)
    return changed


async def resume(engine: Engine, actor: Actor, name: str) -> None:
    """Take a plugin back that was set aside.

    Raises:
        RelayError: `not_found`.
    """
    loaded(engine, name).guard.resume()
    await _record(engine, actor, Act.PLUGIN_RESUMED, name)


async def set_aside(engine: Engine, actor: Actor, name: str, reason: str) -> None:
    """Set a plugin aside: its types and calls are answered `plugin_failed`, and nothing of it runs.

    Raises:
        RelayError: `not_found`.
    """
    loaded(engine, name).guard.set_aside(reason)
    await _record(engine, actor, Act.PLUGIN_SET_ASIDE, name, {"reason": reason})


async def set_options(engine: Engine, actor: Actor, name: str, changes: Mapping[str, Any]) -> None:
    """Change options of a plugin; the entry has their names alone, as some are secret.

    Raises:
        RelayError: as `change_options`.
    """
    await change_options(engine, name, changes)
    await _record(engine, actor, Act.PLUGIN_OPTIONS, name, {"options": sorted(changes)})


def loaded(engine: Engine, name: str) -> LoadedPlugin:
    """Return a plugin that was loaded.

    Raises:
        RelayError: `not_found`.
    """
    for one in engine.registry.loaded:
        if one.name == name:
            return one
    raise not_found(f"plugin {name!r} at work")


async def _record(
    engine: Engine, actor: Actor, act: Act, name: str, details: Mapping[str, Any] | None = None
) -> None:
    await engine.audit.record(actor, act, About("plugin", name), details)
