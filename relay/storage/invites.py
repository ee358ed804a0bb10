"""Invites: what accounts are registered with. Only the hash of a code is stored; an invite is named after it."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ServerRole
from relay.storage.accounts import count_users, hash_secret

_ID_DIGITS: Final = 16
_NO_INVITE: Final = "this invite is wrong, used up or expired; ask for a new one"
_LINK: Final = re.compile(r"#(?:invite|setup|reset|mail)=([\w-]+)")
_ID: Final = re.compile(r"inv_[0-9a-f]{16}")

InviteRole = Literal["user", "guest", "moderator", "admin", "first"]
"""Whom an invite makes: "user" is a member, and "first" the owner, on a server without users only."""

MADE: Final[dict[InviteRole, ServerRole]] = {
    "user": ServerRole.MEMBER,
    "guest": ServerRole.GUEST,
    "moderator": ServerRole.MODERATOR,
    "admin": ServerRole.ADMIN,
    "first": ServerRole.OWNER,
}
"""The role on this server of a user who registers with an invite."""


class Invite(NamedTuple):
    """An invite without its code; times are Unix seconds, `expires_at` is None for one that does not expire.

    Attributes:
        mail: the address that it was sent to, and that whoever registers with it has; None for any other.
        group_ids: the groups that whoever registers with it joins.
        revoked_at: when it was taken back; None if it was not.
    """

    invite_id: str
    created_by: str | None
    created_at: float
    expires_at: float | None
    uses_left: int
    role: InviteRole
    label: str = ""
    group_ids: tuple[str, ...] = ()
    mail: str | None = None
    revoked_at: float | None = None


class Use(NamedTuple):
    """One registration with an invite."""

    user_id: str
    used_at: float


def code_of(text: str) -> str:
    """Return the code in what somebody pasted: a code, or the whole link with it."""
    found = _LINK.search(text)
    return found[1] if found else text.strip()


def create_invite(
    connection: sqlite3.Connection,
    now: float,
    *,
    created_by: str | None,
    expires_at: float | None,
    uses: int = 1,
    role: InviteRole = "user",
    label: str = "",
    group_ids: Iterable[str] = (),
    mail: str | None = None,
) -> str:
    """Create an invite and return its code."""
    code = secrets.token_urlsafe(18)
    connection.execute(
        "INSERT INTO invites (code_hash, created_by, created_at, expires_at, uses_left, role, label, group_ids,"
        " mail) VALUES (?,?,?,?,?,?,?,?,?)",
        (
            hash_secret(code), created_by, now, expires_at, uses, role, label,
            " ".join(dict.fromkeys(group_ids)), mail,
        ),
    )  # fmt: skip
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
        f"SELECT 1 FROM invites WHERE code_hash = ? AND {_USABLE}", (hash_secret(code), now)
    )
    if found.fetchone() is None:
        raise _refusal()


def use_invite(connection: sqlite3.Connection, code: str, now: float, user_id: str) -> Invite:
    """Count one use of an invite, in the transaction that creates the account, and return the invite.

    Who used it is kept, and which groups they still have to join.

    Raises:
        RelayError: `forbidden` when the invite is unknown, expired, taken back or used up.
    """
    digest = hash_secret(code)
    rows = connection.execute(
        f"UPDATE invites SET uses_left = uses_left - 1 WHERE code_hash = ? AND {_USABLE}"
        " AND (role <> 'first' OR NOT EXISTS (SELECT 1 FROM users))"
        f" RETURNING {_INVITE}",
        (digest, now),
    ).fetchall()
    if not rows:
        raise _refusal()
    found = _invite(rows[0])
    connection.execute(
        "INSERT INTO invite_uses (code_hash, user_id, used_at) VALUES (?, ?, ?)", (digest, user_id, now)
    )
    connection.executemany(
        "INSERT INTO invite_joins (user_id, group_id, invited_by) VALUES (?, ?, ?)",
        [(user_id, group_id, found.created_by) for group_id in found.group_ids],
    )
    return found


def invite_id(code: str) -> str:
    """Return the id of the invite with a code."""
    return _named(hash_secret(code).hex())


def id_of(text: str) -> str:
    """Return the id of the invite that somebody means by its id, its code or its link."""
    return text if _ID.fullmatch(text) else invite_id(code_of(text))


def listed(
    connection: sqlite3.Connection, now: float, *, after: str, limit: int, ended: bool = False
) -> list[Invite]:
    """Return the invites that can still be used, by their ids, after the id `after`.

    Args:
        ended: return also those that are used up, expired or taken back.
    """
    rows = connection.execute(
        f"SELECT {_INVITE} FROM invites WHERE role <> 'first' AND (? OR {_USABLE})"
        " AND 'inv_' || lower(substr(hex(code_hash), 1, ?)) > ? ORDER BY code_hash LIMIT ?",
        (ended, now, _ID_DIGITS, after, limit),
    )
    return [_invite(row) for row in rows]


def uses_of(connection: sqlite3.Connection, invite_id: str) -> list[Use]:
    """Return who registered with an invite, the first one first."""
    rows = connection.execute(
        f"SELECT user_id, used_at FROM invite_uses WHERE {_HAS_ID} ORDER BY used_at, user_id",
        (_ID_DIGITS, invite_id),
    )
    return [Use(*row) for row in rows]


def revoke(connection: sqlite3.Connection, invite_id: str, now: float) -> None:
    """Take an invite back; nobody can register with it any more.

    Raises:
        RelayError: `not_found`, also for one that was taken back before.
    """
    rows = connection.execute(
        f"UPDATE invites SET revoked_at = ? WHERE {_HAS_ID} AND role <> 'first' AND revoked_at IS NULL"
        " RETURNING 1",
        (now, _ID_DIGITS, invite_id),
    ).fetchall()
    if not rows:
        raise not_found(f"invite {invite_id!r}")


def joins(connection: sqlite3.Connection, user_id: str | None = None) -> list[tuple[str, str, str | None]]:
    """Return what new users still have to join: user, group, and who invited them (None for an operator).

    Args:
        user_id: return those of one user; None for everybody's.
    """
    rows = connection.execute(
        "SELECT user_id, group_id, invited_by FROM invite_joins WHERE ?1 IS NULL OR user_id = ?1", (user_id,)
    )
    return rows.fetchall()


def forget_join(connection: sqlite3.Connection, user_id: str, group_id: str) -> None:
    """Forget that a user has to join a group."""
    connection.execute("DELETE FROM invite_joins WHERE user_id = ? AND group_id = ?", (user_id, group_id))


def _refusal() -> RelayError:
    return RelayError(ErrorCode.FORBIDDEN, _NO_INVITE, details={"reason": "bad_invite", "field": "invite"})


def _invite(row: tuple[Any, ...]) -> Invite:
    digits, created_by, created_at, expires_at, uses_left, role, label, group_ids, mail, revoked_at = row
    return Invite(
        _named(digits), created_by, created_at, expires_at, uses_left, role, label, tuple(group_ids.split()), mail,
        revoked_at,
    )  # fmt: skip


def _named(digits: str) -> str:
    return f"inv_{digits[:_ID_DIGITS]}"


_HAS_ID: Final = "'inv_' || lower(substr(hex(code_hash), 1, ?)) = ?"
_USABLE: Final = "uses_left > 0 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
_INVITE: Final = (
    "lower(hex(code_hash)), created_by, created_at, expires_at, uses_left, role, label, group_ids, mail,"
    " revoked_at"
)
