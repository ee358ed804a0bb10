"""Users and their tokens. Only the hash of a token or an invite code is stored; devices are in `devices`."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from relay.protocol.errors import not_found
from relay.protocol.kinds import ServerRole
from relay.storage import sample
from relay.storage.first_migrations import BROADCAST_CHANNEL
from relay.storage.folding import sought
from relay.storage.names import check_name as check_name
from relay.storage.names import claim_name as claim_name
from relay.storage.shown import check_shown

TOKEN_PREFIX: Final = "rly_"  # noqa: S105 - the public prefix of every token
"""The prefix by which secret scanners recognise a leaked token."""


class Identity(NamedTuple):
    """The user and the rights that a token stands for; by default a user without one, for whom the server acts.

    It is made with keywords only.
    """

    user_id: str
    role: ServerRole = ServerRole.MEMBER
    disabled: bool = False
    token_id: str = ""
    scopes: frozenset[str] = frozenset()
    client_id: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None

    @property
    def admin(self) -> bool:
        """Whether this is an admin of the server, or its owner."""
        return self.role.reaches(ServerRole.ADMIN)


class User(NamedTuple):
    """One user's account."""

    user_id: str
    display_name: str
    role: ServerRole
    disabled: bool
    created_at: float
    receipts: bool
    presence_to: Literal["everyone", "shared", "nobody"]
    groups_from: Literal["everyone", "shared", "nobody"] = "everyone"

    @property
    def admin(self) -> bool:
        """Whether this is an admin of the server, or its owner."""
        return self.role.reaches(ServerRole.ADMIN)


_REMEMBERED_SECONDS: Final = 30 * 86400.0
"""How long a login that has ended is known as such."""

LAST_USED: Final = (
    "nullif(max(coalesce(t.used_at, 0), coalesce((SELECT max(d.seen_at) FROM devices d"
    " WHERE d.user_id = t.user_id AND d.token_id = t.token_id), 0)), 0)"
)
"""When a token `t` was last used, in SQL: by a call, or by a device that said hello; null for never."""


class ApiToken(NamedTuple):
    """A token that no login made; `last_used_at` is when somebody last called or connected with it."""

    token_id: str
    label: str
    origin: str
    scopes: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None


def hash_secret(secret: str) -> bytes:
    """Return the hash that is stored of a token or an invite code: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def create_user(
    connection: sqlite3.Connection,
    user_id: str,
    now: float,
    *,
    display_name: str | None = None,
    role: ServerRole = ServerRole.MEMBER,
    admin: bool = False,
    password_hash: str | None = None,
) -> None:
    """Create a user.

    Args:
        admin: the same as the role of an admin.

    Raises:
        RelayError: `conflict` when the name is taken, `invalid_payload` when it is invalid or shows nothing.
    """
    shown = check_shown(display_name, "display_name") if display_name else user_id
    role = ServerRole.ADMIN if admin else role
    claim_name(connection, check_name(user_id, "user id"), "user")
    connection.execute(
        "INSERT INTO users (user_id, display_name, role, password_hash, created_at, delivered, sought)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        (user_id, shown, role, password_hash, now, sought(user_id, shown)),
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
    """Change some of display_name, role, disabled, banned, password_hash, receipts, presence_to, groups_from.

    `admin` may be changed too: it is the role of an admin, or that of a member. An account is closed while it is
    disabled, banned, or both; each of the two ends by itself.

    Raises:
        RelayError: `not_found`; `invalid_payload` for a display name that shows nothing; `conflict` for a password
            of an account of the sample data.
    """
    if changes.get("password_hash") is not None:
        sample.check_signs_in(connection, user_id)
    if "display_name" in changes:
        shown = check_shown(changes["display_name"], "display_name")
        changes |= {"display_name": shown, "sought": sought(user_id, shown)}
    if "admin" in changes:
        changes["role"] = ServerRole.ADMIN if changes.pop("admin") else ServerRole.MEMBER
    assignments = ", ".join(_CLOSING.get(column, f"{column} = ?") for column in changes)
    cursor = connection.execute(
        f"UPDATE users SET {assignments} WHERE user_id = ?",
        (*changes.values(), user_id),
    )
    if cursor.rowcount == 0:
        raise not_found(f"user {user_id!r}")


def role_of(connection: sqlite3.Connection, user_id: str) -> ServerRole | None:
    """Return a user's role on this server; None if there is no such user."""
    row = connection.execute("SELECT role FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return ServerRole(row[0]) if row else None


def has_admins(connection: sqlite3.Connection) -> bool:
    """Return whether somebody is an admin or an owner, disabled or not."""
    row = connection.execute("SELECT 1 FROM users WHERE role IN ('owner', 'admin') LIMIT 1").fetchone()
    return row is not None


def count_owners(connection: sqlite3.Connection) -> int:
    """Return the number of owners who can sign in."""
    return int(
        connection.execute("SELECT count(*) FROM users WHERE role = 'owner' AND disabled = 0").fetchone()[0]
    )


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
        RelayError: `not_found` when there is no such user, `invalid_payload` for a label that shows nothing,
            `conflict` for an account of the sample data.
    """
    sample.check_signs_in(connection, user_id)
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
        "SELECT t.user_id, u.role, u.disabled, t.token_id, t.scopes, t.client_id, t.created_at, t.expires_at"
        " FROM tokens t JOIN users u USING (user_id) WHERE t.token_hash = ?",
        (token_hash,),
    ).fetchone()
    if row is None:
        return None
    return Identity(
        user_id=row[0], role=ServerRole(row[1]), disabled=bool(row[2]), token_id=row[3],
        scopes=frozenset(row[4].split()), client_id=row[5], created_at=row[6], expires_at=row[7],
    )  # fmt: skip


def has_token(connection: sqlite3.Connection, token_id: str) -> bool:
    """Return whether a token still exists; tokens of plugins, `PLUGIN:…`, are not stored and always do."""
    if ":" in token_id or not token_id:
        return True
    return connection.execute("SELECT 1 FROM tokens WHERE token_id = ?", (token_id,)).fetchone() is not None


def logged_in_at(connection: sqlite3.Connection, token_id: str) -> float | None:
    """Return when the login was that a token comes from; None for a token that no login made."""
    row = connection.execute("SELECT created_at FROM tokens WHERE token_id = ? AND origin = 'login'", (token_id,))
    found = row.fetchone()
    return float(found[0]) if found else None


def list_tokens(connection: sqlite3.Connection, user_id: str | None = None) -> list[dict[str, Any]]:
    """Return the tokens' rows, oldest first, without the tokens themselves."""
    rows = connection.execute(
        f"SELECT token_id, user_id, origin, label, scopes, created_at, expires_at, {LAST_USED} FROM tokens t"
        " WHERE ?1 IS NULL OR user_id = ?1 ORDER BY created_at",
        (user_id,),
    )
    keys = (
        "token_id", "user_id", "origin", "label", "scopes", "created_at", "expires_at", "last_used_at",
    )  # fmt: skip
    return [dict(zip(keys, row, strict=True)) for row in rows]


def list_api_tokens(connection: sqlite3.Connection, user_id: str) -> list[ApiToken]:
    """Return the tokens of a user that no login made."""
    rows = connection.execute(
        f"SELECT t.token_id, t.label, t.origin, t.scopes, t.created_at, t.expires_at, {LAST_USED}"
        " FROM tokens t WHERE t.user_id = ? AND t.origin <> 'login'",
        (user_id,),
    )
    return [ApiToken(*row) for row in rows]


def save_uses(connection: sqlite3.Connection, uses: Iterable[tuple[str, float]]) -> None:
    """Store when tokens were last used, by their ids."""
    connection.executemany(
        "UPDATE tokens SET used_at = ?2 WHERE token_id = ?1 AND coalesce(used_at, 0) < ?2", uses
    )


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


def end_surplus_logins(
    connection: sqlite3.Connection, user_id: str, token: str, most: int, now: float
) -> list[str]:
    """Delete a user's logins that ended long ago, and those beyond `most` that were used longest ago.

    Args:
        token: of the newest login, which stays.
        most: 0 for no limit.

    Returns:
        The ids of the tokens beyond `most`.
    """
    connection.execute(
        "DELETE FROM tokens WHERE user_id = ? AND origin = 'login' AND expires_at < ?",
        (user_id, now - _REMEMBERED_SECONDS),
    )
    if not most:
        return []
    rows = connection.execute(
        "DELETE FROM tokens WHERE token_id IN (SELECT t.token_id FROM tokens t"
        " WHERE t.user_id = ? AND t.origin = 'login'"
        f" ORDER BY t.token_hash = ? DESC, max(t.created_at, coalesce({LAST_USED}, 0)) DESC LIMIT -1 OFFSET ?)"
        " RETURNING token_id",
        (user_id, hash_secret(token), most),
    ).fetchall()
    return [row[0] for row in rows]


def count_users(connection: sqlite3.Connection) -> int:
    """Return the number of users."""
    return int(connection.execute("SELECT count(*) FROM users").fetchone()[0])


_CLOSING: Final = {
    "disabled": "disabled = (disabled & ~1) | ?",
    "banned": "disabled = (disabled & ~2) | (2 * ?)",
}
"""The two bits of the column `disabled`, which most queries only compare with 0."""

_USER: Final = "user_id, display_name, role, disabled, created_at, receipts, presence_to, groups_from"


def _user(row: tuple[Any, ...]) -> User:
    return User(row[0], row[1], ServerRole(row[2]), bool(row[3]), row[4], bool(row[5]), row[6], row[7])
