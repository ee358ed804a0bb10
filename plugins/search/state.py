"""Numbers that the index stores beside its words: how far it reaches, and how far a purge has come."""

import sqlite3
from typing import Any


def state(connection: sqlite3.Connection, name: str) -> Any:
    """Return a number that the index stored; 0 if there is none."""
    found = connection.execute("SELECT value FROM search_state WHERE name = ?", (name,)).fetchone()
    return found[0] if found else 0


def remember(connection: sqlite3.Connection, name: str, value: float) -> None:
    """Store a number."""
    connection.execute("INSERT OR REPLACE INTO search_state VALUES (?, ?)", (name, value))
