"""Finds plugins and registers their message types; one that is broken is named and left out.

A plugin is a Python file: a bundled one from `plugins/` at the top of the tree (inside the package in an
installed wheel), or any `*.py` in a configured directory. What `[plugins] enabled` names is looked up in
the directories first, then among the bundled ones; a file in a directory needs no enabling to be loaded:
it was put there.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pluggy

from relay.plugin import hookspecs
from relay.plugin.types import MessageType

_PACKAGE: Final = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that was left out, and why, with the place to look at."""

    name: str
    path: Path | None
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.path or 'no such file'}) is left out: {self.reason}"


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin at work."""

    name: str
    path: Path
    types: tuple[str, ...]


@dataclass
class Registry:
    """Every message type by name, and where each came from."""

    types: dict[str, MessageType] = field(default_factory=dict)
    loaded: list[LoadedPlugin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    _owner: dict[str, str] = field(default_factory=dict)
    priorities: dict[str, int] = field(default_factory=dict)

    def priority(self, type_name: str) -> int:
        """Return a type's place in a replay, also of one whose plugin is gone."""
        configured = self.priorities.get(type_name)
        if configured is not None:
            return configured
        known = self.types.get(type_name)
        return known.priority if known else 50

    def counted(self) -> list[str]:
        """Return the names of the types that make a conversation unread."""
        return [name for name, type_ in self.types.items() if type_.unread]

    def add(self, plugin: str, path: Path, types: Iterable[MessageType]) -> None:
        """Add a plugin's types, all or none.

        Raises:
            ValueError: a name is taken, or something else than a MessageType was returned.
        """
        added = list(types)
        owners = dict(self._owner)
        for type_ in added:
            if not isinstance(type_, MessageType):
                raise TypeError(f"relay_message_types returned {type_!r}; return a list of MessageType")
            if type_.name in owners:
                raise ValueError(f"message type {type_.name!r} is taken by plugin {owners[type_.name]!r}")
            owners[type_.name] = plugin
        for type_ in added:
            self.types[type_.name] = type_
        self._owner = owners
        self.loaded.append(LoadedPlugin(plugin, path, tuple(type_.name for type_ in added)))


def bundled_directory() -> Path:
    """Return where the bundled plugins are: inside an installed package, or at the top of a checkout."""
    installed = _PACKAGE / "bundled_plugins"
    return installed if installed.is_dir() else _PACKAGE.parent / "plugins"


def load(
    enabled: Iterable[str],
    directories: Iterable[Path],
    options: Mapping[str, dict[str, Any]],
    priorities: Mapping[str, int] | None = None,
) -> Registry:
    """Load what is enabled and what lies in the directories; never raises for a plugin's fault."""
    registry = Registry(priorities=dict(priorities or {}))
    found: dict[str, Path] = {}
    for directory in directories:
        for path in sorted(Path(directory).glob("*.py")):
            found.setdefault(path.stem, path)
    bundled = bundled_directory()
    wanted = list(dict.fromkeys([*enabled, *found]))
    for name in wanted:
        path = found.get(name) or bundled / f"{name}.py"
        _load_one(registry, name, path, options.get(name, {}))
    return registry


def _load_one(registry: Registry, name: str, path: Path, options: dict[str, Any]) -> None:
    if not path.is_file():
        known = ", ".join(sorted(candidate.stem for candidate in path.parent.glob("[a-z]*.py")))
        registry.broken.append(BrokenPlugin(name, None, f"there is no {name}.py; bundled plugins are: {known}"))
        return
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        module = _import(name, path)
        manager.register(module, name)
        manager.check_pending()
        types = [type_ for some in manager.hook.relay_message_types(options=options) for type_ in some]
        registry.add(name, path, types)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as fault:
        registry.broken.append(BrokenPlugin(name, path, _where(fault, path)))


def _import(name: str, path: Path) -> ModuleType:
    module_name = f"relay_plugin_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _where(fault: BaseException, path: Path) -> str:
    """Say what went wrong and at which line of the plugin's own file."""
    line: int | None = None
    if isinstance(fault, SyntaxError) and fault.filename == str(path):
        line = fault.lineno
    else:
        for frame in _frames(fault):
            if frame.filename == str(path):
                line = frame.lineno
    place = f"{path.name}:{line}: " if line else ""
    message = fault.msg if isinstance(fault, SyntaxError) else str(fault)
    return f"{place}{type(fault).__name__}: {message}"


def _frames(fault: BaseException) -> Iterator[traceback.FrameSummary]:
    yield from traceback.extract_tb(fault.__traceback__)
