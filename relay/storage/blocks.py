"""Blocks: each user keeps others away from themself, and nobody else is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """A person whom a user has blocked, and when (Unix seconds)."""

    blocked_id: str
    made_at: float


def put(connection: sqlite3.Connection, user_id: str, blocked_id: str, now: float) -> None:
    """Store that a user blocks another; one who is blocked already stays so."""
    connection.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?)", (user_id, blocked_id, now))


def remove(connection: sqlite3.Connection, user_id: str, blocked_id: str) -> None:
    """Store that a user blocks another no longer."""
    connection.execute("DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?", (user_id, blocked_id))


def of_user(connection: sqlite3.Connection, user_id: str) -> list[Block]:
    """Return the people whom a user blocks, the last one first."""
    rows = connection.execute(
        "SELECT blocked_id, made_at FROM blocks WHERE user_id = ? ORDER BY made_at DESC, blocked_id", (user_id,)
    )
    return [Block(*row) for row in rows]


def blocks(connection: sqlite3.Connection, user_id: str, other: str) -> bool:
    """Return whether a user blocks another."""
    found = connection.execute("SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?", (user_id, other))
    return found.fetchone() is not None


def blockers(connection: sqlite3.Connection, blocked: str, among: Sequence[str]) -> set[str]:
    """Return those of some users who block another."""
    rows = connection.execute(
        "SELECT user_id FROM blocks WHERE blocked_id = ? AND user_id IN (SELECT value FROM json_each(?))",
        (blocked, json.dumps(among)),
    )
    return {row[0] for row in rows}


def list_all(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return every pair of a user and one whom they block."""
    return connection.execute("SELECT user_id, blocked_id FROM blocks").fetchall()
