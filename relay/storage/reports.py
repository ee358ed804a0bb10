"""Reports: which messages were reported, by whom, and what became of that. The report itself is in the log."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

_MODERATORS: Final = "moderators"
"""The fact that holds the id of the moderators' group."""


class Reporter(NamedTuple):
    """Somebody who reported a message; `tell` says whether they wish to hear what became of it."""

    user_id: str
    reason: str
    text: str
    at: float
    tell: bool


class Report(NamedTuple):
    """A reported message and the state of its report.

    Attributes:
        message_id: of the reported message.
        report_id: of the message that is the report, in the moderators' conversation.
        author: who said the reported message.
        payload: the report's payload, JSON; None once it is erased.
        removed: whether the reported message is gone.
    """

    message_id: int
    report_id: int
    author: str
    state: str
    closed_by: str | None
    closed_at: float | None
    note: str
    payload: str | None
    removed: bool
    people: int


def find(connection: sqlite3.Connection, report_id: int) -> Report | None:
    """Return a report; None if there is none."""
    row = connection.execute(f"{_SELECT} WHERE r.report_id = ?", (report_id,)).fetchone()
    return _report(row) if row else None


def of_message(connection: sqlite3.Connection, message_id: int) -> Report | None:
    """Return the report of a message; None if nobody reported it."""
    row = connection.execute(f"{_SELECT} WHERE r.message_id = ?", (message_id,)).fetchone()
    return _report(row) if row else None


def page(connection: sqlite3.Connection, state: str | None, before: int | None, limit: int) -> list[Report]:
    """Return reports, the newest first: all, or those in a state, before the one with an id."""
    rows = connection.execute(
        f"{_SELECT} WHERE (?1 IS NULL OR r.state = ?1) AND (?2 IS NULL OR r.report_id < ?2)"
        " ORDER BY r.report_id DESC LIMIT ?3",
        (state, before, limit),
    )
    return [_report(row) for row in rows]


def reporters(connection: sqlite3.Connection, message_id: int) -> list[Reporter]:
    """Return who reported a message, the first one first."""
    rows = connection.execute(
        "SELECT user_id, reason, text, at, tell FROM reporters WHERE message_id = ? ORDER BY at, user_id",
        (message_id,),
    )
    return [Reporter(user_id, reason, text, at, bool(tell)) for user_id, reason, text, at, tell in rows]


def add_reporter(connection: sqlite3.Connection, message_id: int, reporter: Reporter) -> bool:
    """Store that somebody reported a message; return False if they had done so before."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO reporters (message_id, user_id, reason, text, at, tell) VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, *reporter),
    )
    return cursor.rowcount == 1


def add(connection: sqlite3.Connection, message_id: int, report_id: int, author: str) -> None:
    """Store the first report of a message."""
    connection.execute(
        "INSERT INTO reports (message_id, report_id, author) VALUES (?, ?, ?)", (message_id, report_id, author)
    )


def close(
    connection: sqlite3.Connection, report_id: int, state: str, by: str | None, note: str, now: float
) -> None:
    """Store how a report was closed, or that it is open again."""
    connection.execute(
        "UPDATE reports SET state = ?, closed_by = ?, note = ?, closed_at = ? WHERE report_id = ?",
        (state, by, note, None if state == "open" else now, report_id),
    )


def about_author(connection: sqlite3.Connection, user_id: str) -> list[int]:
    """Return the ids of the reports of what a user said; they repeat it, so they go with the account."""
    rows = connection.execute("SELECT report_id FROM reports WHERE author = ?", (user_id,))
    return [row[0] for row in rows]


def moderators_group(connection: sqlite3.Connection) -> str | None:
    """Return the id of the moderators' group; None before there was need of one."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_MODERATORS,)).fetchone()
    return None if row is None else str(row[0])


def note_moderators_group(connection: sqlite3.Connection, group_id: str) -> None:
    """Store which group is the moderators'."""
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (_MODERATORS, group_id))


def moderators(connection: sqlite3.Connection) -> list[str]:
    """Return the moderators of the server and those above, the highest role first, then the oldest account."""
    rows = connection.execute(
        "SELECT user_id FROM users WHERE role IN ('owner', 'admin', 'moderator') AND disabled = 0"
        " ORDER BY CASE role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 ELSE 2 END, created_at, user_id"
    )
    return [row[0] for row in rows]


def _report(row: tuple[Any, ...]) -> Report:
    return Report._make((*row[:8], bool(row[8]), row[9]))


_SELECT: Final = (
    "SELECT r.message_id, r.report_id, r.author, r.state, r.closed_by, r.closed_at, r.note, l.payload,"
    " m.deleted_at IS NOT NULL, (SELECT count(*) FROM reporters p WHERE p.message_id = r.message_id)"
    " FROM reports r JOIN log l ON l.message_id = r.report_id LEFT JOIN log m ON m.message_id = r.message_id"
)
