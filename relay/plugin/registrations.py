"""What a plugin registers besides message types: hooks, authenticators, tasks, routes, commands, tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relay.plugin import vetting
from relay.plugin.types import Draft, Server
from relay.storage.log import Entry
from relay.storage.observer import Edited

Before = Callable[[Draft], "Awaitable[None] | None"]
Stored = Callable[["Server", sqlite3.Connection, Sequence[Entry]], None]
EditedHook = Callable[["Server", sqlite3.Connection, Edited], None]
Keeps = Callable[["Server", sqlite3.Connection, Sequence[int]], Collection[int]]
Erased = Callable[["Server", sqlite3.Connection, Sequence[int]], None]
Left = Callable[["Server", sqlite3.Connection, str], None]
Purge = Callable[["Server", sqlite3.Connection], bool]
Committed = Callable[["Server", Entry], "Awaitable[None] | None"]


@dataclass(frozen=True, kw_only=True)
class MessageHook:
    """Code that runs for messages of any plugin's types. Register it from `relay_message_hooks`.

    Args:
        types: the message types it is for; None for all.
        before: sees a draft before it is stored or passed on; may change its payload, or refuse it by raising
            `RelayError`. Plain code must not block; async code is awaited under `[timeouts] handler_seconds`.
            An edit is seen twice: as a draft of the edited message's own type, with `draft.edits` its id, and as
            the `message_edit` itself.
        stored: `stored(server, connection, entries)` runs in the transaction that stored these messages, on the
            writer's thread. When it raises, its own writes are undone and the messages stay: whoever sent them
            did nothing wrong.
        edited: `edited(server, connection, message)`: the same, for a message that was given another payload.
        keeps: `keeps(server, connection, message_ids)`: asked in the transaction that is to make tombstones of
            these stream messages, of any type; returns those that must stay. When it raises, all of them stay.
        erased: `erased(server, connection, message_ids)`: the same, for stream messages of any type that became
            tombstones: deleted, expired, replaced, or let go by a rule.
        purge: `purge(server, connection)`: called in a transaction of its own, a while after something was
            erased or edited, and again as long as it returns True: takes a small step towards leaving no byte of
            that in the plugin's tables. Only for what does not go by deleting a row, such as the terms of a
            full-text index.
        committed: runs once a message is committed, in the plugin's own task, one message after the other, in
            their order; plain or async, under the deadline. It may come late and, after a crash, not at all:
            what must not be missed belongs into `stored`.
        order: lower runs first; among equals, in the order of `[plugins] enabled`.
    """

    types: frozenset[str] | None = None
    before: Before | None = None
    stored: Stored | None = None
    edited: EditedHook | None = None
    keeps: Keeps | None = None
    erased: Erased | None = None
    purge: Purge | None = None
    committed: Committed | None = None
    order: int = 0

    def __post_init__(self) -> None:
        vetting.message_hook(self)

    def covers(self, type_name: str) -> bool:
        """Tell whether it is for messages of a type."""
        return self.types is None or type_name in self.types


class DeviceEvent(NamedTuple):
    """A device that came or went."""

    user_id: str
    client_id: str
    address: str


@dataclass(frozen=True, kw_only=True)
class SessionHook:
    """Code that runs when devices and people come and go. Register it from `relay_session_hooks`.

    Each but `left` runs in the plugin's own task, after the fact, under the deadline.

    Args:
        connected: a device said hello and was let in.
        disconnected: its connection is over, for whatever reason.
        presence: a user's presence changed as others see it: `presence(server, user_id, status)`.
        left: `left(server, connection, user_id)` runs in the transaction that ends an account which is being
            erased, on the writer's thread: delete what the plugin keeps of that user. Their messages follow, and
            are told to `MessageHook.erased`.
    """

    connected: Callable[[Server, DeviceEvent], Awaitable[None] | None] | None = None
    disconnected: Callable[[Server, DeviceEvent], Awaitable[None] | None] | None = None
    presence: Callable[[Server, str, str], Awaitable[None] | None] | None = None
    left: Left | None = None

    def __post_init__(self) -> None:
        vetting.functions("SessionHook", self, "connected", "disconnected", "presence")


class Credentials(NamedTuple):
    """What somebody shows who wants in.

    Attributes:
        token: of the hello, or of the `Authorization: Bearer` header; None where there is none.
        headers: the request's or the upgrade's, names in lower case; of one sent twice the values with a comma.
        address: the peer's own, as `[server] trusted_proxies` lets it be told.
        peer: where the connection itself comes from: the address of a proxy, where there is one.
    """

    token: str | None
    headers: Mapping[str, str]
    address: str
    peer: str = ""


class Claim(NamedTuple):
    """Whom an authenticator found.

    Attributes:
        user_id: who it is. A user that is not there yet is created, unless `create` is False.
        expires_at: until when it stands, Unix seconds; None for as long as the connection or request lasts.
        issued_at: since when, Unix seconds: a device that was revoked later stays out.
        scopes: what it may do besides what any user may.
        admin: whether it is an admin here, besides admins by account.
    """

    user_id: str
    expires_at: float | None = None
    issued_at: float = 0.0
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    display_name: str | None = None
    create: bool = True


@dataclass(frozen=True, kw_only=True)
class Authenticator:
    """Another source of identities. Register it from `relay_authenticators`.

    Args:
        identify: returns a `Claim`, or None for credentials that are not its own; raises `RelayError` to refuse
            its own kind. relay's tokens are tried first, then authenticators by their order.
    """

    identify: Callable[[Server, Credentials], Awaitable[Claim | None] | Claim | None]
    order: int = 0

    def __post_init__(self) -> None:
        vetting.number("Authenticator", "order", self.order)
        vetting.functions("Authenticator", self, "identify")


@dataclass(frozen=True, kw_only=True)
class BackgroundTask:
    """A task of a plugin's own. Register it from `relay_background`.

    Args:
        name: what the log calls it.
        run: `await run(server)`; when it raises it is begun again after a growing pause, 1 s to 60 s, and the
            failure is counted. When it returns it is done.
    """

    name: str
    run: Callable[[Server], Awaitable[None]]

    def __post_init__(self) -> None:
        vetting.functions(f"BackgroundTask {self.name!r}", self, "run")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of `relay`. Register it from `relay_commands`.

    Args:
        name: one word to three: "polls", "search rebuild", "retention hold add".
        run: `async def run(server, word, *, option=default)`: its parameters after the server become the
            command's arguments, keyword-only ones its options; annotated `str`, `int`, `float` or `bool`, or for
            an option that may be repeated `list[str]`; with `Annotated[…, msgspec.Meta(description=…)]` for its
            own help and bounds. An underscore at the end of a name, as in `as_`, is no part of the option's. Its
            docstring is the help. What it returns is printed: text, a dict or struct as lines, or a list of them
            as a table.

    It runs in the server's process when one runs on the database, and in the command's own otherwise.
    """

    name: str
    run: Callable[..., Awaitable[Any]]

    def __post_init__(self) -> None:
        vetting.command(self)


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Paths of a plugin's own. Register them from `relay_routes`.

    Args:
        blueprint: a Quart blueprint. `relay.http.views` gives its views the caller and the server.
        public: the views, by the names of their functions, that need no token.
    """

    blueprint: Any
    public: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", vetting.set_of("Routes", "public", self.public, str))


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A step of a plugin's own schema. Register the list from `relay_migrations`; a released step is never edited.

    Args:
        name: of the step; unique within the plugin.
        sql: statements, or a function of the connection. Name tables after the plugin: `polls_votes`.
    """

    name: str
    sql: str | Callable[[sqlite3.Connection], None]

    def __post_init__(self) -> None:
        vetting.migration(self)
