"""What admins do to webhooks, on the command line and by REST alike; with and without a running deliverer."""

import secrets
import sqlite3
from functools import partial

import msgspec

from relay.plugin import ErrorCode, Kind, RelayError, Server

from . import tables
from .attempting import Delivery, make_attempt
from .choosing import Choice
from .composing import delivery_id
from .options import Options
from .posting import check_url
from .running import make_poster, running
from .signing import check_secret, new_secret
from .tables import Hook
from .views import AttemptView, Created, DeadView, HookView, Replayed, attempt_views, dead_views, hook_views

MOST_HOOKS = 1_000
_PART_OF_A_VIEW = 0.8


async def add(
    server: Server, url: str, choice: Choice, reply_as: str | None = None, secret: str | None = None
) -> Created:
    """Create a webhook, which begins with what is said from now on.

    Raises:
        RelayError: `invalid_payload` for a URL, secret, type, group or user that cannot be meant.
    """
    check_url(url)
    secret = new_secret() if secret is None else check_secret(secret)
    _check_types(server, choice.types)
    await server.read(partial(_check_names, choice=choice))
    if reply_as is not None:
        await server.ensure_user(reply_as)
    hook = Hook(
        f"h{secrets.token_hex(5)}", url, secret, None, None, choice, reply_as, server.now(), 0, None, None, None
    )
    await server.write(partial(_add, hook=hook))
    await _refresh(server)
    return Created(hook.hook_id, secret)


def _add(connection: sqlite3.Connection, hook: Hook) -> None:
    (there,) = connection.execute("SELECT count(*) FROM webhooks_hooks").fetchone()
    if there >= MOST_HOOKS:
        raise RelayError(ErrorCode.CONFLICT, f"there are {MOST_HOOKS:,} webhooks, as many as there may be")
    tables.add(connection, hook)


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
    people = (*choice.users, *choice.senders, *(name for pair in pairs for name in pair))
    wanted += [("user", name) for name in people]
    for kind, name in wanted:
        row = connection.execute("SELECT kind FROM names WHERE name = ?", (name,)).fetchone()
        if row is None or row[0] != kind:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"there is no {kind} {name[:80]!r}")


async def views(server: Server, hook_id: str | None = None) -> list[HookView]:
    """Return how all webhooks stand, or one.

    Raises:
        RelayError: `not_found`.
    """
    await _settle(server)
    found = await server.read(hook_views)
    chosen = [view for view in found if hook_id in (None, view.hook_id)]
    if hook_id is not None and not chosen:
        raise _not_found(hook_id)
    return chosen


async def remove(server: Server, hook_id: str) -> None:
    """Remove a webhook; what it has not got yet it never gets.

    Raises:
        RelayError: `not_found`.
    """
    await _hook(server, hook_id)
    deliverer = running(server)
    if deliverer is not None:
        await deliverer.drop(hook_id)
    await server.write(partial(tables.remove, hook_id=hook_id))
    await _refresh(server)


async def pause(server: Server, hook_id: str) -> None:
    """Have a webhook deliver nothing until it is resumed; it goes on from where it stood then.

    Raises:
        RelayError: `not_found`.
    """
    sql = "UPDATE webhooks_hooks SET paused_at = coalesce(paused_at, ?) WHERE hook_id = ?"
    await _change(server, hook_id, sql, server.now())


async def resume(server: Server, hook_id: str) -> None:
    """Have a webhook deliver again, at once, all that it has not got.

    Raises:
        RelayError: `not_found`.
    """
    nothing = "paused_at = NULL, paused_because = NULL, failing_since = NULL"
    sql = f"UPDATE webhooks_hooks SET {nothing} WHERE paused_at IS NOT NULL AND hook_id = ?"
    await _change(server, hook_id, sql)


async def rotate(server: Server, hook_id: str, hours: float) -> Created:
    """Give a webhook a new secret; deliveries are signed with the old one as well for so many hours.

    Raises:
        RelayError: `not_found`.
    """
    secret = new_secret()
    sql = "UPDATE webhooks_hooks SET old_secret = secret, old_secret_until = ?, secret = ? WHERE hook_id = ?"
    await _change(server, hook_id, sql, server.now() + hours * 3600, secret)
    return Created(hook_id, secret)


async def send_test(server: Server, options: Options, hook_id: str) -> AttemptView:
    """Post a `webhook_test` to a webhook's receiver, once, also while it is paused; and return what came of it.

    Raises:
        RelayError: `not_found`.
    """
    hook = await _hook(server, hook_id)
    body = {"type": "webhook_test", "payload": {}, "meta": {"timestamp": server.now()}, "conversation": None}
    delivery = Delivery(f"test_{hook_id}_{secrets.token_hex(8)}", 0, msgspec.json.encode(body))
    # A view has less time than an attempt may take, and one that takes more counts as the plugin's failure.
    longest = _PART_OF_A_VIEW * server.handler_seconds
    async with make_poster(options, longest) as poster:
        attempt = await make_attempt(server, poster, hook, delivery, 1)
    came_of_it = (attempt.at, attempt.milliseconds, attempt.status, attempt.error, attempt.shown)
    return AttemptView(delivery.delivery_id, None, 1, *came_of_it)


async def deliveries(server: Server, hook_id: str) -> list[AttemptView]:
    """Return the newest attempts of a webhook, newest first.

    Raises:
        RelayError: `not_found`.
    """
    await _hook(server, hook_id)
    return await server.read(partial(attempt_views, hook_id=hook_id, id_of=_ids(server, hook_id)))


async def dead(server: Server, hook_id: str, after: int = 0, limit: int = 200) -> list[DeadView]:
    """Return a webhook's dead letters behind a message_id, oldest first.

    Raises:
        RelayError: `not_found`.
    """
    await _hook(server, hook_id)
    return await server.read(
        partial(dead_views, hook_id=hook_id, after=after, limit=limit, id_of=_ids(server, hook_id))
    )


async def replay(server: Server, hook_id: str, message_id: int | None = None) -> Replayed:
    """Have all dead letters of a webhook delivered once more, or one, under the ids they had.

    Raises:
        RelayError: `not_found` for a webhook, or a message that is no dead letter of it.
    """
    await _hook(server, hook_id)

    def mark(connection: sqlite3.Connection) -> int:
        sql = "UPDATE webhooks_dead SET replaying = 1 WHERE hook_id = ? AND coalesce(?, message_id) = message_id"
        return connection.execute(sql, (hook_id, message_id)).rowcount

    marked = await server.write(mark)
    if message_id is not None and not marked:
        raise RelayError(ErrorCode.NOT_FOUND, f"message {message_id} is no dead letter of the webhook {hook_id}")
    await _refresh(server)
    return Replayed(marked)


def _ids(server: Server, hook_id: str) -> "partial[str]":
    return partial(delivery_id, server.services.epoch, hook_id)


async def _settle(server: Server) -> None:
    deliverer = running(server)
    if deliverer is not None:
        await deliverer.settle()


async def _refresh(server: Server) -> None:
    deliverer = running(server)
    if deliverer is not None:
        await deliverer.refresh()


async def _hook(server: Server, hook_id: str) -> Hook:
    await _settle(server)
    found = next((hook for hook in await server.read(tables.hooks) if hook.hook_id == hook_id), None)
    if found is None:
        raise _not_found(hook_id)
    return found


async def _change(server: Server, hook_id: str, sql: str, *values: object) -> None:
    await _hook(server, hook_id)
    await tables.run_all(server, [(sql, (*values, hook_id))])
    await _refresh(server)


def _not_found(hook_id: str) -> RelayError:
    return RelayError(ErrorCode.NOT_FOUND, f"there is no webhook {hook_id[:80]!r}; relay webhook list names them")
