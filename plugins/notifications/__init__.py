"""Notifications for users who are at no device: by rules, to ntfy, Gotify, Web Push and mail. `/api/push/…`."""

from functools import partial
from typing import Any

import msgspec

from relay.plugin import (
    BackgroundTask,
    Command,
    Diagnostics,
    ErrorCode,
    MessageHook,
    MessageType,
    Migration,
    PortableTable,
    RelayError,
    Routes,
    Server,
    SessionHook,
    hookimpl,
)

from . import targets, tracing
from .options import Options
from .preferences import CHANGED
from .push import push
from .store import erase_copies, erase_copies_of_group, store, update_copies
from .vapid import make_keys
from .views import blueprint, send_test

SCHEMA = """
CREATE TABLE notifications_state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE notifications_targets (
    target_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, kind TEXT NOT NULL, place TEXT NOT NULL,
    address TEXT NOT NULL, label TEXT NOT NULL, withdraw INTEGER NOT NULL, client_id TEXT, since INTEGER NOT NULL,
    created_at REAL NOT NULL, state TEXT NOT NULL, code_hash BLOB, code_until REAL,
    code_tries INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, failing_since REAL, retry_at REAL,
    last_error TEXT, delivered_at REAL, UNIQUE (user_id, kind, place)
) WITHOUT ROWID;
CREATE TABLE notifications_conversations (
    user_id TEXT NOT NULL, channel_id INTEGER NOT NULL, pending_from INTEGER, pending_to INTEGER, due_at REAL,
    shown_from INTEGER, shown_to INTEGER, newest_id INTEGER, edited_at REAL, look_at REAL,
    PRIMARY KEY (user_id, channel_id)
) WITHOUT ROWID;
CREATE INDEX notifications_by_channel ON notifications_conversations(channel_id);
CREATE INDEX notifications_by_look ON notifications_conversations(look_at) WHERE look_at IS NOT NULL;
CREATE TABLE notifications_shown (
    target_id TEXT NOT NULL, channel_id INTEGER NOT NULL, newest_id INTEGER, edited_at REAL, remote_id TEXT,
    sent_at REAL, PRIMARY KEY (target_id, channel_id)
) WITHOUT ROWID;
CREATE TABLE notifications_muted (
    user_id TEXT NOT NULL, address TEXT NOT NULL, until REAL, mentions INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) WITHOUT ROWID;
CREATE TABLE notifications_people (
    user_id TEXT PRIMARY KEY, until REAL, quiet_from TEXT, quiet_to TEXT, zone TEXT, content TEXT
) WITHOUT ROWID;
"""

EVERYTHING = """
CREATE TABLE notifications_everything (
    user_id TEXT NOT NULL, address TEXT NOT NULL, PRIMARY KEY (user_id, address)
) WITHOUT ROWID;
"""


async def list_targets(server: Server, *, user: str | None = None) -> list[dict[str, Any]]:
    """List where notifications go, and how each place does; with --user one user's."""
    found = await server.read(targets.list_all)
    return [
        {
            "target": target.target_id,
            "user": target.user_id,
            "kind": target.kind,
            "host": target.host,
            "state": target.state,
            "delivered_at": target.delivered_at,
            "failures": target.failures,
            "retry_at": target.retry_at,
            "error": target.last_error or "",
        }
        for target in found
        if user in (None, target.user_id)
    ]


async def remove_target(server: Server, target: str) -> str:
    """Remove a target, by the id that `relay notifications list` shows."""
    await _named(server, target)
    await server.write(lambda connection: targets.remove(connection, target))
    return f"{target} is removed"


async def _named(server: Server, target_id: str) -> targets.Target:
    found = await server.read(lambda connection: targets.get(connection, target_id))
    if found is None:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no target {target_id!r}; see relay notifications list")
    return found


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.notifications]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the tables, and the keys in them."""
    return [
        Migration(name="tables", sql=SCHEMA),
        Migration(name="keys", sql=make_keys),
        Migration(name="everything", sql=EVERYTHING),
        Migration(name="sent", sql=tracing.SCHEMA),
    ]


@hookimpl
def relay_portable_tables() -> list[PortableTable]:
    """Carry over what people chose; the devices that were told of things belong to the other server."""
    names = ("notifications_muted", "notifications_people", "notifications_everything")
    return [PortableTable(name=name) for name in names]


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add `notification_settings`."""
    return [CHANGED]


@hookimpl
def relay_message_hooks(options: Options) -> list[MessageHook]:
    """Keep stored notifications in step with the messages that they repeat."""
    return [
        MessageHook(edited=partial(update_copies, options), erased=partial(erase_copies, options)),
        MessageHook(types=frozenset({"group_event"}), committed=partial(erase_copies_of_group, options)),
    ]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Remove everything of a user who is erased."""
    return [SessionHook(left=targets.forget_user)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Follow the log, to push and to store."""
    return [
        BackgroundTask(name="push", run=partial(push, options)),
        BackgroundTask(name="store", run=partial(store, options)),
    ]


@hookimpl
def relay_diagnostics() -> list[Diagnostics]:
    """Tell what was pushed of a message, and what waits to be."""
    return [Diagnostics(trace=tracing.trace, queues=tracing.queues)]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add `/api/push/…`."""
    return [Routes(blueprint=blueprint(options))]


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay notifications list`, `remove` and `test`."""

    async def test_target(server: Server, target: str) -> str:
        """Send a test to a target, by the id that `relay notifications list` shows."""
        found = await send_test(options, server, await _named(server, target))
        return "it was delivered" if found.delivered else f"it was not delivered: {found.error}"

    return [
        Command(name="notifications list", run=list_targets),
        Command(name="notifications remove", run=remove_target),
        Command(name="notifications test", run=test_target),
    ]
