"""The registry: message types by name, and every other part that plugins registered, with its plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from relay.engine.guard import Guard, Rules
from relay.engine.page_files import PageFiles
from relay.http.paths import Claimed, check_claims, claims
from relay.plugin.page import PageExtension
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    Command,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.schedules import Schedule
from relay.plugin.slash_commands import SlashCommand
from relay.plugin.types import MessageType

Part = TypeVar("Part")

PARTS: Final[dict[str, type[Any]]] = {
    "relay_message_types": MessageType,
    "relay_message_hooks": MessageHook,
    "relay_session_hooks": SessionHook,
    "relay_authenticators": Authenticator,
    "relay_migrations": Migration,
    "relay_background": BackgroundTask,
    "relay_schedules": Schedule,
    "relay_routes": Routes,
    "relay_commands": Command,
    "relay_slash_commands": SlashCommand,
    "relay_page": PageExtension,
}
"""The class of the parts that each hook returns a list of; `relay_page` returns one."""


@dataclass(frozen=True)
class Owned(Generic[Part]):
    """A registered part, with the guard of the plugin that registered it."""

    guard: Guard
    part: Part


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that was left out, with the reason.

    Attributes:
        path: its file; None where there is none, and for a plugin of an installed package.
        module: the module, for a plugin of an installed package.
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
    """A plugin that was loaded.

    Attributes:
        path: its file.
        types: the names of its message types.
        source: "bundled", "directory" or "installed".
        description: the first line of its docstring.
        options: its table of the configuration, as it is given to its hooks.
        page: what it brings to relay's own page; served in quarantine, too, as the page draws old messages.
    """

    name: str
    path: Path | None
    types: tuple[str, ...]
    source: str
    guard: Guard
    description: str = ""
    options: Any = None
    page: PageFiles | None = None


@dataclass
class Registry:
    """All that the loaded plugins registered.

    Attributes:
        rules: when plugins are quarantined, and how long their code may take.
        types: the message types by name.
        loaded, broken: the plugins at work, and those that were left out.
        remarks: warnings for the operator.
        priorities: places in a replay that the configuration overrides, by message type.
        parts: all registered parts, by hook, in the order of loading.
        paths: the paths of relay's own routes and of plugins', with their owners.
    """

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
        """Return a message type's place in a replay; the type may be one whose plugin is gone."""
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
        """Return a stored payload with its search text; None for a message that search does not find.

        A `search_text` that fails is counted for the plugin of the type, and its message is not found.
        """
        type_ = self.types.get(type_name)
        if type_ is None or type_.search_text is None or (guard := self._owner[type_name]).quarantined:
            return None
        try:
            payload = type_.load(stored)
        except (msgspec.DecodeError, RecursionError):
            return None  # stored by an older version of its type
        text = guard.call_anywhere(f"search_text, for {type_name!r}", _text_of, type_.search_text, payload)
        return (payload, text) if text else None

    def all_searched(self, stored: Sequence[tuple[str, str | None]]) -> list[tuple[Any, str] | None]:
        """Return what `searched` returns, for many messages at once.

        Args:
            stored: the type and the payload of each; None is the payload of a tombstone.
        """
        found: list[tuple[Any, str] | None] = [None] * len(stored)
        types: dict[str, list[tuple[int, str]]] = {}
        for place, (name, payload) in enumerate(stored):
            if payload is not None:
                types.setdefault(name, []).append((place, payload))
        for name, placed in types.items():
            # One guarded call for all messages of a type: guarding a call costs more than the call itself.
            texts = self._searched_together(name, [payload for _, payload in placed])
            if texts is None:
                texts = [self.searched(name, payload) for _, payload in placed]
            for (place, _), text in zip(placed, texts, strict=True):
                found[place] = text
        return found

    def _searched_together(self, name: str, stored: Sequence[str]) -> list[tuple[Any, str] | None] | None:
        """Return what `searched` returns, for messages of one type; None where one of them fails."""
        type_ = self.types.get(name)
        if type_ is None or type_.search_text is None or (guard := self._owner[name]).quarantined:
            return [None] * len(stored)
        try:
            payloads = [type_.load(payload) for payload in stored]
        except (msgspec.DecodeError, RecursionError):
            return None
        texts = guard.try_anywhere(_texts_of, type_.search_text, payloads)
        if texts is None:
            return None
        return [(payload, text) if text else None for payload, text in zip(payloads, texts, strict=True)]

    def guard(self, plugin: str) -> Guard | None:
        """Return a loaded plugin's guard."""
        return next((loaded.guard for loaded in self.loaded if loaded.name == plugin), None)

    def add(self, plugin: LoadedPlugin, parts: dict[str, list[Any]]) -> None:
        """Add a plugin with all of its parts, or nothing of it.

        Raises:
            ValueError: another plugin has a message type, a path or a command already, or a name is there twice.
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
        for name in ("relay_background", "relay_migrations", "relay_schedules"):
            _check_distinct(name, (part.name for part in parts[name]))
        self._check_slash_commands(parts["relay_slash_commands"])
        wanted = claims([routes.blueprint for routes in parts["relay_routes"]], f"plugin {plugin.name!r}")
        check_claims(self.paths, wanted)
        self.paths |= wanted
        self._owner, self._commands = owners, commands
        self.types |= {type_.name: type_ for type_ in parts["relay_message_types"]}
        for name, listed in parts.items():
            self.parts[name] += [Owned(plugin.guard, part) for part in listed]
        self.loaded.append(plugin)

    def _check_slash_commands(self, wanted: Sequence[SlashCommand]) -> None:
        """Refuse a slash command that another plugin has, or that is there twice.

        Raises:
            ValueError: naming it.
        """
        _check_distinct("relay_slash_commands", (command.name for command in wanted))
        taken = {owned.part.name: owned.guard.plugin for owned in self.parts["relay_slash_commands"]}
        for command in wanted:
            if command.name in taken:
                raise ValueError(f"slash command /{command.name} is taken by plugin {taken[command.name]!r}")

    def leave_out(self, name: str, reason: str) -> None:
        """Remove a loaded plugin with all of its parts; from then on it is a broken one."""
        gone = next(loaded for loaded in self.loaded if loaded.name == name)
        self.loaded.remove(gone)
        self.broken.append(BrokenPlugin(name, gone.path, reason))
        for type_name in gone.types:
            del self.types[type_name], self._owner[type_name]
        for hook, listed in self.parts.items():
            self.parts[hook] = [owned for owned in listed if owned.guard is not gone.guard]
        self.paths = {path: owner for path, owner in self.paths.items() if owner != f"plugin {name!r}"}
        self._commands = {command: owner for command, owner in self._commands.items() if owner != name}


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
