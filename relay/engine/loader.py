"""The loader: imports each plugin and calls its hooks; one that is broken is left out, with the reason."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
import pluggy
import trio

from relay.engine.discovery import Found, bundled_directory, find, in_directory
from relay.engine.guard import Guard, Rules, in_words
from relay.engine.moved import used_services
from relay.engine.options import BadOptions, read_options
from relay.engine.overrides import override_types
from relay.engine.page_files import read_page
from relay.engine.registry import PARTS, BrokenPlugin, LoadedPlugin, Registry
from relay.http.paths import Claimed
from relay.plugin import hookspecs
from relay.settings import Settings
from relay.settings.problems import did_you_mean

_log: Final = logging.getLogger("relay")
NO_TYPES: Final = (
    "no plugin that is loaded adds a message type, so nobody could send anything; this list replaces the default"
    " one: leave it out, and name what you add in `also`"
)


class BadHook(TypeError):
    """A hook that does not exist, or that returned something else than it should."""


def bundled_only(settings: Settings) -> Settings:
    """Return the settings without the plugins that are not bundled: `relay serve --safe-mode`."""
    plugins = settings.plugins
    bundled = in_directory(bundled_directory(), "bundled")
    wanted = [*plugins.enabled, *plugins.also]
    left_out = [name for name in wanted if name not in bundled]
    _log.warning("safe mode: bundled plugins only%s", f"; left out: {', '.join(left_out)}" if left_out else "")
    kept = [name for name in wanted if name in bundled]
    return msgspec.structs.replace(
        settings, plugins=msgspec.structs.replace(plugins, enabled=kept, also=[], directories=[])
    )


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
        [*plugins.enabled, *plugins.also],
        [Path(folder) for folder in plugins.directories],
        plugins.options,
        rules,
        priorities={name: type_.priority for name, type_ in settings.types.items() if type_.priority is not None},
        places=plugins.places,
        paths=paths,
    )
    if log_problems:
        for broken in registry.broken:
            _log.error("%s", broken)
        for remark in registry.remarks:
            _log.warning("%s", remark)
    override_types(registry, settings.types)
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
        _load_one(registry, found, options.get(found.name, {}), places or {})
    registry.remarks += _unused_hooks(registry)
    registry.remarks += _unheard_commands(registry)
    return registry


def _unused_hooks(registry: Registry) -> Iterator[str]:
    """Yield a remark for each hook that names a message type which no plugin adds."""
    for owned in registry.parts["relay_message_hooks"]:
        for name in sorted((owned.part.types or frozenset()) - registry.types.keys()):
            meant = did_you_mean(name, registry.types)
            hint = f"; {meant}" if meant else ""
            whose = f"plugin {owned.guard.plugin!r}"
            yield f"{whose}: a hook of it is for the message type {name!r}, which no plugin adds{hint}"


def _unheard_commands(registry: Registry) -> Iterator[str]:
    """Yield a remark for each plugin whose slash commands nobody can type, as `bots` is not loaded."""
    if "slash_command" not in registry.types:
        for plugin in sorted({owned.guard.plugin for owned in registry.parts["relay_slash_commands"]}):
            yield f'plugin {plugin!r}: nobody can type its slash commands without [plugins] also = ["bots"]'


def _load_one(registry: Registry, found: Found, options: dict[str, Any], places: Mapping[str, str]) -> None:
    """Add one plugin to the registry, as loaded or as broken."""
    name = found.name
    watch = registry.rules.loop
    try:
        module = watch.run(name, found.load)
        path = found.path or Path(module.__file__ or name)
        parts, read = watch.run(name, _call_hooks, name, module, options, places)
        types = tuple(type_.name for type_ in parts["relay_message_types"])
        description = (module.__doc__ or "").strip().partition("\n")[0]
        guard = Guard(name, registry.rules)
        page = next((read_page(part, path.parent) for part in parts["relay_page"]), None)
        registry.add(LoadedPlugin(name, path, types, found.source, guard, description, read, page), parts)
        if found.source != "bundled":
            registry.remarks += [f"plugin {name!r}: {told}" for told in used_services(path)]
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as fault:
        reason = reason_of(fault, found.path)
        registry.broken.append(BrokenPlugin(name, found.path, reason, found.entry.value if found.entry else None))


def _call_hooks(
    name: str, module: ModuleType, options: dict[str, Any], places: Mapping[str, str]
) -> tuple[dict[str, list[Any]], Any]:
    """Call a plugin's hooks, and return what they registered, by hook, with its options as its own struct.

    Raises:
        BadOptions: its table in the configuration does not fit.
        BadHook: a hook does not exist, or returned something else than it should.
        pluggy.PluginValidationError: a hook has a parameter that does not exist.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    _check_names(module)
    manager.check_pending()
    read: Any = options
    structs = manager.hook.relay_options()
    if structs:
        if not (isinstance(structs[0], type) and issubclass(structs[0], msgspec.Struct)):
            raise BadHook(f"relay_options returned {structs[0]!r}; return a msgspec.Struct class")
        read = read_options(name, structs[0], options, places)
    parts: dict[str, list[Any]] = {}
    for hook, kind in PARTS.items():
        arguments = {} if hook == "relay_migrations" else {"options": read}
        answers = getattr(manager.hook, hook)(**arguments)
        parts[hook] = [part for answer in answers for part in _checked(hook, kind, answer)]
    return parts, read


def _check_names(module: ModuleType) -> None:
    """Refuse a hook whose name does not exist, and one that lacks its decorator and would never be called."""
    known = {name for name in vars(hookspecs) if name.startswith("relay_")}
    for name, value in vars(module).items():
        if name in known and isfunction(value) and not hasattr(value, "relay_impl"):
            line = value.__code__.co_firstlineno
            raise BadHook(f"{name}, in line {line}, would never be asked: write @hookimpl above it")
        if name.startswith("relay_") and hasattr(value, "relay_impl") and name not in known:
            raise BadHook(f"there is no hook {name}; {did_you_mean(name, known) or 'see docs/plugins/hooks.md'}")


def _checked(hook: str, kind: type[Any], answer: Any) -> list[Any]:
    """Return what a hook returned, as a list of parts of one kind."""
    if hook == "relay_page":
        if not isinstance(answer, kind):
            raise BadHook(f"{hook} returned {answer!r:.80}; return a {kind.__name__}")
        return [answer]
    if not isinstance(answer, list | tuple):
        raise BadHook(f"{hook} returned {answer!r}; return a list of {kind.__name__}")
    for part in answer:
        if not isinstance(part, kind):
            raise BadHook(f"{hook} returned {part!r} in its list; return a list of {kind.__name__}")
    return list(answer)


def reason_of(fault: BaseException, path: Path | None) -> str:
    """Return why a plugin is left out, with the line of its own file where it failed."""
    if isinstance(fault, BadOptions):
        return str(fault)
    line: int | None = None
    if isinstance(fault, SyntaxError) and fault.filename == str(path):
        line = fault.lineno
    else:
        for frame in traceback.extract_tb(fault.__traceback__):
            if frame.filename == str(path):
                line = frame.lineno
    place = f"{path.name}:{line}: " if line and path is not None else ""
    return place + (f"SyntaxError: {fault.msg}" if type(fault) is SyntaxError else in_words(fault))
