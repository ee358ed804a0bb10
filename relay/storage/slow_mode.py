"""Slow mode as it is stored: each group's seconds, and when each member last wrote in a group that has it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class LastWrite(NamedTuple):
    """A member's last message in a group with slow mode: when, Unix seconds, and its own id."""

    at: float
    own_id: str | None


def set_seconds(connection: sqlite3.Connection, channel_id: int, seconds: int) -> None:
    """Set the seconds between two messages of a member; 0 means no slow mode, and forgets who wrote when."""
    connection.execute("UPDATE groups SET slow_mode_seconds = ? WHERE channel_id = ?", (seconds, channel_id))
    if not seconds:
        forget_channel(connection, channel_id)


def last_write(connection: sqlite3.Connection, channel_id: int, user_id: str) -> LastWrite | None:
    """Return a member's last message that slow mode has counted; None where there is none."""
    row = connection.execute(
        "SELECT at, own_id FROM slow_mode_writes WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
    ).fetchone()
    return None if row is None else LastWrite(*row)


def note_write(
    connection: sqlite3.Connection, channel_id: int, user_id: str, at: float, own_id: str | None
) -> None:
    """Note a member's message as their last one."""
    connection.execute(
        "INSERT OR REPLACE INTO slow_mode_writes (channel_id, user_id, at, own_id) VALUES (?, ?, ?, ?)",
        (channel_id, user_id, at, own_id),
    )


def forget_channel(connection: sqlite3.Connection, channel_id: int) -> None:
    """Forget who wrote when in a group."""
    connection.execute("DELETE FROM slow_mode_writes WHERE channel_id = ?", (channel_id,))
