"""The loader: imports each plugin and calls its hooks; one that is broken is left out, with the reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
import trio

from relay.engine.discovery import Found, bundled_directory, find, in_directory
from relay.engine.guard import Guard, Rules
from relay.engine.moved import used_services
from relay.engine.overrides import override_types
from relay.engine.page_files import read_page
from relay.engine.registering import ask, reason_of
from relay.engine.registry import BrokenPlugin, LoadedPlugin, Registry
from relay.engine.required import holding
from relay.engine.watchdog import Watch
from relay.http.paths import Claimed
from relay.plugin.registrations import MessageHook
from relay.settings import PluginsSettings, Settings
from relay.settings.problems import did_you_mean

_log: Final = logging.getLogger("relay")
_UNHEARD: Final = "a hook of it is for the message type"
_NO_TYPES: Final = "[plugins] enabled: no plugin that is loaded adds a message type, so nobody could send anything"


def bundled_only(settings: Settings) -> Settings:
    """Return the settings without the plugins that are not bundled: `relay serve --safe-mode`."""
    plugins = settings.plugins
    bundled = in_directory(bundled_directory(), "bundled")
    wanted = enabled_in(plugins)
    left_out = [name for name in wanted if name not in bundled]
    _log.warning("safe mode: bundled plugins only%s", f"; left out: {', '.join(left_out)}" if left_out else "")
    kept = [name for name in wanted if name in bundled]
    return msgspec.structs.replace(
        settings, plugins=msgspec.structs.replace(plugins, enabled=kept, also=[], directories=[], file=None)
    )


def no_types() -> str:
    """Return the sentence for a server without message types: it would run, and nobody could send anything."""
    folder = bundled_directory()
    if not in_directory(folder, "bundled"):
        return f"{_NO_TYPES}; relay's own plugins are not in {folder}: install relay anew"
    return (
        f"{_NO_TYPES}; this list replaces the default one: leave it out, or name at least chat_message in it, and"
        " name what you add in `also`"
    )


def enabled_in(plugins: PluginsSettings) -> list[str]:
    """Return the names of the plugins that the settings enable, in order; those in folders need no enabling."""
    return [*plugins.enabled, *plugins.also, *plugins.required]


def load_plugins(settings: Settings, paths: Claimed, *, log_problems: bool = True) -> Registry:
    """Load the plugins that the settings enable, with the settings' overrides.

    Args:
        paths: of routes that are relay's own.
        log_problems: whether plugins that are left out are logged; False where the caller prints them.
    """
    plugins = settings.plugins
    rules = Rules(
        plugins.quarantine_failures,
        plugins.quarantine_seconds,
        settings.timeouts.handler_seconds,
        _clock_of_any_thread(),
    )
    registry = load(
        enabled_in(plugins),
        [Path(folder) for folder in plugins.directories],
        plugins.options,
        rules,
        priorities={name: type_.priority for name, type_ in settings.types.items() if type_.priority is not None},
        places=plugins.places,
        paths=paths,
    )
    registry.remarks += _nothing_to_require(registry, plugins.required)
    registry.remarks += override_types(registry, settings.types)
    if log_problems:
        for broken in registry.broken:
            _log.error("%s", broken)
        for remark in registry.remarks:
            _log.warning("%s", remark)
    return registry


def _clock_of_any_thread() -> Callable[[], float]:
    """Return trio's clock such that any thread may read it: a plugin may fail on the writer's."""
    try:
        return trio.lowlevel.current_clock().current_time
    except RuntimeError:  # trio does not run: the plugins are loaded, and not used
        return time.monotonic


def load(
    enabled: Iterable[str],
    directories: Iterable[Path],
    options: Mapping[str, dict[str, Any]],
    rules: Rules | None = None,
    *,
    priorities: Mapping[str, int] | None = None,
    places: Mapping[str, str] | None = None,
    paths: Claimed | None = None,
) -> Registry:
    """Load the enabled plugins and those in the directories; a plugin's fault never raises here.

    Args:
        options: each plugin's table in the configuration, by its name.
        rules: the limits of plugins' code.
        priorities: places in the replay that the configuration overrides, by message type.
        places: where in the configuration each option is.
        paths: of routes that are taken already.
    """
    registry = Registry(rules or Rules(), priorities=dict(priorities or {}), paths=dict(paths or {}))
    wanted, missing = find(enabled, directories)
    registry.broken += [BrokenPlugin(name, None, reason) for name, reason in missing.items()]
    for found in wanted:
        load_one(registry, found, options.get(found.name, {}), places or {})
    leave_out_dead_hooks(registry)
    registry.remarks += [*_shown_by_edits(registry), *_unheard_commands(registry)]
    return registry


def leave_out_dead_hooks(registry: Registry, names: Collection[str] | None = None) -> None:
    """Leave plugins out that have a hook for message types which no plugin adds: it would never be called.

    It stays, with a remark, where it is for other types as well, or a bundled plugin that is off would add them.

    Args:
        names: the plugins to look at; None for all.
    """
    remarks, dead = [], ""
    for owned in registry.parts["relay_message_hooks"]:
        plugin, types = owned.guard.plugin, owned.part.types or frozenset()
        unknown = sorted(types - registry.types.keys())
        bundled = in_directory(bundled_directory(), "bundled") if unknown else {}
        for name in unknown:
            text = f"{_UNHEARD} {name!r}, which no plugin adds"
            hint = f"{name} is off" if name in bundled else did_you_mean(name, registry.types)
            text += f"; {hint}" if hint else ""
            remarks.append(f"plugin {plugin!r}: {text}")
            is_dead = types.isdisjoint(registry.types) and types.isdisjoint(bundled)
            if is_dead and (names is None or plugin in names):
                dead, reason = plugin, f"{_place_of(owned.part, registry, plugin)}{text}"
    registry.remarks = [remark for remark in registry.remarks if _UNHEARD not in remark] + remarks
    if dead:
        registry.leave_out(dead, reason)
        leave_out_dead_hooks(registry, names)  # what it added may be what others' hooks are for


def _place_of(hook: MessageHook, registry: Registry, plugin: str) -> str:
    """Return the file and line of a hook's first function, where it is in its plugin's own file."""
    path = next(loaded.path for loaded in registry.loaded if loaded.name == plugin)
    for one in fields(hook):
        code = getattr(getattr(hook, one.name), "__code__", None)
        if code is not None and path is not None and code.co_filename == str(path):
            return f"{path.name}:{code.co_firstlineno}: "
    return ""


def _shown_by_edits(registry: Registry) -> Iterator[str]:
    """Yield a remark for each `for_recipient` hook that edits go around, as they bring the new text."""
    for owned in registry.parts["relay_message_hooks"]:
        types = owned.part.types
        if owned.part.for_recipient is None or types is None or "message_edit" in types:
            continue
        editable = [name for name in sorted(types & registry.types.keys()) if registry.types[name].editable]
        if editable and "message_edit" in registry.types:
            yield (
                f"plugin {owned.guard.plugin!r}: its for_recipient is for {editable[0]!r}, whose edits come as"
                " message_edit with the new text; add that to its types"
            )


def _unheard_commands(registry: Registry) -> Iterator[str]:
    """Yield a remark for each plugin whose slash commands nobody can type, as `bots` is not loaded."""
    if "slash_command" not in registry.types:
        for plugin in sorted({owned.guard.plugin for owned in registry.parts["relay_slash_commands"]}):
            yield f'plugin {plugin!r}: nobody can type its slash commands without [plugins] also = ["bots"]'


def _nothing_to_require(registry: Registry, required: Iterable[str]) -> Iterator[str]:
    """Yield a remark for each plugin that is required and has no hook that could hold anything back."""
    checking = {owned.guard.plugin for owned in holding(registry)}
    for name in required:
        if registry.guard(name) is not None and name not in checking:
            hooks = "`before` or `for_recipient`, and none of those that are asked"
            yield f"plugin {name!r}: [plugins] required names it, and it has no hook {hooks}"


def load_one(
    registry: Registry,
    found: Found,
    options: dict[str, Any],
    places: Mapping[str, str],
    *,
    watch: Watch | None = None,
    place: int | None = None,
) -> None:
    """Add one plugin to the registry, as loaded or as broken.

    Args:
        watch: of the thread that this is called on; None for that of the event loop.
        place: its place in the order of loading; None for the end.
    """
    name = found.name
    watch = watch or registry.rules.loop
    module: ModuleType | None = None
    try:
        module = watch.run(name, found.load)
        path = found.path or Path(module.__file__ or name)
        parts, struct, read = watch.run(name, ask, name, module, options, places)
        types = tuple(type_.name for type_ in parts["relay_message_types"])
        description = (module.__doc__ or "").strip().partition("\n")[0]
        guard = Guard(name, registry.rules)
        page = next((read_page(part, path.parent) for part in parts["relay_page"]), None)
        own = f"plugins.{name}."
        origins = {key.removeprefix(own): where for key, where in places.items() if key.startswith(own)}
        loaded = LoadedPlugin(
            name, path, types, found.source, guard, description, read, page, struct=struct, origins=origins
        )
        registry.add(loaded, parts, place)
        if found.source != "bundled":
            told = [f"plugin {name!r}: {one}" for one in used_services(path)]
            registry.remarks = [*registry.remarks, *told]
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as fault:
        reason = reason_of(fault, found.path or found.file_of_entry(), module)
        broken = BrokenPlugin(name, found.path, reason, found.entry.value if found.entry else None)
        registry.broken = [*registry.broken, broken]
