"""Mentions: which users a message names; `*` stands for every member."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence


def note_mentions(connection: sqlite3.Connection, channel_id: int, seq: int, user_ids: Iterable[str]) -> None:
    """Store which users a message mentions."""
    connection.executemany(
        "INSERT OR IGNORE INTO mentions (channel_id, user_id, seq) VALUES (?, ?, ?)",
        [(channel_id, user_id, seq) for user_id in user_ids],
    )


def forget_mentions(connection: sqlite3.Connection, channel_id: int, seq: int) -> None:
    """Delete the mentions of a message."""
    connection.execute("DELETE FROM mentions WHERE channel_id = ? AND seq = ?", (channel_id, seq))


def count_unread(
    connection: sqlite3.Connection,
    channel_id: int,
    user_id: str,
    read_seq: int,
    visible: str = "",
    bounds: Sequence[int | str] = (),
) -> int:
    """Count messages after `read_seq` that mention a user, without deleted ones, their own, and blocked people's.

    Args:
        visible, bounds: a further SQL condition on `seq`, and its values.
    """
    row = connection.execute(
        "SELECT count(DISTINCT seq) FROM mentions m JOIN log USING (channel_id, seq)"
        " WHERE m.channel_id = ? AND m.user_id IN (?, '*') AND seq > ?"
        " AND log.sender_id <> ? AND log.deleted_at IS NULL"
        f" AND log.sender_id NOT IN (SELECT blocked_id FROM blocks b WHERE b.user_id = ?){visible}",
        (channel_id, user_id, read_seq, user_id, user_id, *bounds),
    ).fetchone()
    return int(row[0])
