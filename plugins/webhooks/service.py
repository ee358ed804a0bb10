"""The operations of admins on outgoing webhooks, by the command line and REST; a server need not be running."""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from relay.plugin import About, ErrorCode, Kind, RelayError, Server, kind_of

from . import tables
from .content import delivery_id
from .delivery import running_deliverer
from .filter import Choice
from .options import Options
from .post import Delivery, check_secret, check_url, make_attempt, make_client, new_secret
from .tables import AttemptView, DeadView, DeliveryIds, Hook

T = TypeVar("T")
MOST_HOOKS = 1_000
_SHARE = 0.8
"""The part of `[timeouts] handler_seconds` that a test may take: a slow receiver is not the plugin's failure."""


class Created(msgspec.Struct):
    """A webhook's id and its secret, which is shown this once."""

    hook_id: str
    secret: str


class HookView(msgspec.Struct):
    """An outgoing webhook and its state.

    Attributes:
        state: `active`; `failing`, when the last attempt failed; or `paused`.
        reason: why it is paused or failing.
        position: the log was scanned for it up to this message_id.
        waiting: in how many conversations it still has something to get.
        next_attempt_at: when the first of those whose last attempt failed is tried again; None without such.
        dead: the number of its dead letters.
        made_by: the admin who made it; None for the operator, and for those of before this was kept.
        last_attempt_at, last_status: of its newest attempt; the status is None where there was no answer.
    """

    hook_id: str
    state: str
    url: str
    messages: Choice
    reply_as: str | None
    created_at: float
    failing_since: float | None
    paused_at: float | None
    reason: str | None
    old_secret_until: float | None
    position: int
    waiting: int
    next_attempt_at: float | None
    dead: int
    made_by: str | None
    last_attempt_at: float | None
    last_status: int | None


class Replayed(msgspec.Struct):
    """The number of dead letters that are delivered once more."""

    replayed: int


# Adding and removing.


async def add(
    server: Server, url: str, choice: Choice, reply_as: str | None = None, secret: str | None = None
) -> Created:
    """Create a webhook. It gets what is sent from now on.

    Raises:
        RelayError: `invalid_payload` for an invalid URL or secret, or a type, group or user that does not exist.
    """
    check_url(url)
    secret = new_secret() if secret is None else check_secret(secret)
    _check_types(server, choice.types)
    await server.read(partial(_check_names, choice=choice))
    if reply_as is not None:
        await server.ensure_user(reply_as)
    made_by, hook_id = server.actor.by, f"h{secrets.token_hex(5)}"
    hook = Hook(hook_id, url, secret, None, None, choice, reply_as, server.now(), 0, None, None, None, made_by)
    # The host alone: the rest of a URL is often a secret.
    details = {"host": urlsplit(url).hostname, "messages": str(choice), "reply_as": reply_as}
    await _write(server, "webhook.added", hook.hook_id, partial(_add, hook=hook), details)
    await _reload(server)
    return Created(hook.hook_id, secret)


def _add(connection: sqlite3.Connection, hook: Hook) -> None:
    (count,) = connection.execute("SELECT count(*) FROM webhooks_hooks").fetchone()
    if count >= MOST_HOOKS:
        raise RelayError(ErrorCode.CONFLICT, f"there are {MOST_HOOKS:,} webhooks, as many as there may be")
    tables.add_hook(connection, hook)


def _check_types(server: Server, names: list[str]) -> None:
    known = server.message_types.types
    streams = sorted(name for name, type_ in known.items() if type_.kind is Kind.STREAM)
    for name in names:
        if name not in streams:
            text = f"{name[:80]!r} is no type that is delivered; these are: {', '.join(streams)}"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text)


def _check_names(connection: sqlite3.Connection, choice: Choice) -> None:
    pairs = [pair.split(":") for pair in choice.conversations]
    for pair, text in zip(pairs, choice.conversations, strict=True):
        if len(pair) != 2:
            problem = f"{text[:140]!r} is no conversation of two; right is alice:bob"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, problem)
    wanted = [("group", name) for name in choice.groups]
    users = (*choice.users, *choice.senders, *(name for pair in pairs for name in pair))
    wanted += [("user", name) for name in users]
    for kind, name in wanted:
        if kind_of(connection, name) != kind:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"there is no {kind} {name[:80]!r}")


async def remove(server: Server, hook_id: str) -> None:
    """Remove a webhook; it never gets what it has not got yet.

    Raises:
        RelayError: `not_found`.
    """
    await _get(server, hook_id)
    deliverer = running_deliverer(server)
    if deliverer is not None:
        await deliverer.drop(hook_id)
    await _write(server, "webhook.removed", hook_id, partial(tables.remove_hook, hook_id=hook_id))
    await _reload(server)


# Changing.


async def pause(server: Server, hook_id: str) -> None:
    """Pause a webhook: it delivers nothing until it is resumed, and loses nothing.

    Raises:
        RelayError: `not_found`.
    """
    sql = "UPDATE webhooks_hooks SET paused_at = coalesce(paused_at, ?) WHERE hook_id = ?"
    await _change(server, "webhook.paused", hook_id, sql, server.now())


async def resume(server: Server, hook_id: str) -> None:
    """Resume a webhook: everything that it has not got is delivered, beginning at once.

    Raises:
        RelayError: `not_found`.
    """
    values = "paused_at = NULL, paused_because = NULL, failing_since = NULL"
    await _change(
        server,
        "webhook.resumed",
        hook_id,
        f"UPDATE webhooks_hooks SET {values} WHERE paused_at IS NOT NULL AND hook_id = ?",
    )


async def rotate(server: Server, hook_id: str, hours: float) -> Created:
    """Give a webhook a new secret. For so many hours deliveries are signed with the old one as well.

    Raises:
        RelayError: `not_found`.
    """
    secret = new_secret()
    sql = "UPDATE webhooks_hooks SET old_secret = secret, old_secret_until = ?, secret = ? WHERE hook_id = ?"
    await _change(server, "webhook.rotated", hook_id, sql, server.now() + hours * 3600, secret)
    return Created(hook_id, secret)


async def replay(server: Server, hook_id: str, message_id: int | None = None) -> Replayed:
    """Deliver a webhook's dead letters once more, all or one, under the ids they had.

    Raises:
        RelayError: `not_found` for the webhook, or for a message that is no dead letter of it.
    """
    await _get(server, hook_id)

    def mark(connection: sqlite3.Connection) -> int:
        sql = "UPDATE webhooks_dead SET replaying = 1 WHERE hook_id = ? AND coalesce(?, message_id) = message_id"
        marked = connection.execute(sql, (hook_id, message_id)).rowcount
        if message_id is not None and not marked:
            text = f"message {message_id} is no dead letter of the webhook {hook_id}"
            raise RelayError(ErrorCode.NOT_FOUND, text)
        return marked

    marked = await _write(server, "webhook.replayed", hook_id, mark, {"message_id": message_id})
    await _reload(server)
    return Replayed(marked)


async def send_test(server: Server, options: Options, hook_id: str) -> AttemptView:
    """Post a `webhook_test` to a webhook's receiver once, paused or not, and return what became of it.

    Raises:
        RelayError: `not_found`.
    """
    hook = await _get(server, hook_id)
    body = {"type": "webhook_test", "payload": {}, "meta": {"timestamp": server.now()}, "conversation": None}
    await _write(server, "webhook.tested", hook_id, lambda _connection: None)
    delivery = Delivery(f"test_{hook_id}_{secrets.token_hex(8)}", 0, msgspec.json.encode(body))
    async with make_client(options, _SHARE * server.handler_seconds) as client:
        attempt = await make_attempt(server, client, hook, delivery, 1)
    outcome = (attempt.at, attempt.milliseconds, attempt.status, attempt.error, attempt.answer_text)
    return AttemptView(delivery.delivery_id, None, 1, *outcome)


# Showing.


async def list_hooks(server: Server) -> list[HookView]:
    """Return all webhooks and their state, oldest first."""
    await _flush(server)
    return await server.read(_read_views)


async def show(server: Server, hook_id: str) -> HookView:
    """Return one webhook and its state.

    Raises:
        RelayError: `not_found`.
    """
    for view in await list_hooks(server):
        if view.hook_id == hook_id:
            return view
    raise _not_found(hook_id)


def _read_views(connection: sqlite3.Connection) -> list[HookView]:
    return [_read_view(connection, hook) for hook in tables.read_hooks(connection)]


def _read_view(connection: sqlite3.Connection, hook: Hook) -> HookView:
    waiting, error, next_at = connection.execute(
        "SELECT count(*), max(error), min(next_at) FILTER (WHERE attempts > 0) FROM webhooks_backlogs"
        " WHERE hook_id = ?",
        (hook.hook_id,),
    ).fetchone()
    (dead,) = connection.execute(
        "SELECT count(*) FROM webhooks_dead WHERE hook_id = ?", (hook.hook_id,)
    ).fetchone()
    newest = connection.execute(
        "SELECT at, status FROM webhooks_attempts WHERE hook_id = ? ORDER BY attempt_id DESC LIMIT 1",
        (hook.hook_id,),
    ).fetchone()
    last_at, last_status = newest or (None, None)
    state = "active" if hook.failing_since is None else "failing"
    return HookView(
        hook_id=hook.hook_id,
        state=state if hook.paused_at is None else "paused",
        url=hook.url,
        messages=hook.choice,
        reply_as=hook.reply_as,
        created_at=hook.created_at,
        failing_since=hook.failing_since,
        paused_at=hook.paused_at,
        reason=hook.paused_because or error,
        old_secret_until=hook.old_secret_until,
        position=hook.position,
        waiting=waiting,
        next_attempt_at=next_at,
        dead=dead,
        made_by=hook.made_by,
        last_attempt_at=last_at,
        last_status=last_status,
    )


async def deliveries(server: Server, hook_id: str) -> list[AttemptView]:
    """Return the newest attempts of a webhook, newest first.

    Raises:
        RelayError: `not_found`.
    """
    await _get(server, hook_id)
    return await server.read(partial(tables.read_attempts, hook_id=hook_id, id_of=_ids(server, hook_id)))


async def dead(server: Server, hook_id: str, after: int = 0, limit: int = 200) -> list[DeadView]:
    """Return a webhook's dead letters after a message_id, oldest first.

    Raises:
        RelayError: `not_found`.
    """
    await _get(server, hook_id)
    return await server.read(
        partial(tables.read_dead, hook_id=hook_id, after=after, limit=limit, id_of=_ids(server, hook_id))
    )


def _ids(server: Server, hook_id: str) -> DeliveryIds:
    return partial(delivery_id, server.epoch, hook_id)


# The tables and the running deliverer.


async def _get(server: Server, hook_id: str) -> Hook:
    await _flush(server)
    for hook in await server.read(tables.read_hooks):
        if hook.hook_id == hook_id:
            return hook
    raise _not_found(hook_id)


async def _change(server: Server, act: str, hook_id: str, sql: str, *values: object) -> None:
    await _get(server, hook_id)
    await _write(server, act, hook_id, lambda connection: connection.execute(sql, (*values, hook_id)).rowcount)
    await _reload(server)


async def _write(
    server: Server,
    act: str,
    hook_id: str,
    job: Callable[[sqlite3.Connection], T],
    details: Mapping[str, Any] | None = None,
) -> T:
    """Do an act on a webhook and record it, in one transaction."""
    actor = server.actor

    def write(connection: sqlite3.Connection) -> T:
        found = job(connection)
        server.audit(connection, actor, act, About("webhook", hook_id), details)
        return found

    return await server.write(write)


async def _flush(server: Server) -> None:
    """Have the deliverer write its state to the tables, before they are read."""
    deliverer = running_deliverer(server)
    if deliverer is not None:
        await deliverer.flush()


async def _reload(server: Server) -> None:
    """Have the deliverer read the tables, after they were changed."""
    deliverer = running_deliverer(server)
    if deliverer is not None:
        await deliverer.reload()


def _not_found(hook_id: str) -> RelayError:
    return RelayError(ErrorCode.NOT_FOUND, f"there is no webhook {hook_id[:80]!r}; relay webhook list names them")
