"""Incoming webhooks: URLs `/hook/TOKEN` that post what is sent to them, each as one user to one target."""

import hmac
import secrets
import sqlite3
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, cast
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from relay.http import invalid, read_idempotency_key, request
from relay.plugin import (
    About,
    ErrorCode,
    RelayError,
    Role,
    Server,
    TokenBuckets,
    check_shown,
    hash_secret,
    kind_of,
    with_choices,
)

MOST_INCOMING = 1_000
_INCOMING = "name, user_id, target_id, target_kind, created_at, made_by, used_at"
_USED = "webhooks_incoming_used"
_USED_SECONDS = 60.0
"""When an incoming webhook was used is written as seldom as this."""

_FORM = "application/x-www-form-urlencoded"
_FORM_FIELDS = frozenset({"content", "text", "title", "payload"})
"""A body with one of these fields is a form, and not text; `payload` holds JSON."""

_SCOPES = frozenset({"notify"})


class Incoming(msgspec.Struct, frozen=True):
    """An incoming webhook: who posts, and where. `made_by` is None for the operator, `used_at` to the minute."""

    name: str
    user_id: str
    target_id: str
    target_kind: str
    created_at: float
    made_by: str | None = None
    used_at: float | None = None

    @property
    def type_name(self) -> str:
        """The message type that a text becomes."""
        return "group_message" if self.target_kind == "group" else "chat_message"


class CreatedIncoming(msgspec.Struct):
    """An incoming webhook and the path of its URL, which is shown this once."""

    name: str
    user_id: str
    target_id: str
    path: str


# Creating and revoking them.


async def create(server: Server, name: str, user_id: str, target_id: str) -> CreatedIncoming:
    """Create an incoming webhook. A user who does not exist is created, and joins the group that it posts to.

    Raises:
        RelayError: `invalid_payload` for an invalid name, or a target or user that does not exist or does not
            fit; `conflict` when the name is taken.
    """
    name = check_shown(name, "name")
    kind = await server.read(partial(_target_kind, target_id=target_id))
    if await server.ensure_user(user_id):
        await _join(server, target_id, user_id, kind)
    elif kind == "group" and user_id not in await _members(server, target_id):
        text = f"{user_id} is not in {target_id}: relay group add {target_id} {user_id}"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    token = secrets.token_urlsafe(24)
    made = Incoming(name, user_id, target_id, kind, server.now(), server.actor.by)
    actor, details = server.actor, {"user_id": user_id, "target_id": target_id}

    def insert(connection: sqlite3.Connection) -> None:
        _insert(connection, made, token)
        server.audit(connection, actor, "webhook.incoming_added", About("incoming webhook", name), details)

    await server.write(insert)
    return CreatedIncoming(name, user_id, target_id, f"/hook/{token}")


def incomplete() -> RelayError:
    """Return the error for a command that does not say who posts and where."""
    return RelayError(ErrorCode.INVALID_PAYLOAD, "an incoming webhook needs --as USER and --to USER-OR-GROUP")


def _target_kind(connection: sqlite3.Connection, target_id: str) -> str:
    kind = kind_of(connection, target_id)
    if kind is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"there is no user or group {target_id[:80]!r}")
    return kind


async def _members(server: Server, group_id: str) -> dict[str, Role]:
    group = await server.groups.get(group_id)
    return {} if group is None else dict(group.members)


async def _join(server: Server, target_id: str, user_id: str, kind: str) -> None:
    if kind == "group":
        members = await _members(server, target_id)
        owner = next((member for member, role in members.items() if role is Role.OWNER), None)
        if owner is None:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"the group {target_id!r} is deleted")
        await server.groups.put_member(owner, target_id, user_id)


def _insert(connection: sqlite3.Connection, made: Incoming, token: str) -> None:
    (count,) = connection.execute("SELECT count(*) FROM webhooks_incoming").fetchone()
    if count >= MOST_INCOMING:
        text = f"there are {MOST_INCOMING:,} incoming webhooks, as many as there may be"
        raise RelayError(ErrorCode.CONFLICT, text)
    row = (*msgspec.structs.astuple(made), hash_secret(token))
    sql = f"INSERT OR IGNORE INTO webhooks_incoming ({_INCOMING}, token_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    if not connection.execute(sql, row).rowcount:
        raise RelayError(ErrorCode.CONFLICT, f"there is an incoming webhook {made.name!r} already")


def list_all(connection: sqlite3.Connection) -> list[Incoming]:
    """Return all incoming webhooks by their names."""
    rows = connection.execute(f"SELECT {_INCOMING} FROM webhooks_incoming ORDER BY name")
    return [Incoming(*row) for row in rows]


async def revoke(server: Server, name: str) -> None:
    """Delete an incoming webhook: its URL is answered 404 from now on.

    Raises:
        RelayError: `not_found`.
    """
    actor = server.actor

    def delete(connection: sqlite3.Connection) -> None:
        if not connection.execute("DELETE FROM webhooks_incoming WHERE name = ?", (name,)).rowcount:
            raise RelayError(ErrorCode.NOT_FOUND, f"there is no incoming webhook {name[:80]!r}")
        server.audit(connection, actor, "webhook.incoming_removed", About("incoming webhook", name))

    await server.write(delete)


def remove_of_user(connection: sqlite3.Connection, user_id: str) -> None:
    """Delete the incoming webhooks that post as a user, or to them."""
    connection.execute(
        "DELETE FROM webhooks_incoming WHERE user_id = ?1 OR target_kind = 'user' AND target_id = ?1", (user_id,)
    )


async def find(server: Server, token: str) -> Incoming:
    """Return the incoming webhook with a token.

    Raises:
        RelayError: `not_found`.
    """
    digest = hash_secret(token)
    sql = f"SELECT token_hash, {_INCOMING} FROM webhooks_incoming WHERE token_hash = ?"
    row = await server.read(lambda connection: connection.execute(sql, (digest,)).fetchone())
    if row is None or not hmac.compare_digest(row[0], digest):
        raise RelayError(ErrorCode.NOT_FOUND, "there is no webhook at this URL; it is not whole, or was revoked")
    return Incoming(*row[1:])


# Calls.


class Call(msgspec.Struct):
    """The body of a call. Unknown fields are ignored: other services send many.

    Attributes:
        content, text: the text to post; the two mean the same.
        title, level: make it a notification, with the text as its body.
        id: the idempotency key, like the header `Idempotency-Key`.
    """

    content: str = ""
    text: str = ""
    title: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    level: Literal["info", "success", "warning", "error"] | None = None
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class CallMessage(NamedTuple):
    """The message that a call becomes; `key` is its idempotency key."""

    type_name: str
    payload: dict[str, Any]
    key: str | None


async def post_call(server: Server, token: str, rates: TokenBuckets, most_bytes: int) -> Any:
    """Post the content of the current request, and return the entry of the stored message.

    Raises:
        RelayError: `not_found`, `rate_limited`, `too_large`, `invalid_payload`, or the message is refused.
    """
    incoming = await find(server, token)
    rates.take(incoming.name)
    message = make_message(incoming, await _read_call(most_bytes), read_idempotency_key())
    entry = await server.send(
        incoming.user_id,
        message.type_name,
        message.payload,
        incoming.target_id,
        own_id=message.key,
        scopes=_SCOPES,
    )
    await _note_use(server, incoming.name)
    return entry


async def _note_use(server: Server, name: str) -> None:
    """Store that an incoming webhook was used, unless that was stored a moment ago."""
    noted, now = server.memory.setdefault(_USED, {}), server.now()
    if now - noted.get(name, -_USED_SECONDS) < _USED_SECONDS:
        return
    noted[name] = now
    sql = "UPDATE webhooks_incoming SET used_at = ? WHERE name = ?"
    await server.write(lambda connection: connection.execute(sql, (now, name)).rowcount)


def make_message(incoming: Incoming, call: Call, key: str | None) -> CallMessage:
    """Return the message that a call becomes.

    Args:
        key: the header `Idempotency-Key`.

    Raises:
        RelayError: `invalid_payload`.
    """
    if key is not None and call.id not in (None, key):
        raise invalid("the header Idempotency-Key and id differ; give one of them, or both alike")
    content, key = call.content or call.text, key or call.id
    if call.title is not None:
        fields = {"title": call.title, "body": content or None, "level": call.level}
        payload = {name: value for name, value in fields.items() if value is not None}
        return CallMessage("notification", payload, key)
    if call.level is not None:
        raise invalid("level is for notifications, which have a title")
    if not content.strip():
        raise invalid("nothing is said: send text, or JSON or a form with content, text or title")
    return CallMessage(incoming.type_name, {"content": content}, key)


async def _read_call(most_bytes: int) -> Call:
    """Read a body: JSON, a form, or text. `curl -d` sends text under the content type of a form."""
    raw = cast(bytes, await request.get_data(cache=False, as_text=False))
    if len(raw) > most_bytes:
        raise RelayError(ErrorCode.TOO_LARGE, f"a call has {most_bytes:,} bytes at most; this has {len(raw):,}")
    media_type = request.mimetype
    if media_type == "application/json" or media_type.endswith("+json"):
        return _decode(raw)
    if media_type.startswith("multipart/"):
        raise invalid("a multipart form is not read here; send text, JSON, or what curl --data-urlencode sends")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise invalid("the body is not UTF-8 text") from None
    fields = parse_qs(text, keep_blank_values=True) if media_type == _FORM else {}
    if _FORM_FIELDS.isdisjoint(fields):
        return Call(content=text.rstrip())
    if "payload" in fields:
        return _decode(fields["payload"][-1])
    return _convert({name: values[-1] for name, values in fields.items()})


def _decode(raw: bytes | str) -> Call:
    try:
        return _convert(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RelayError(ErrorCode.BAD_JSON, f"the body is not JSON: {error}") from None


def _convert(value: Any) -> Call:
    try:
        return msgspec.convert(value, Call)
    except msgspec.ValidationError as error:
        raise invalid(f"the body is not what it should be: {with_choices(error, Call)}") from None
