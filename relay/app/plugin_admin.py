"""The operator's operations on plugins: list, check, resume, and run a plugin's command."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_type_hints

import msgspec

from relay.engine.discovery import bundled_directory, in_directory, installed
from relay.engine.engine import Engine
from relay.engine.guard import PluginFailed
from relay.engine.loader import load_plugins
from relay.engine.registry import PARTS, Registry
from relay.plugin.page import PageExtension
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.settings import Settings
from relay.transports.rest.app import own_paths


async def list_plugins(engine: Engine) -> list[dict[str, Any]]:
    """Return every plugin with its state, and with the reason if it does not run."""
    registry = engine.registry
    rows = [
        {
            "name": loaded.name,
            "state": "set aside" if loaded.guard.quarantined else "running",
            "source": loaded.source,
            "failures": loaded.guard.failures,
            "types": ", ".join(loaded.types),
            "reason": loaded.guard.reason or loaded.guard.last or "",
            "description": loaded.description,
            "page_faults": _page_faults(engine, loaded.name),
        }
        for loaded in registry.loaded
    ]
    rows += [_idle(broken.name, "left out", broken.reason) for broken in registry.broken]
    named = {row["name"] for row in rows}
    others = {**installed(), **in_directory(bundled_directory(), "bundled")}
    rows += [
        _idle(name, "off", "") | {"source": found.source} for name, found in others.items() if name not in named
    ]
    return rows


def _idle(name: str, state: str, reason: str) -> dict[str, Any]:
    row = {"name": name, "state": state, "source": "", "failures": 0, "types": "", "reason": reason}
    return row | {"description": "", "page_faults": 0}


def _page_faults(engine: Engine, name: str) -> int:
    """Return how often pages told that a plugin's page module failed."""
    return sum(times for (what, _), times in engine.server_of(name).counts.items() if what == "page_fault")


async def resume_plugin(engine: Engine, name: str) -> None:
    """End a plugin's quarantine.

    Raises:
        RelayError: `not_found` when no such plugin is loaded.
    """
    guard = engine.registry.guard(name)
    if guard is None:
        raise not_found(f"plugin {name!r} at work")
    guard.resume()


async def run_command(engine: Engine, name: str, arguments: dict[str, Any]) -> Any:
    """Run a plugin's command and return its result.

    Raises:
        RelayError: `not_found` for an unknown command, `invalid_payload` for arguments that do not fit,
            `plugin_failed`, or the command's own refusal.
    """
    owned = next((one for one in engine.registry.parts["relay_commands"] if one.part.name == name), None)
    if owned is None:
        raise not_found(f"command {name!r} of a running plugin; the server may need a new start")
    hints = get_type_hints(owned.part.run, include_extras=True)
    known = inspect.signature(owned.part.run).parameters
    try:
        given = {
            key: msgspec.convert(value, hints.get(key, str), strict=False)
            for key, value in arguments.items()
            if key in known
        }
    except msgspec.ValidationError as error:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, str(error)) from None
    server = engine.server_of(owned.guard.plugin)
    try:
        answer = await owned.guard.call_async(
            f"command {name!r}", lambda: owned.part.run(server, **given), seconds=float("inf")
        )
        owned.guard.call(f"what command {name!r} returns", encode_json, answer)
        return answer
    except PluginFailed as failed:
        cause = failed.__cause__
        text = f"the plugin {owned.guard.plugin!r} failed: {type(cause).__name__}: {cause}"
        raise RelayError(ErrorCode.PLUGIN_FAILED, text) from None


def load_for(settings: Settings, *, tell: bool = False) -> Registry:
    """Load the plugins as a start of the server does, without starting it.

    Args:
        tell: log the plugins that are left out.
    """
    return load_plugins(settings, own_paths(settings), log_problems=tell)


def checked(settings: Settings, names: tuple[str, ...]) -> list[dict[str, str]]:
    """Return, for each plugin, what it adds, or why the server would leave it out."""
    wanted = list(dict.fromkeys([*settings.plugins.enabled, *settings.plugins.also, *names]))
    plugins = msgspec.structs.replace(settings.plugins, enabled=wanted)
    registry = load_for(msgspec.structs.replace(settings, plugins=plugins))
    rows = [{"name": broken.name, "reason": broken.reason, "adds": ""} for broken in registry.broken]
    for loaded in registry.loaded:
        counts = []
        for hook in PARTS:
            listed = [owned.part for owned in registry.parts[hook] if owned.guard is loaded.guard]
            if listed:
                what = hook.removeprefix("relay_").replace("_", " ")
                counts.append(f"{what}: {', '.join(_called(part) for part in listed)}")
        remarks = "; ".join(one for one in registry.remarks if one.startswith(f"plugin {loaded.name!r}:"))
        row = {"name": loaded.name, "reason": "", "adds": "; ".join(counts) or "nothing"}
        rows.append(row | ({"remark": remarks} if remarks else {}))
    return [row for row in rows if not names or row["name"] in names]


def _called(part: Any) -> str:
    name = getattr(part, "name", None)
    if isinstance(name, str):
        return name
    if isinstance(part, PageExtension):
        return part.module if part.folder is not None else "a module"
    given = [field.name for field in dataclasses.fields(part) if callable(getattr(part, field.name))]
    blueprint = getattr(part, "blueprint", None)
    return str(blueprint.name) if blueprint is not None else " and ".join(given)
