"""The table of tasks: where each is. Its message has its text, and the newest `task_done` whether it is done."""

import sqlite3
from collections.abc import Sequence
from typing import Any

SCHEMA = """
CREATE TABLE tasks_tasks (message_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, seq INTEGER NOT NULL);
CREATE INDEX tasks_by_channel ON tasks_tasks (channel_id, seq);
"""

TASKS = """
    SELECT t.message_id, c.address, l.sender_id, l.payload, l.timestamp,
        d.payload ->> 'done', d.timestamp, d.sender_id
    FROM tasks_tasks t JOIN log l USING (message_id, channel_id, seq) JOIN channels c USING (channel_id)
    LEFT JOIN latest d ON d.message_id = (
        SELECT max(s.message_id) FROM latest s WHERE s.about = t.message_id AND s.type = 'task_done'
    )
    WHERE l.deleted_at IS NULL
"""
OPEN = " AND coalesce(d.payload ->> 'done', 0) = 0"
DONE = " AND d.payload ->> 'done' = 1"


def add(connection: sqlite3.Connection, message_id: int, channel_id: int, seq: int) -> None:
    """Store a new task."""
    connection.execute("INSERT INTO tasks_tasks VALUES (?, ?, ?)", (message_id, channel_id, seq))


def rows(connection: sqlite3.Connection, where: str, values: Sequence[Any], limit: int) -> list[tuple[Any, ...]]:
    """Return rows of TASKS, newest first.

    Args:
        where: further SQL conditions, each with AND before it, and `values` for them.
    """
    sql = f"{TASKS}{where} ORDER BY t.message_id DESC LIMIT ?"
    return connection.execute(sql, (*values, limit)).fetchall()


def is_done(connection: sqlite3.Connection, message_id: int) -> bool:
    """Return whether a task is done."""
    return bool(rows(connection, f" AND t.message_id = ?{DONE}", [message_id], 1))


def forget(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete tasks."""
    connection.executemany("DELETE FROM tasks_tasks WHERE message_id = ?", [(one,) for one in message_ids])
