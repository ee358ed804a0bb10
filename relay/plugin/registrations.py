"""Parts that a plugin registers besides message types: hooks, authenticators, tasks, routes, commands, tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relay.plugin import validation
from relay.plugin.claims import Claim
from relay.plugin.types import Delivery, Draft, Server
from relay.storage.entry import Entry
from relay.storage.observer import Edited

Before = Callable[[Draft], "Awaitable[None] | None"]
Stored = Callable[["Server", sqlite3.Connection, Sequence[Entry]], None]
EditedHook = Callable[["Server", sqlite3.Connection, Edited], None]
Keeps = Callable[["Server", sqlite3.Connection, Sequence[int]], Collection[int]]
Erased = Callable[["Server", sqlite3.Connection, Sequence[int]], None]
Left = Callable[["Server", sqlite3.Connection, str], None]
OwnedAccounts = Callable[["Server", sqlite3.Connection, str], list[str]]
Purge = Callable[["Server", sqlite3.Connection], bool]
ForRecipient = Callable[["Server", Delivery, str], Any]
Committed = Callable[["Server", Entry], "Awaitable[None] | None"]


@dataclass(frozen=True, kw_only=True)
class MessageHook:
    """Code that runs for messages of any plugin's types. Register it from `relay_message_hooks`.

    Args:
        types: the message types it is for; None for all.
        before: `before(draft)` runs before a message is stored or passed on; may change the payload, or refuse the
            message with `RelayError`. Plain code must not block; async code is awaited under `[timeouts]
            handler_seconds`. It runs twice for an edit: for the edited message, with `draft.edits` its id, and for
            the `message_edit` itself.
        stored: `stored(server, connection, entries)` runs in the transaction that stored these messages, on the
            writer's thread. When it raises, its own writes are undone and the messages stay: their senders
            did nothing wrong.
        edited: `edited(server, connection, message)`: the same, for a message whose payload was replaced.
        keeps: `keeps(server, connection, message_ids)` runs in the transaction that is to make tombstones of
            these stream messages, of any type; returns those that must stay. When it raises, all of them stay.
        erased: `erased(server, connection, message_ids)`: the same, for stream messages of any type that became
            tombstones: deleted, expired, replaced, or erased by a rule.
        purge: `purge(server, connection)` runs in a transaction of its own, a while after something was
            erased or edited, and again as long as it returns True. It takes a small step towards leaving no byte
            of that in the plugin's tables. Only for data that outlives its deleted row, such as the terms of a
            full-text index.
        committed: `committed(server, entry)` runs after a message's commit, in the plugin's own task, one message
            after the other, in their order; plain or async, under the deadline. It may run late and, after a
            crash, not at all: code that must not miss a message belongs into `stored`.
        for_recipient: `for_recipient(server, delivery, user_id)` returns what one user is to get instead of a
            message's payload, an instance of its type's class, or None for the message as it is. It is asked each
            time that a user gets the message, for as long as it is there, and nothing of it is stored: the same
            message and user must give the same answer. It is plain and fast; on any thread.
        required: where `before` or `for_recipient` does not work (it failed, or the plugin is set aside), the
            message does not pass: it is refused as `overloaded`, to be sent again, or its payload is withheld.
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
    for_recipient: ForRecipient | None = None
    required: bool = False
    order: int = 0

    def __post_init__(self) -> None:
        validation.message_hook(self)

    def covers(self, type_name: str) -> bool:
        """Tell whether the hook is for a message type."""
        return self.types is None or type_name in self.types


class DeviceEvent(NamedTuple):
    """A device that connected or disconnected."""

    user_id: str
    client_id: str
    address: str


@dataclass(frozen=True, kw_only=True)
class SessionHook:
    """Code that runs when devices connect and when users leave. Register it from `relay_session_hooks`.

    All but `live` and `left` run in the plugin's own task, after the fact, under the deadline.

    Args:
        connected: `connected(server, event)`: a device said hello and was accepted.
        disconnected: `disconnected(server, event)`: its connection has ended, for whatever reason.
        presence: `presence(server, user_id, status)`: a user's presence changed, as others see it.
        live: `live(server, event)`, plain code that must not block, runs as soon as a device can be sent transient
            messages: after its replay, and when it comes back from the background. `Server.tell` brings it
            what still counts of those that it missed.
        left: `left(server, connection, user_id)` runs in the transaction that ends an account which is being
            erased, on the writer's thread: delete what the plugin stores about that user. Their messages are
            erased afterwards, with a call of `MessageHook.erased`.
        owned: `owned(server, connection, user_id)` returns the accounts that a user answers for, such as their
            bots: they are banned from the server with that user, in the same transaction, and come back with them.
    """

    connected: Callable[[Server, DeviceEvent], Awaitable[None] | None] | None = None
    disconnected: Callable[[Server, DeviceEvent], Awaitable[None] | None] | None = None
    presence: Callable[[Server, str, str], Awaitable[None] | None] | None = None
    live: Callable[[Server, DeviceEvent], None] | None = None
    left: Left | None = None
    owned: OwnedAccounts | None = None

    def __post_init__(self) -> None:
        validation.functions("SessionHook", self, "connected", "disconnected", "presence", "live", "left", "owned")


class Credentials(NamedTuple):
    """The credentials of a request or a hello.

    Attributes:
        token: of the hello, or of the `Authorization: Bearer` header; None where there is none.
        headers: the request's or the upgrade's, names in lower case; of one sent twice the values with a comma.
        address: the client's address; from a proxy's header where `[server] trusted_proxies` names the proxy.
        peer: the address that the connection itself comes from: that of the proxy, where there is one.
    """

    token: str | None
    headers: Mapping[str, str]
    address: str
    peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Authenticator:
    """Another source of identities. Register it from `relay_authenticators`.

    Args:
        identify: `identify(server, credentials)` returns a `Claim`, or None for credentials of another kind;
            raises `RelayError` to refuse those of its own kind. relay's tokens are tried first, then the
            authenticators, by their order.
    """

    identify: Callable[[Server, Credentials], Awaitable[Claim | None] | Claim | None]
    order: int = 0

    def __post_init__(self) -> None:
        validation.number("Authenticator", "order", self.order)
        validation.functions("Authenticator", self, "identify")


@dataclass(frozen=True, kw_only=True)
class BackgroundTask:
    """A task of a plugin's own. Register it from `relay_background`.

    Args:
        name: its name in the log.
        run: `await run(server)`; when it raises, it is run again after a growing pause, 1 s to 60 s, and the
            failure is counted. When it returns, it is not run again.
    """

    name: str
    run: Callable[[Server], Awaitable[None]]

    def __post_init__(self) -> None:
        validation.functions(f"BackgroundTask {self.name!r}", self, "run")


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
        validation.command(self)


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Paths of a plugin's own. Register them from `relay_routes`.

    Args:
        blueprint: a Quart blueprint, with views that `relay.http.endpoint` declares.
        public: the views without `@endpoint`, by the names of their functions, that need no token.
    """

    blueprint: Any
    public: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", validation.set_of("Routes", "public", self.public, str))


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
        validation.migration(self)
