"""The newest backups: one row for each that was made, or failed."""

from __future__ import annotations

import sqlite3
from typing import Final, Literal, NamedTuple

KEPT: Final = 200
"""Rows that are kept; older ones go."""

Way = Literal["schedule", "rest", "command line"]


class Backup(NamedTuple):
    """A backup that was made, or failed.

    Attributes:
        at: when it began, in Unix seconds.
        way: who asked for it.
        file: its name, or its path where it is not in the folder of backups.
        bytes, messages: None for one that failed.
        problem: why it failed; None for a good one.
    """

    at: float
    seconds: float
    way: Way
    file: str
    bytes: int | None
    messages: int | None
    problem: str | None


_COLUMNS: Final = ", ".join(Backup._fields)


def add(connection: sqlite3.Connection, backup: Backup) -> None:
    """Store what became of a backup, and forget the oldest."""
    marks = ", ".join("?" * len(backup))
    connection.execute(f"INSERT INTO backups ({_COLUMNS}) VALUES ({marks})", backup)
    connection.execute(
        "DELETE FROM backups WHERE backup_id <="
        " (SELECT backup_id FROM backups ORDER BY backup_id DESC LIMIT 1 OFFSET ?)",
        (KEPT,),
    )


def newest(connection: sqlite3.Connection, limit: int) -> list[Backup]:
    """Return the newest backups, those that failed as well."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM backups ORDER BY backup_id DESC LIMIT ?", (limit,))
    return [Backup(*row) for row in rows]


def last_good(connection: sqlite3.Connection) -> Backup | None:
    """Return the newest backup that did not fail."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM backups WHERE problem IS NULL ORDER BY backup_id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Backup(*row)


def last_scheduled(connection: sqlite3.Connection) -> Backup | None:
    """Return the newest backup that the schedule asked for, good or not."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM backups WHERE way = 'schedule' ORDER BY backup_id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Backup(*row)


def has_fact(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether there is a fact of that name."""
    return connection.execute("SELECT 1 FROM facts WHERE name = ?", (name,)).fetchone() is not None


def take_fact(connection: sqlite3.Connection, name: str) -> str | None:
    """Delete a fact and return it; None where there is none."""
    row = connection.execute("DELETE FROM facts WHERE name = ? RETURNING value", (name,)).fetchone()
    return None if row is None else str(row[0])
