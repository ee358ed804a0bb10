"""Users, tokens, invites and devices. Only the hash of a token or an invite code is stored."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from typing import Any, Final, Literal, NamedTuple, cast

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage.folding import sought
from relay.storage.migrations import BROADCAST_CHANNEL
from relay.storage.names import check_name as check_name
from relay.storage.names import claim_name as claim_name
from relay.storage.shown import check_shown

TOKEN_PREFIX: Final = "rly_"  # noqa: S105 - the public prefix of every token
"""The prefix by which secret scanners recognise a leaked token."""

_NO_INVITE: Final = "this invite is wrong, used up or expired; ask for a new one"

InviteRole = Literal["user", "admin", "first"]
"""The role of a user who registers with an invite; "first" is an admin, on a server without users only."""


class Identity(NamedTuple):
    """The user and the rights that a token stands for; by default a user without one, for whom the server acts.

    It is made with keywords only.
    """

    user_id: str
    admin: bool = False
    disabled: bool = False
    token_id: str = ""
    scopes: frozenset[str] = frozenset()
    client_id: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None


class User(NamedTuple):
    """One user's account."""

    user_id: str
    display_name: str
    admin: bool
    disabled: bool
    created_at: float
    receipts: bool
    presence_to: Literal["everyone", "shared", "nobody"]
    groups_from: Literal["everyone", "shared", "nobody"] = "everyone"


class Device(NamedTuple):
    """One device of a user, identified by its lasting client id."""

    client_id: str
    session_id: str
    acked: int
    created_at: float
    seen_at: float
    revoked_at: float | None
    token_id: str | None


def hash_secret(secret: str) -> bytes:
    """Return the hash that is stored of a token or an invite code: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def create_user(
    connection: sqlite3.Connection,
    user_id: str,
    now: float,
    *,
    display_name: str | None = None,
    admin: bool = False,
    password_hash: str | None = None,
) -> None:
    """Create a user.

    Raises:
        RelayError: `conflict` when the name is taken, `invalid_payload` when it is invalid or shows nothing.
    """
    shown = check_shown(display_name, "display_name") if display_name else user_id
    claim_name(connection, check_name(user_id, "user id"), "user")
    connection.execute(
        "INSERT INTO users (user_id, display_name, admin, password_hash, created_at, delivered, sought)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        (user_id, shown, int(admin), password_hash, now, sought(user_id, shown)),
    )
    # Every user is a member of the broadcast channel, and sees it from now on.
    connection.execute(
        "INSERT INTO members (channel_id, user_id, role, visible_from, joined_at) VALUES (?1, ?2, 'member',"
        " 1 + max(coalesce((SELECT max(seq) FROM log WHERE channel_id = ?1), 0),"
        " (SELECT floor_seq FROM channels WHERE channel_id = ?1)), ?3)",
        (BROADCAST_CHANNEL, user_id, now),
    )


def ensure_user(
    connection: sqlite3.Connection, user_id: str, now: float, *, display_name: str | None = None
) -> bool:
    """Create a user if there is none; return whether one was created.

    Raises:
        RelayError: as `create_user`.
    """
    if get_user(connection, user_id) is not None:
        return False
    create_user(connection, user_id, now, display_name=display_name)
    return True


def get_user(connection: sqlite3.Connection, user_id: str) -> User | None:
    """Return a user, or None."""
    row = connection.execute(f"SELECT {_USER} FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return _user(row) if row else None


def list_users(connection: sqlite3.Connection, *, after: str = "", limit: int = 200) -> list[User]:
    """Return users, disabled ones too, by id after `after`; `directory.search` finds them by name."""
    rows = connection.execute(
        f"SELECT {_USER} FROM users WHERE user_id > ? ORDER BY user_id LIMIT ?", (after, limit)
    )
    return [_user(row) for row in rows]


def update_user(connection: sqlite3.Connection, user_id: str, **changes: Any) -> None:
    """Change some of display_name, admin, disabled, password_hash, receipts, presence_to, groups_from.

    Raises:
        RelayError: `not_found`; `invalid_payload` for a display name that shows nothing.
    """
    if "display_name" in changes:
        shown = check_shown(changes["display_name"], "display_name")
        changes |= {"display_name": shown, "sought": sought(user_id, shown)}
    assignments = ", ".join(f"{column} = ?" for column in changes)
    cursor = connection.execute(
        f"UPDATE users SET {assignments} WHERE user_id = ?",
        (*changes.values(), user_id),
    )
    if cursor.rowcount == 0:
        raise not_found(f"user {user_id!r}")


def tells_receipts(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether others may see how far a user has read."""
    row = connection.execute("SELECT receipts FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return row is None or bool(row[0])


def password_hash(connection: sqlite3.Connection, user_id: str) -> str | None:
    """Return the argon2 hash of a user's password; None when there is none, or no such user."""
    row = connection.execute("SELECT password_hash FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return row[0] if row else None


def create_token(
    connection: sqlite3.Connection,
    user_id: str,
    now: float,
    *,
    origin: str,
    label: str = "",
    scopes: tuple[str, ...] = (),
    client_id: str | None = None,
    expires_at: float | None = None,
) -> str:
    """Create a token and return it. Only its hash is stored, so it cannot be shown again.

    Raises:
        RelayError: `not_found` when there is no such user, `invalid_payload` for a label that shows nothing.
    """
    label = check_shown(label, "label") if label else ""
    if get_user(connection, user_id) is None:
        raise not_found(f"user {user_id!r}")
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        "INSERT INTO tokens (token_hash, token_id, user_id, origin, label, scopes, client_id, created_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hash_secret(token), "tok_" + secrets.token_hex(6), user_id, origin, label, " ".join(scopes),
            client_id, now, expires_at,
        ),
    )  # fmt: skip
    return token


def find_token(connection: sqlite3.Connection, token_hash: bytes) -> Identity | None:
    """Return the identity behind a token, also when it is expired or disabled; None for an unknown token."""
    row = connection.execute(
        "SELECT t.user_id, u.admin, u.disabled, t.token_id, t.scopes, t.client_id, t.created_at, t.expires_at"
        " FROM tokens t JOIN users u USING (user_id) WHERE t.token_hash = ?",
        (token_hash,),
    ).fetchone()
    if row is None:
        return None
    return Identity(
        user_id=row[0], admin=bool(row[1]), disabled=bool(row[2]), token_id=row[3],
        scopes=frozenset(row[4].split()), client_id=row[5], created_at=row[6], expires_at=row[7],
    )  # fmt: skip


def has_token(connection: sqlite3.Connection, token_id: str) -> bool:
    """Return whether a token still exists; tokens of plugins, `PLUGIN:…`, are not stored and always do."""
    if ":" in token_id or not token_id:
        return True
    return connection.execute("SELECT 1 FROM tokens WHERE token_id = ?", (token_id,)).fetchone() is not None


def list_tokens(connection: sqlite3.Connection, user_id: str | None = None) -> list[dict[str, Any]]:
    """Return the tokens' rows, without the tokens themselves."""
    rows = connection.execute(
        "SELECT token_id, user_id, origin, label, scopes, created_at, expires_at FROM tokens"
        " WHERE ?1 IS NULL OR user_id = ?1 ORDER BY created_at",
        (user_id,),
    )
    keys = ("token_id", "user_id", "origin", "label", "scopes", "created_at", "expires_at")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def revoke_token(connection: sqlite3.Connection, token_id: str) -> str:
    """Delete a token and return its user's id.

    Raises:
        RelayError: `not_found`.
    """
    row = connection.execute("DELETE FROM tokens WHERE token_id = ? RETURNING user_id", (token_id,)).fetchall()
    if not row:
        raise not_found(f"token {token_id!r}")
    return str(row[0][0])


def revoke_logins(connection: sqlite3.Connection, user_id: str, kept_token_id: str) -> list[str]:
    """Delete the tokens of a user's logins except one, and return their ids."""
    rows = connection.execute(
        "DELETE FROM tokens WHERE user_id = ? AND origin = 'login' AND token_id <> ? RETURNING token_id",
        (user_id, kept_token_id),
    ).fetchall()
    return [row[0] for row in rows]


def create_invite(
    connection: sqlite3.Connection,
    now: float,
    *,
    created_by: str | None,
    expires_at: float | None,
    uses: int = 1,
    role: InviteRole = "user",
) -> str:
    """Create an invite and return its code."""
    code = secrets.token_urlsafe(18)
    connection.execute(
        "INSERT INTO invites (code_hash, created_by, created_at, expires_at, uses_left, role)"
        " VALUES (?,?,?,?,?,?)",
        (hash_secret(code), created_by, now, expires_at, uses, role),
    )
    return code


def create_first_invite(connection: sqlite3.Connection, now: float, expires_at: float) -> str | None:
    """Create the invite of the first user and delete the one before; return its code, None if there are users."""
    connection.execute("DELETE FROM invites WHERE role = 'first'")
    if count_users(connection):
        return None
    return create_invite(connection, now, created_by=None, expires_at=expires_at, role="first")


def check_invite(connection: sqlite3.Connection, code: str, now: float) -> None:
    """Check that an invite is valid now. `use_invite` checks again, in the transaction that counts.

    Raises:
        RelayError: `forbidden`.
    """
    found = connection.execute(
        "SELECT 1 FROM invites WHERE code_hash = ? AND uses_left > 0 AND (expires_at IS NULL OR expires_at > ?)",
        (hash_secret(code), now),
    )
    if found.fetchone() is None:
        raise RelayError(ErrorCode.FORBIDDEN, _NO_INVITE)


def use_invite(connection: sqlite3.Connection, code: str, now: float) -> InviteRole:
    """Count one use of an invite, in the transaction that creates the account, and return the new user's role.

    Raises:
        RelayError: `forbidden` when the invite is unknown, expired or used up.
    """
    rows = connection.execute(
        "UPDATE invites SET uses_left = uses_left - 1 WHERE code_hash = ? AND uses_left > 0"
        " AND (expires_at IS NULL OR expires_at > ?) AND (role <> 'first' OR NOT EXISTS (SELECT 1 FROM users))"
        " RETURNING role",
        (hash_secret(code), now),
    ).fetchall()
    if not rows:
        raise RelayError(ErrorCode.FORBIDDEN, _NO_INVITE)
    return cast(InviteRole, rows[0][0])


def get_device(connection: sqlite3.Connection, user_id: str, client_id: str) -> Device | None:
    """Return a device, revoked or not, or None."""
    row = connection.execute(
        f"SELECT {_DEVICE} FROM devices WHERE user_id = ? AND client_id = ?", (user_id, client_id)
    ).fetchone()
    return Device(*row) if row else None


def list_devices(connection: sqlite3.Connection, user_id: str) -> list[Device]:
    """Return a user's devices that are not revoked, last seen first."""
    rows = connection.execute(
        f"SELECT {_DEVICE} FROM devices WHERE user_id = ? AND revoked_at IS NULL ORDER BY seen_at DESC",
        (user_id,),
    )
    return [Device(*row) for row in rows]


def attach_device(
    connection: sqlite3.Connection,
    user_id: str,
    client_id: str,
    token_id: str,
    now: float,
    since: float = float("inf"),
) -> str | None:
    """Store that a device has connected with a token; return its session id, a new one for a new device.

    Args:
        since: when the token was made. For a device that was revoked at that moment or later, None is returned.
    """
    row = connection.execute(
        "INSERT INTO devices (user_id, client_id, session_id, token_id, created_at, seen_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (user_id, client_id) DO UPDATE SET seen_at = ?5,"
        " token_id = ?4, session_id = CASE WHEN revoked_at IS NULL THEN session_id ELSE ?3 END,"
        " revoked_at = NULL WHERE revoked_at IS NULL OR revoked_at < ?6 RETURNING session_id",
        (user_id, client_id, "ses_" + secrets.token_urlsafe(12), token_id, now, since),
    ).fetchall()
    return str(row[0][0]) if row else None


def revoke_device(connection: sqlite3.Connection, user_id: str, client_id: str, now: float) -> list[str]:
    """Revoke a device, and the token of the login that it came with.

    Returns:
        The ids of the tokens that were deleted.

    Raises:
        RelayError: `not_found`.
    """
    rows = connection.execute(
        "UPDATE devices SET revoked_at = ? WHERE user_id = ? AND client_id = ? AND revoked_at IS NULL"
        " RETURNING token_id",
        (now, user_id, client_id),
    ).fetchall()
    if not rows:
        raise not_found(f"device {client_id!r}")
    void = connection.execute(
        "DELETE FROM tokens WHERE user_id = ?1 AND origin = 'login' AND (token_id = ?2 OR client_id = ?3)"
        " RETURNING token_id",
        (user_id, rows[0][0], client_id),
    ).fetchall()
    return [row[0] for row in void]


def move_acked(connection: sqlite3.Connection, user_id: str, client_id: str, cursor: int) -> tuple[int, int]:
    """Advance a device's ack, and with it the user's delivered position; neither ever goes back.

    Returns:
        The user's delivered position before and after.
    """
    connection.execute(
        "UPDATE devices SET acked = max(acked, ?) WHERE user_id = ? AND client_id = ?",
        (cursor, user_id, client_id),
    )
    before = delivered(connection, user_id)
    if cursor > before:
        connection.execute("UPDATE users SET delivered = ? WHERE user_id = ?", (cursor, user_id))
    return before, max(before, cursor)


def delivered(connection: sqlite3.Connection, user_id: str) -> int:
    """Return the highest position that any device of the user has acked."""
    row = connection.execute("SELECT delivered FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0]) if row else 0


def count_users(connection: sqlite3.Connection) -> int:
    """Return the number of users."""
    return int(connection.execute("SELECT count(*) FROM users").fetchone()[0])


_USER: Final = "user_id, display_name, admin, disabled, created_at, receipts, presence_to, groups_from"
_DEVICE: Final = "client_id, session_id, acked, created_at, seen_at, revoked_at, token_id"


def _user(row: tuple[Any, ...]) -> User:
    return User(row[0], row[1], bool(row[2]), bool(row[3]), row[4], bool(row[5]), row[6], row[7])
