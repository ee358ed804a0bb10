"""Who is called by name in which message; `*` stands for every member."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence


def note_mentions(connection: sqlite3.Connection, channel_id: int, seq: int, user_ids: Iterable[str]) -> None:
    """Note whom a message mentions."""
    connection.executemany(
        "INSERT OR IGNORE INTO mentions (channel_id, user_id, seq) VALUES (?, ?, ?)",
        [(channel_id, user_id, seq) for user_id in user_ids],
    )


def forget_mentions(connection: sqlite3.Connection, channel_id: int, seq: int) -> None:
    """Forget whom a message mentioned."""
    connection.execute("DELETE FROM mentions WHERE channel_id = ? AND seq = ?", (channel_id, seq))


def count_unread(
    connection: sqlite3.Connection,
    channel_id: int,
    user_id: str,
    read_seq: int,
    visible: str = "",
    bounds: Sequence[int | str] = (),
) -> int:
    """Count others' messages after `read_seq` that mention a user and are not deleted.

    Args:
        visible, bounds: a further condition on `seq`, and its values.
    """
    row = connection.execute(
        "SELECT count(DISTINCT seq) FROM mentions m JOIN log USING (channel_id, seq)"
        " WHERE m.channel_id = ? AND m.user_id IN (?, '*') AND seq > ?"
        f" AND log.sender_id <> ? AND log.deleted_at IS NULL{visible}",
        (channel_id, user_id, read_seq, user_id, *bounds),
    ).fetchone()
    return int(row[0])
