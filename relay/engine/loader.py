"""Loading plugins: each is imported and asked what it registers; one that is broken is named and left out."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pluggy

from relay.engine.discovery import Found, find
from relay.engine.guard import Guard, Rules, in_words
from relay.engine.options import BadOptions, read_options
from relay.engine.registry import PARTS, BrokenPlugin, LoadedPlugin, Registry
from relay.http.paths import Claimed
from relay.plugin import hookspecs
from relay.settings.problems import did_you_mean


class Junk(TypeError):
    """A hook returned something else than it should."""


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
    """Load what is enabled and what lies in the directories; never raises for a plugin's fault.

    Args:
        options: each plugin's table, by its name.
        rules: when failing plugins are set aside.
        priorities: places in the replay that the administrator changed, by type.
        places: where in the configuration each option stands.
        paths: of routes that are taken already.
    """
    registry = Registry(rules or Rules(), priorities=dict(priorities or {}), paths=dict(paths or {}))
    wanted, missing = find(enabled, directories)
    registry.broken += [BrokenPlugin(name, None, reason) for name, reason in missing.items()]
    for found in wanted:
        _load_one(registry, found, options.get(found.name, {}), places or {})
    registry.remarks += _hooks_for_nothing(registry)
    return registry


def _hooks_for_nothing(registry: Registry) -> Iterator[str]:
    for owned in registry.parts["relay_message_hooks"]:
        for name in sorted((owned.part.types or frozenset()) - registry.types.keys()):
            meant = did_you_mean(name, registry.types)
            hint = f"; {meant}" if meant else ""
            whose = f"plugin {owned.guard.plugin!r}"
            yield f"{whose}: a hook of it is for the message type {name!r}, which no plugin adds{hint}"


def _load_one(registry: Registry, found: Found, options: dict[str, Any], places: Mapping[str, str]) -> None:
    name = found.name
    watch = registry.rules.loop
    try:
        module = watch.run(name, found.load)
        path = found.path or Path(module.__file__ or name)
        parts, read = watch.run(name, _ask, name, module, options, places)
        types = tuple(type_.name for type_ in parts["relay_message_types"])
        description = (module.__doc__ or "").strip().partition("\n")[0]
        guard = Guard(name, registry.rules)
        registry.add(LoadedPlugin(name, path, types, found.source, guard, description, read), parts)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as fault:
        reason = where(fault, found.path)
        registry.broken.append(BrokenPlugin(name, found.path, reason, found.entry.value if found.entry else None))


def _ask(
    name: str, module: ModuleType, options: dict[str, Any], places: Mapping[str, str]
) -> tuple[dict[str, list[Any]], Any]:
    """Return what a plugin registers, hook by hook, and its options as it wants them.

    Raises:
        BadOptions: its table in the configuration does not fit.
        Junk: a hook returned something else than it should.
        pluggy.PluginValidationError: it implements a hook that is none, or with parameters that are none.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    _check_hooks(module)
    manager.check_pending()
    read: Any = options
    structs = manager.hook.relay_options()
    if structs:
        if not (isinstance(structs[0], type) and issubclass(structs[0], msgspec.Struct)):
            raise Junk(f"relay_options returned {structs[0]!r}; return a msgspec.Struct class")
        read = read_options(name, structs[0], options, places)
    parts: dict[str, list[Any]] = {}
    for hook, kind in PARTS.items():
        arguments = {} if hook == "relay_migrations" else {"options": read}
        answers = getattr(manager.hook, hook)(**arguments)
        parts[hook] = [part for answer in answers for part in _checked(hook, kind, answer)]
    return parts, read


def _check_hooks(module: ModuleType) -> None:
    """Say which hook was meant by a name that is none, and which one nobody would ask for want of its mark."""
    known = {name for name in vars(hookspecs) if name.startswith("relay_")}
    for name, value in vars(module).items():
        if name in known and isfunction(value) and not hasattr(value, "relay_impl"):
            line = value.__code__.co_firstlineno
            raise Junk(f"{name}, in line {line}, would never be asked: write @hookimpl above it")
        if name.startswith("relay_") and hasattr(value, "relay_impl") and name not in known:
            raise Junk(f"there is no hook {name}; {did_you_mean(name, known) or 'see docs/plugins/hooks.md'}")


def _checked(hook: str, kind: type[Any], answer: Any) -> list[Any]:
    if not isinstance(answer, list | tuple):
        raise Junk(f"{hook} returned {answer!r}; return a list of {kind.__name__}")
    for part in answer:
        if not isinstance(part, kind):
            raise Junk(f"{hook} returned {part!r} in its list; return a list of {kind.__name__}")
    return list(answer)


def where(fault: BaseException, path: Path | None) -> str:
    """Say what went wrong and at which line of the plugin's own file."""
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
