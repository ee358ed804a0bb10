"""Networks a user has logged in from: wrong passwords from elsewhere do not lock the user out there.

Only hashes are stored, so that the file holds no readable list of addresses.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.storage.accounts import hash_secret

_KEPT: Final = 10
"""Networks that are remembered of each user, the newest ones."""


def _place(user_id: str, network: str) -> bytes:
    return hash_secret(f"{user_id}\0{network}")[:16]


def is_known(connection: sqlite3.Connection, user_id: str, network: str) -> bool:
    """Return whether a user has logged in from a network."""
    found = connection.execute(
        "SELECT 1 FROM login_places WHERE user_id = ? AND place = ?", (user_id, _place(user_id, network))
    )
    return found.fetchone() is not None


def note(connection: sqlite3.Connection, user_id: str, network: str, now: float) -> None:
    """Store that a user has logged in from a network."""
    connection.execute(
        "INSERT INTO login_places (user_id, place, seen_at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET seen_at = ?3",
        (user_id, _place(user_id, network), now),
    )
    connection.execute(
        "DELETE FROM login_places WHERE user_id = ?1 AND place NOT IN"
        " (SELECT place FROM login_places WHERE user_id = ?1 ORDER BY seen_at DESC LIMIT ?2)",
        (user_id, _KEPT),
    )
