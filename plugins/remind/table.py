"""The table of reminders that wait."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from relay.plugin import Server

SCHEMA = """
CREATE TABLE remind_reminders (
    message_id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL,
    only_me INTEGER NOT NULL
);
CREATE INDEX remind_by_user ON remind_reminders (user_id, at);
CREATE INDEX remind_by_address ON remind_reminders (address);
"""


class Reminder(NamedTuple):
    """A row; its text is in the message."""

    message_id: int
    user_id: str
    address: str
    at: float
    only_me: bool


def add(connection: sqlite3.Connection, reminder: Reminder) -> None:
    """Add a reminder."""
    connection.execute("INSERT INTO remind_reminders VALUES (?, ?, ?, ?, ?)", reminder)


def count(connection: sqlite3.Connection, user_id: str) -> int:
    """Return how many reminders of a user wait."""
    row = connection.execute("SELECT count(*) FROM remind_reminders WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0])


def find(connection: sqlite3.Connection, message_id: int) -> tuple[Reminder, str] | None:
    """Return a reminder with its text; None where it does not wait."""
    return next(iter(_reminders(connection, "message_id = ?", message_id)), None)


def of_user(connection: sqlite3.Connection, user_id: str) -> list[tuple[Reminder, str]]:
    """Return the reminders of a user with their texts, the next ones first."""
    return _reminders(connection, "r.user_id = ? ORDER BY r.at", user_id)


def of_group(connection: sqlite3.Connection, channel_id: int, user_id: str | None) -> list[int]:
    """Return the message ids of the reminders in a group: those of a user, or all."""
    rows = connection.execute(
        "SELECT message_id FROM remind_reminders JOIN channels USING (address)"
        " WHERE channel_id = ? AND ifnull(user_id = ?, TRUE)",
        (channel_id, user_id),
    )
    return [row[0] for row in rows]


def forget(server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Remove reminders with their jobs; an `erased` hook, too, which is asked for messages of all types."""
    for message_id in message_ids:
        if connection.execute("DELETE FROM remind_reminders WHERE message_id = ?", (message_id,)).rowcount:
            server.jobs.remove_inside(connection, "remind", str(message_id))


def _reminders(connection: sqlite3.Connection, where: str, *values: Any) -> list[tuple[Reminder, str]]:
    rows = connection.execute(
        "SELECT r.message_id, r.user_id, r.address, r.at, r.only_me, log.payload"
        f" FROM remind_reminders r JOIN log USING (message_id) WHERE deleted_at IS NULL AND {where}",
        values,
    )
    return [(Reminder._make((*row[:4], bool(row[4]))), msgspec.json.decode(row[5])["text"]) for row in rows]
