"""The registry: message types by name, and every other part that plugins registered, with its plugin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from relay.engine.discovery import bundled_directory
from relay.engine.guard import Guard, Rules
from relay.engine.page_files import PageFiles
from relay.http.paths import Claimed, check_claims, claims
from relay.plugin.asking import AccountHook, ConversationHook, PasswordAuthenticator, UploadHook
from relay.plugin.diagnostics import Diagnostics
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
from relay.plugin.sign_in_ways import SignInWay
from relay.plugin.slash_commands import SlashCommand
from relay.plugin.types import MessageType
from relay.storage.portable import PortableTable

Part = TypeVar("Part")

PARTS: Final[dict[str, type[Any]]] = {
    "relay_message_types": MessageType,
    "relay_message_hooks": MessageHook,
    "relay_session_hooks": SessionHook,
    "relay_authenticators": Authenticator,
    "relay_password_authenticators": PasswordAuthenticator,
    "relay_sign_in_ways": SignInWay,
    "relay_account_hooks": AccountHook,
    "relay_conversation_hooks": ConversationHook,
    "relay_upload_hooks": UploadHook,
    "relay_migrations": Migration,
    "relay_background": BackgroundTask,
    "relay_schedules": Schedule,
    "relay_routes": Routes,
    "relay_commands": Command,
    "relay_slash_commands": SlashCommand,
    "relay_diagnostics": Diagnostics,
    "relay_page": PageExtension,
    "relay_portable_tables": PortableTable,
}
"""The class of the parts that each hook returns a list of; `relay_page` returns one.

A plugin may be loaded anew while the server runs. What uses a kind of part keeps to this, and a new kind as well:

1. It looks `registry.parts[hook]` up at each use. A list is never changed in place, so one that is being gone
   through stays whole, on any thread. What is made of parts (sorted, grouped, cached) is made again in a function
   that is given to `Registry.when_changed`.
2. A call keeps the guard and the server that it began with: what is in flight ends with the code it began with.
3. Whatever runs for longer belongs to `relay.engine.plugin_tasks`, which ends the old code's tasks before it
   begins those of the new.
4. What only one plugin may have (a name, a path) is checked in `Registry.add`.
"""


_ONE_OWNER: Final = {"relay_slash_commands": "slash command /", "relay_sign_in_ways": "sign-in way "}
"""Parts whose name one plugin alone may have, by hook, with what they are called."""


class BadPart(ValueError):
    """A part that cannot be taken: another plugin has the same, or its own has it twice.

    Attributes:
        hook: the hook that returned it.
    """

    def __init__(self, hook: str, text: str) -> None:
        super().__init__(text)
        self.hook = hook


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
        place: object = self.path or (f"module {self.module}" if self.module else None)
        if self.path is not None and self.path.is_relative_to(bundled_directory()):
            place = "bundled"  # in the program of one file its folder is another one each time
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
        struct: the struct that its table is read into; None for a plugin without one.
        origins: where each option that was given is, such as "relay.toml:12", by its dotted name.
        since: when it was loaded, Unix seconds.
    """

    name: str
    path: Path | None
    types: tuple[str, ...]
    source: str
    guard: Guard
    description: str = ""
    options: Any = None
    page: PageFiles | None = None
    struct: type[msgspec.Struct] | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    since: float = field(default_factory=time.time)


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
    _told: list[Callable[[], None]] = field(default_factory=list)

    def priority(self, type_name: str) -> int:
        """Return a message type's place in a replay; the type may be one whose plugin is gone."""
        configured = self.priorities.get(type_name)
        if configured is not None:
            return configured
        known = self.types.get(type_name)
        return known.priority if known else 50

    def is_written(self, type_name: str) -> bool:
        """Tell whether people write messages of a type, so that one can be reported."""
        type_ = self.types.get(type_name)
        return type_ is not None and type_.from_clients and type_.unread and type_.scope is None

    def is_deletable(self, type_name: str) -> bool:
        """Tell whether messages of a type may be deleted; those of a type that nobody knows any more may."""
        type_ = self.types.get(type_name)
        return type_ is None or (type_.from_clients and type_.deletable)

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
        guard = self._owner.get(type_name)  # a reader's thread may find plugins that change at this moment
        if type_ is None or type_.search_text is None or guard is None or guard.quarantined:
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
        guard = self._owner.get(name)
        if type_ is None or type_.search_text is None or guard is None or guard.quarantined:
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

    def add(self, plugin: LoadedPlugin, parts: Mapping[str, list[Any]], place: int | None = None) -> None:
        """Add a plugin with all of its parts, or nothing of it.

        Args:
            place: its place in the order of loading; None for the end.

        Raises:
            BadPart: another plugin has a message type, a path or a command already, or a name is there twice.
        """
        owners, commands = dict(self._owner), dict(self._commands)
        for type_ in parts["relay_message_types"]:
            if type_.name in owners:
                taken = owners[type_.name].plugin
                raise BadPart("relay_message_types", f"message type {type_.name!r} is taken by plugin {taken!r}")
            owners[type_.name] = plugin.guard
        for command in parts["relay_commands"]:
            taken = commands.setdefault(command.name, plugin.name)
            if taken != plugin.name:
                raise BadPart("relay_commands", f"command {command.name!r} is taken by plugin {taken!r}")
        for name in ("relay_background", "relay_migrations", "relay_schedules"):
            _check_distinct(name, (part.name for part in parts[name]))
        for name, called in _ONE_OWNER.items():
            self._check_names(name, called, parts[name])
        try:
            wanted = claims([routes.blueprint for routes in parts["relay_routes"]], f"plugin {plugin.name!r}")
            check_claims(self.paths, wanted)
        except (TypeError, ValueError) as refused:
            raise BadPart("relay_routes", str(refused)) from None
        self.paths = self.paths | wanted
        self._owner, self._commands = owners, commands
        self.types = self.types | {type_.name: type_ for type_ in parts["relay_message_types"]}
        self.loaded = [*self.loaded]
        self.loaded.insert(len(self.loaded) if place is None else place, plugin)
        order = {loaded.guard: number for number, loaded in enumerate(self.loaded)}
        for name, listed in parts.items():
            if not listed:
                continue  # the others keep their order
            owned = [*self.parts[name], *(Owned(plugin.guard, part) for part in listed)]
            self.parts[name] = sorted(owned, key=lambda one: order[one.guard])

    def _check_names(self, hook: str, called: str, wanted: Sequence[Any]) -> None:
        """Refuse a part whose name another plugin's has, or that is there twice.

        Args:
            called: what such a part is called, in front of its name.

        Raises:
            BadPart: naming it.
        """
        _check_distinct(hook, (part.name for part in wanted))
        taken = {owned.part.name: owned.guard.plugin for owned in self.parts[hook]}
        for part in wanted:
            if part.name in taken:
                raise BadPart(hook, f"{called}{part.name} is taken by plugin {taken[part.name]!r}")

    def leave_out(self, name: str, reason: str) -> None:
        """Remove a loaded plugin with all of its parts; from then on it is a broken one."""
        gone = self.remove(name)
        assert gone is not None  # noqa: S101 - only a loaded one is left out
        self.broken = [*self.broken, BrokenPlugin(name, gone.path, reason)]

    def remove(self, name: str) -> LoadedPlugin | None:
        """Remove a plugin with all of its parts, or that it is broken; return it where it was loaded."""
        self.broken = [broken for broken in self.broken if broken.name != name]
        self.remarks = [remark for remark in self.remarks if not remark.startswith(f"plugin {name!r}:")]
        gone = next((loaded for loaded in self.loaded if loaded.name == name), None)
        if gone is None:
            return None
        self.loaded = [loaded for loaded in self.loaded if loaded is not gone]
        self.types = {name: type_ for name, type_ in self.types.items() if name not in gone.types}
        self._owner = {name: guard for name, guard in self._owner.items() if guard is not gone.guard}
        for hook, listed in self.parts.items():
            self.parts[hook] = [owned for owned in listed if owned.guard is not gone.guard]
        self.paths = {path: owner for path, owner in self.paths.items() if owner != f"plugin {name!r}"}
        self._commands = {command: owner for command, owner in self._commands.items() if owner != name}
        return gone

    # Plugins that change while the server runs.

    def when_changed(self, told: Callable[[], None]) -> None:
        """Have `told` called at each change of plugins, in the same step: it makes again what is made of parts.

        It runs on the event loop, while the writer's thread stands between two transactions. It is plain, quick
        code that does not fail; those that were given earlier are called first.
        """
        self._told.append(told)

    def copy(self) -> Registry:
        """Return a registry with the same plugins, which can be changed without a change of this one."""
        return replace(self, parts=dict(self.parts), remarks=list(self.remarks), _told=[])

    def become(self, other: Registry) -> None:
        """Take over the plugins of a copy, and tell those who asked; where one fails, nothing is changed."""
        before = self.copy()
        try:
            self._take(other)
        except BaseException:
            self._take(before)
            raise

    def _take(self, other: Registry) -> None:
        for name in ("types", "loaded", "broken", "remarks", "priorities", "paths", "_owner", "_commands"):
            setattr(self, name, getattr(other, name))
        self.parts.update(other.parts)
        for told in self._told:
            told()


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
            raise BadPart(hook, f"{hook} returned {name!r} twice")
        seen.add(name)
