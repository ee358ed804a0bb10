"""Notifications for people who are at no device: by rules, to ntfy, Gotify, Web Push and mail. `/api/push/…`."""

from functools import partial
from typing import Any

import msgspec

from relay.plugin import (
    BackgroundTask,
    Command,
    ErrorCode,
    MessageHook,
    Migration,
    RelayError,
    Routes,
    Server,
    SessionHook,
    hookimpl,
)

from . import copies, targets
from .following import push
from .options import Options
from .schema import SCHEMA, make_keys
from .storing import store
from .views import blueprint, trial


async def list_targets(server: Server, *, user: str | None = None) -> list[dict[str, Any]]:
    """List where notifications go, and how each place does; with --user one user's."""
    found = await server.read(targets.everybodys)
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
    return [Migration(name="tables", sql=SCHEMA), Migration(name="keys", sql=make_keys)]


@hookimpl
def relay_message_hooks(options: Options) -> list[MessageHook]:
    """Keep stored notifications in step with what they repeat."""
    return [
        MessageHook(edited=partial(copies.edited, options), erased=partial(copies.erased, options)),
        MessageHook(types=frozenset({"group_event"}), committed=partial(copies.group_deleted, options)),
    ]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Forget who is erased."""
    return [SessionHook(left=targets.left)]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Follow the log: to push, and to store."""
    return [
        BackgroundTask(name="push", run=partial(push, options)),
        BackgroundTask(name="store", run=partial(store, options)),
    ]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add `/api/push/…`."""
    return [Routes(blueprint=blueprint(options))]


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay notifications list`, `remove` and `test`."""

    async def test_target(server: Server, target: str) -> str:
        """Send a test to a target, by the id that `relay notifications list` shows."""
        found = await trial(options, server, await _named(server, target))
        return "it was delivered" if found.delivered else f"it was not delivered: {found.error}"

    return [
        Command(name="notifications list", run=list_targets),
        Command(name="notifications remove", run=remove_target),
        Command(name="notifications test", run=test_target),
    ]
