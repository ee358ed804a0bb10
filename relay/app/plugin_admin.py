"""The operator's operations on plugins: list, check, resume, and run a plugin's command."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from relay.engine import plugin_acts, plugin_states
from relay.engine.engine import Engine
from relay.engine.guard import PluginFailed
from relay.engine.loader import enabled_in, load_plugins
from relay.engine.plugin_states import parts_of, states
from relay.engine.registry import Registry
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.audit import Actor, acting
from relay.settings import Settings
from relay.transports.rest.app import own_paths

Reason = Annotated[str, Meta(min_length=1, max_length=200)]


async def list_plugins(engine: Engine) -> list[dict[str, Any]]:
    """Return every plugin with its state, and with the reason if it does not run."""
    return [{**msgspec.structs.asdict(row), "types": ", ".join(row.types)} for row in states(engine)]


async def resume_plugin(engine: Engine, actor: Actor, name: str) -> None:
    """End a plugin's quarantine; see `plugin_acts.resume`."""
    await plugin_acts.resume(engine, actor, name)


async def reload_plugin(engine: Engine, actor: Actor, name: str) -> dict[str, Any]:
    """Load a plugin's code and options anew, or for the first time; see `plugin_acts.reload`."""
    return (await plugin_acts.reload(engine, actor, name))._asdict()


async def unload_plugin(engine: Engine, actor: Actor, name: str) -> dict[str, Any]:
    """Take a plugin out until it is loaded again; see `plugin_acts.unload`."""
    return (await plugin_acts.unload(engine, actor, name))._asdict()


async def set_plugin_aside(engine: Engine, actor: Actor, name: str, reason: Reason = plugin_acts.ASIDE) -> None:
    """Set a plugin aside by hand; see `plugin_acts.set_aside`."""
    await plugin_acts.set_aside(engine, actor, name, reason)


async def show_options(engine: Engine, name: str) -> list[dict[str, Any]]:
    """Return the options of a plugin, each with its value, where that comes from, and what it is.

    Raises:
        RelayError: `not_found` for a plugin that is not at work; `conflict` for one that declares no options.
    """
    return plugin_states.options(plugin_acts.loaded(engine, name))


async def set_options(engine: Engine, actor: Actor, name: str, changes: dict[str, Any]) -> None:
    """Change options of a plugin in the settings file, and load it anew; see `plugin_acts.set_options`."""
    await plugin_acts.set_options(engine, actor, name, changes)


async def run_command(engine: Engine, name: str, arguments: dict[str, Any], actor: Actor | None = None) -> Any:
    """Run a plugin's command and return its result; `server.actor` is who runs it.

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
        with acting(actor):
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
    wanted = list(dict.fromkeys([*enabled_in(settings.plugins), *names]))
    plugins = msgspec.structs.replace(settings.plugins, enabled=wanted)
    registry = load_for(msgspec.structs.replace(settings, plugins=plugins))
    rows = [{"name": broken.name, "reason": broken.reason, "adds": ""} for broken in registry.broken]
    for loaded in registry.loaded:
        counts = [
            f"{hook.removeprefix('relay_').replace('_', ' ')}: {', '.join(names)}"
            for hook, names in parts_of(registry, loaded).items()
        ]
        remarks = "; ".join(one for one in registry.remarks if one.startswith(f"plugin {loaded.name!r}:"))
        row = {"name": loaded.name, "reason": "", "adds": "; ".join(counts) or "nothing"}
        rows.append(row | ({"remark": remarks} if remarks else {}))
    return [row for row in rows if not names or row["name"] in names]
