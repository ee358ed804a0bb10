"""Mails that wait to be sent: kept here so that a restart loses none, and deleted once they are on their way."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

_LONGEST_ERROR = 300


class Mail(NamedTuple):
    """A mail; times are Unix seconds. After `expires_at` it is of no use any more, and is dropped."""

    mail_id: int
    recipient: str
    subject: str
    body: str
    expires_at: float
    attempts: int


def put(
    connection: sqlite3.Connection,
    recipient: str,
    subject: str,
    body: str,
    now: float,
    expires_at: float,
    user_id: str | None = None,
) -> None:
    """Store a mail to be sent."""
    connection.execute(
        "INSERT INTO mails (user_id, recipient, subject, body, created_at, due_at, expires_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
        (user_id, recipient, subject, body, now, expires_at),
    )


def due(connection: sqlite3.Connection, now: float) -> Mail | None:
    """Return the mail that has been due the longest; None if none is."""
    row = connection.execute(
        "SELECT mail_id, recipient, subject, body, expires_at, attempts FROM mails WHERE due_at <= ?"
        " ORDER BY due_at, mail_id LIMIT 1",
        (now,),
    ).fetchone()
    return Mail(*row) if row else None


def next_due(connection: sqlite3.Connection) -> float | None:
    """Return when the next mail is due; None if none waits."""
    row = connection.execute("SELECT min(due_at) FROM mails").fetchone()
    return None if row[0] is None else float(row[0])


def count(connection: sqlite3.Connection) -> int:
    """Return how many mails wait."""
    return int(connection.execute("SELECT count(*) FROM mails").fetchone()[0])


def postpone(connection: sqlite3.Connection, mail_id: int, due_at: float, error: str) -> None:
    """Store that an attempt failed, and when the next one is."""
    connection.execute(
        "UPDATE mails SET attempts = attempts + 1, due_at = ?, last_error = ? WHERE mail_id = ?",
        (due_at, error[:_LONGEST_ERROR], mail_id),
    )


def delete(connection: sqlite3.Connection, mail_id: int) -> None:
    """Delete a mail that is on its way, or that nobody will take."""
    connection.execute("DELETE FROM mails WHERE mail_id = ?", (mail_id,))
