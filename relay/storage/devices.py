"""Devices: each is one program of a user that connects again and again, with how far it has read.

A device keeps its session id until it is revoked; the login that it came with is void then.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Final, NamedTuple

from relay.protocol.errors import not_found


class Device(NamedTuple):
    """One device of a user, identified by its lasting client id."""

    client_id: str
    session_id: str
    acked: int
    created_at: float
    seen_at: float
    revoked_at: float | None
    token_id: str | None
    agent: str = ""


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
    agent: str = "",
    most: int = 0,
) -> str | None:
    """Store that a device has connected with a token; return its session id, a new one for a new device.

    Args:
        since: when the token was made. For a device that was revoked at that moment or later, None is returned.
        agent: how its program names itself; "" keeps what it said before.
        most: how many of the user's devices are kept, those seen last; 0 for all. Revoked ones do not count, and
            stay, as they are refused by what is stored of them.
    """
    row = connection.execute(
        "INSERT INTO devices (user_id, client_id, session_id, token_id, created_at, seen_at, agent)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?7) ON CONFLICT (user_id, client_id) DO UPDATE SET seen_at = ?5,"
        " token_id = ?4, session_id = CASE WHEN revoked_at IS NULL THEN session_id ELSE ?3 END,"
        " agent = coalesce(nullif(?7, ''), agent), revoked_at = NULL"
        " WHERE revoked_at IS NULL OR revoked_at < ?6 RETURNING session_id",
        (user_id, client_id, "ses_" + secrets.token_urlsafe(12), token_id, now, since, agent),
    ).fetchall()
    if row and most:
        connection.execute(
            "DELETE FROM devices WHERE user_id = ?1 AND client_id IN (SELECT client_id FROM devices"
            " WHERE user_id = ?1 AND revoked_at IS NULL"
            " ORDER BY client_id = ?2 DESC, seen_at DESC LIMIT -1 OFFSET ?3)",
            (user_id, client_id, most),
        )
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


_DEVICE: Final = "client_id, session_id, acked, created_at, seen_at, revoked_at, token_id, agent"
