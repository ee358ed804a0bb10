"""Restrictions of users: timeouts and bans, in a group or on the whole server, each with its reason and its end.

A ban from the server closes the account: `users.disabled` has a bit for it, beside the one of an admin who
disabled it, so that everything which heeds that column heeds a ban as well.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.accounts import update_user

RestrictionKind = Literal["timeout", "ban"]
SERVER: Final = 0
"""The `channel_id` of what holds on the whole server; no conversation has it."""


class Restriction(NamedTuple):
    """A timeout or a ban.

    Attributes:
        channel_id: the group's conversation, or `SERVER`.
        by_user: who did it; None for the operator.
        until: when it ends by itself, Unix seconds; None for a ban that holds until it is lifted.
    """

    channel_id: int
    user_id: str
    kind: RestrictionKind
    reason: str
    by_user: str | None
    made_at: float
    until: float | None

    def holds(self, now: float) -> bool:
        """Return whether it is in force."""
        return self.until is None or now < self.until

    def told(self) -> dict[str, Any]:
        """Return what its readers are told, by REST and the command line alike."""
        return {
            "kind": self.kind,
            "user_id": self.user_id,
            "by": self.by_user,
            "reason": self.reason,
            "made_at": self.made_at,
            "until": self.until,
        }


def put(connection: sqlite3.Connection, restriction: Restriction) -> None:
    """Store a restriction in place of an older one of the same kind; a ban from the server closes the account.

    Raises:
        RelayError: `not_found`; there is no such user.
    """
    if _closes(restriction.channel_id, restriction.kind):
        update_user(connection, restriction.user_id, banned=1)
    connection.execute("INSERT OR REPLACE INTO restrictions VALUES (?, ?, ?, ?, ?, ?, ?)", restriction)


def lift(
    connection: sqlite3.Connection, channel_id: int, user_id: str, kind: RestrictionKind
) -> Restriction | None:
    """Take back a restriction, and return it; None where there is none."""
    row = connection.execute(
        f"DELETE FROM restrictions WHERE channel_id = ? AND user_id = ? AND kind = ? RETURNING {_COLUMNS}",
        (channel_id, user_id, kind),
    ).fetchall()
    if not row:
        return None
    if _closes(channel_id, kind):
        update_user(connection, user_id, banned=0)
    return Restriction(*row[0])


def lift_ended(connection: sqlite3.Connection, now: float) -> list[Restriction]:
    """Take back the restrictions whose time is over, and return them."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM restrictions WHERE until <= ?", (now,)).fetchall()
    ended = [Restriction(*row) for row in rows]
    for one in ended:
        lift(connection, one.channel_id, one.user_id, one.kind)
    return ended


def next_end(connection: sqlite3.Connection) -> float | None:
    """Return when the next restriction ends by itself, Unix seconds; None if none does."""
    row = connection.execute("SELECT min(until) FROM restrictions").fetchone()
    return None if row[0] is None else float(row[0])


def list_all(connection: sqlite3.Connection) -> list[Restriction]:
    """Return every restriction."""
    return [Restriction(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM restrictions")]


def of_channel(connection: sqlite3.Connection, channel_id: int) -> list[Restriction]:
    """Return the restrictions in a group, or of the server, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM restrictions WHERE channel_id = ? ORDER BY made_at DESC, user_id, kind",
        (channel_id,),
    )
    return [Restriction(*row) for row in rows]


def find(
    connection: sqlite3.Connection, channel_id: int, user_id: str, kind: RestrictionKind
) -> Restriction | None:
    """Return a restriction; None where there is none."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM restrictions WHERE channel_id = ? AND user_id = ? AND kind = ?",
        (channel_id, user_id, kind),
    ).fetchone()
    return Restriction(*row) if row else None


def forget_channel(connection: sqlite3.Connection, channel_id: int) -> None:
    """Delete the restrictions of a group that is deleted."""
    connection.execute("DELETE FROM restrictions WHERE channel_id = ?", (channel_id,))


def is_disabled(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether an admin disabled an account, whether it is banned or not."""
    row = connection.execute("SELECT disabled & 1 FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return row is not None and bool(row[0])


def refusal(restriction: Restriction) -> RelayError:
    """Return the refusal of what a restriction forbids; it says until when and why."""
    details: dict[str, Any] = {
        "reason": _REASONS[restriction.channel_id == SERVER, restriction.kind],
        "where": "server" if restriction.channel_id == SERVER else "group",
        "until": restriction.until,
        "why": restriction.reason,
    }
    return RelayError(ErrorCode.FORBIDDEN, described(restriction), details=details)


def described(restriction: Restriction) -> str:
    """Return a sentence that says what a restriction is, until when, and why."""
    where = "on this server" if restriction.channel_id == SERVER else "in this group"
    text = f"this account may only read {where}"
    if restriction.kind == "ban":
        text = "this account is banned from this " + ("server" if restriction.channel_id == SERVER else "group")
    if restriction.until is not None:
        text += " until " + datetime.fromtimestamp(restriction.until, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{text}: {restriction.reason}" if restriction.reason else text


def _closes(channel_id: int, kind: RestrictionKind) -> bool:
    return channel_id == SERVER and kind == "ban"


_REASONS: Final = {
    (True, "ban"): "banned",
    (False, "ban"): "banned_here",
    (True, "timeout"): "timed_out",
    (False, "timeout"): "timed_out",
}
_COLUMNS: Final = "channel_id, user_id, kind, reason, by_user, made_at, until"
