"""What all plugins together registered: the types by name, and everything else by its owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.engine.guard import Guard, Rules
from relay.engine.hooks import Hooks, Owned
from relay.engine.plugin_server import ServerOf
from relay.http.paths import Claimed, check_claims, claims
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    Command,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.types import MessageType

PARTS: Final[dict[str, type[Any]]] = {
    "relay_message_types": MessageType,
    "relay_message_hooks": MessageHook,
    "relay_session_hooks": SessionHook,
    "relay_authenticators": Authenticator,
    "relay_migrations": Migration,
    "relay_background": BackgroundTask,
    "relay_routes": Routes,
    "relay_commands": Command,
}
"""What each hook returns a list of."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that was left out, and why, with the place to look at.

    Attributes:
        path: its file; None for one that is not there, and for one of an installed package.
        module: of an installed package.
    """

    name: str
    path: Path | None
    reason: str
    module: str | None = None

    def __str__(self) -> str:
        place = self.path or (f"module {self.module}" if self.module else None)
        return f"plugin {self.name!r}{f' ({place})' if place else ''} is left out: {self.reason}"


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin at work."""

    name: str
    path: Path | None
    types: tuple[str, ...]
    source: str
    guard: Guard
    description: str = ""
    options: Any = None


@dataclass
class Registry:
    """Every message type by name, every other part, and where each came from."""

    rules: Rules
    types: dict[str, MessageType] = field(default_factory=dict)
    loaded: list[LoadedPlugin] = field(default_factory=list)
    broken: list[BrokenPlugin] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    priorities: dict[str, int] = field(default_factory=dict)
    parts: dict[str, list[Owned[Any]]] = field(default_factory=lambda: {name: [] for name in PARTS})
    paths: Claimed = field(default_factory=dict)
    _owner: dict[str, Guard] = field(default_factory=dict)
    _commands: dict[str, str] = field(default_factory=dict)

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

    def owner(self, type_name: str) -> Guard:
        """Return the guard of the plugin that a type belongs to."""
        return self._owner[type_name]

    def searched(self, type_name: str, stored: str) -> tuple[Any, str] | None:
        """Return a stored payload, and the text that search finds its message by; None where there is none.

        A `search_text` that fails is its own plugin's failure, and its message is one that is not found.
        """
        type_ = self.types.get(type_name)
        if type_ is None or type_.search_text is None or (guard := self._owner[type_name]).aside:
            return None
        try:
            payload = type_.load(stored)
        except (msgspec.DecodeError, RecursionError):
            return None  # an older version of its type stored it
        text = guard.call_anywhere(f"search_text, for {type_name!r}", _text_of, type_.search_text, payload)
        return (payload, text) if text else None

    def all_searched(self, stored: Sequence[tuple[str, str | None]]) -> list[tuple[Any, str] | None]:
        """Return what `searched` does of many, type and payload each; None also for a tombstone.

        A type's own code is called once for all of its messages: what guards a call costs more than the call.
        """
        found: list[tuple[Any, str] | None] = [None] * len(stored)
        types: dict[str, list[tuple[int, str]]] = {}
        for place, (name, payload) in enumerate(stored):
            if payload is not None:
                types.setdefault(name, []).append((place, payload))
        for name, placed in types.items():
            said = self._searched_together(name, [payload for _, payload in placed])
            if said is None:
                said = [self.searched(name, payload) for _, payload in placed]
            for (place, _), one in zip(placed, said, strict=True):
                found[place] = one
        return found

    def _searched_together(self, name: str, stored: Sequence[str]) -> list[tuple[Any, str] | None] | None:
        """Return what search finds messages of one type by; None where one of them fails."""
        type_ = self.types.get(name)
        if type_ is None or type_.search_text is None or (guard := self._owner[name]).aside:
            return [None] * len(stored)
        try:
            payloads = [type_.load(payload) for payload in stored]
        except (msgspec.DecodeError, RecursionError):
            return None
        texts = guard.tries_anywhere(_texts_of, type_.search_text, payloads)
        if texts is None:
            return None
        return [(payload, text) if text else None for payload, text in zip(payloads, texts, strict=True)]

    def guard(self, plugin: str) -> Guard | None:
        """Return a loaded plugin's guard."""
        return next((loaded.guard for loaded in self.loaded if loaded.name == plugin), None)

    def add(self, plugin: LoadedPlugin, parts: dict[str, list[Any]]) -> None:
        """Add all of a plugin's parts, or none.

        Raises:
            ValueError: a message type, a path, a command or a task that is taken; both owners are named.
        """
        owners, commands = dict(self._owner), dict(self._commands)
        for type_ in parts["relay_message_types"]:
            if type_.name in owners:
                raise ValueError(f"message type {type_.name!r} is taken by plugin {owners[type_.name].plugin!r}")
            owners[type_.name] = plugin.guard
        for command in parts["relay_commands"]:
            taken = commands.setdefault(command.name, plugin.name)
            if taken != plugin.name:
                raise ValueError(f"command {command.name!r} is taken by plugin {taken!r}")
        for name in ("relay_background", "relay_migrations"):
            _check_distinct(name, (part.name for part in parts[name]))
        wanted = claims([routes.blueprint for routes in parts["relay_routes"]], f"plugin {plugin.name!r}")
        check_claims(self.paths, wanted)
        self.paths |= wanted
        self._owner, self._commands = owners, commands
        self.types |= {type_.name: type_ for type_ in parts["relay_message_types"]}
        for name, listed in parts.items():
            self.parts[name] += [Owned(plugin.guard, part) for part in listed]
        self.loaded.append(plugin)

    def leave_out(self, name: str, reason: str) -> None:
        """Take a plugin out again that turned out not to work."""
        gone = next(loaded for loaded in self.loaded if loaded.name == name)
        self.loaded.remove(gone)
        self.broken.append(BrokenPlugin(name, gone.path, reason))
        for type_name in gone.types:
            del self.types[type_name], self._owner[type_name]
        for hook, listed in self.parts.items():
            self.parts[hook] = [owned for owned in listed if owned.guard is not gone.guard]
        self.paths = {path: owner for path, owner in self.paths.items() if owner != f"plugin {name!r}"}
        self._commands = {command: owner for command, owner in self._commands.items() if owner != name}

    def hooks(self, server_of: ServerOf) -> Hooks:
        """Return what calls the registered hooks, each with the server as its plugin may use it."""
        parts = self.parts
        return Hooks(
            parts["relay_message_hooks"],
            parts["relay_session_hooks"],
            parts["relay_background"],
            parts["relay_authenticators"],
            server_of,
        )


def _text_of(search_text: Callable[[Any], Any], payload: Any) -> str | None:
    text = search_text(payload)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"search_text returned {type(text).__name__}; return a text, or None")
    return text


def _texts_of(search_text: Callable[[Any], Any], payloads: Iterable[Any]) -> list[str | None]:
    return [_text_of(search_text, payload) for payload in payloads]


def _check_distinct(hook: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{hook} returned {name!r} twice")
        seen.add(name)
