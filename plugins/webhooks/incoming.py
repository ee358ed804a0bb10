"""Incoming webhooks: a URL that posts what is sent to it, as a user, into a conversation."""

import hmac
import secrets
import sqlite3
from functools import partial

import msgspec

from relay.plugin import ErrorCode, RelayError, Role, Server, check_shown, hash_secret

MOST_INCOMING = 1_000
_INCOMING = "name, user_id, target_id, target_kind, created_at"


class Incoming(msgspec.Struct, frozen=True):
    """An incoming webhook: who posts, and where."""

    name: str
    user_id: str
    target_id: str
    target_kind: str
    created_at: float

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


async def create(server: Server, name: str, user_id: str, target_id: str) -> CreatedIncoming:
    """Create an incoming webhook; its user is created where there is none, and then joins the group it posts to.

    Raises:
        RelayError: `invalid_payload` for a name that shows nothing, or a target or user that cannot be meant,
            `conflict` when the name is taken.
    """
    name = check_shown(name, "name")
    kind = await server.read(partial(_kind, target_id=target_id))
    if await server.ensure_user(user_id):
        await _join(server, target_id, user_id, kind)
    elif kind == "group" and user_id not in await _members(server, target_id):
        text = f"{user_id} is not in {target_id}: relay group add {target_id} {user_id}"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    token = secrets.token_urlsafe(24)
    made = Incoming(name, user_id, target_id, kind, server.now())
    await server.write(partial(_insert, made=made, token=token))
    return CreatedIncoming(name, user_id, target_id, f"/hook/{token}")


def incomplete() -> RelayError:
    """Return the refusal of one that does not say who posts and where."""
    return RelayError(ErrorCode.INVALID_PAYLOAD, "an incoming webhook needs --as USER and --to USER-OR-GROUP")


def _kind(connection: sqlite3.Connection, target_id: str) -> str:
    row = connection.execute("SELECT kind FROM names WHERE name = ?", (target_id,)).fetchone()
    if row is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"there is no user or group {target_id[:80]!r}")
    return str(row[0])


async def _members(server: Server, group_id: str) -> dict[str, Role]:
    group = await server.services.channels.group(group_id)
    return {} if group is None else dict(group.members)


async def _join(server: Server, target_id: str, user_id: str, kind: str) -> None:
    if kind == "group":
        members = await _members(server, target_id)
        owner = next((member for member, role in members.items() if role is Role.OWNER), None)
        if owner is None:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"the group {target_id!r} is deleted")
        await server.services.groups.put_member(owner, target_id, user_id, Role.MEMBER)


def _insert(connection: sqlite3.Connection, made: Incoming, token: str) -> None:
    (there,) = connection.execute("SELECT count(*) FROM webhooks_incoming").fetchone()
    if there >= MOST_INCOMING:
        text = f"there are {MOST_INCOMING:,} incoming webhooks, as many as there may be"
        raise RelayError(ErrorCode.CONFLICT, text)
    row = (*msgspec.structs.astuple(made), hash_secret(token))
    sql = f"INSERT OR IGNORE INTO webhooks_incoming ({_INCOMING}, token_hash) VALUES (?, ?, ?, ?, ?, ?)"
    if not connection.execute(sql, row).rowcount:
        raise RelayError(ErrorCode.CONFLICT, f"there is an incoming webhook {made.name!r} already")


def list_all(connection: sqlite3.Connection) -> list[Incoming]:
    """Return all incoming webhooks by their names."""
    return [
        Incoming(*row) for row in connection.execute(f"SELECT {_INCOMING} FROM webhooks_incoming ORDER BY name")
    ]


def find(connection: sqlite3.Connection, token: str) -> Incoming | None:
    """Return the incoming webhook of a token; None for a wrong one."""
    digest = hash_secret(token)
    row = connection.execute(
        f"SELECT token_hash, {_INCOMING} FROM webhooks_incoming WHERE token_hash = ?", (digest,)
    ).fetchone()
    if row is None or not hmac.compare_digest(row[0], digest):
        return None
    return Incoming(*row[1:])


def revoke(connection: sqlite3.Connection, name: str) -> None:
    """End an incoming webhook: its URL is 404 from now on.

    Raises:
        RelayError: `not_found`.
    """
    if not connection.execute("DELETE FROM webhooks_incoming WHERE name = ?", (name,)).rowcount:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no incoming webhook {name[:80]!r}")
