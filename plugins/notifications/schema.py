"""The plugin's tables, and the keys that are made with them."""

import secrets
import sqlite3
from typing import Any

from .vapid import make_key

SCHEMA = """
CREATE TABLE notifications_state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE notifications_targets (
    target_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, kind TEXT NOT NULL, place TEXT NOT NULL,
    address TEXT NOT NULL, label TEXT NOT NULL, withdraw INTEGER NOT NULL, client_id TEXT, since INTEGER NOT NULL,
    created_at REAL NOT NULL, state TEXT NOT NULL, code_hash BLOB, code_until REAL,
    code_tries INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, failing_since REAL, retry_at REAL,
    last_error TEXT, delivered_at REAL, UNIQUE (user_id, kind, place)
) WITHOUT ROWID;
CREATE TABLE notifications_conversations (
    user_id TEXT NOT NULL, channel_id INTEGER NOT NULL, pending_from INTEGER, pending_to INTEGER, due_at REAL,
    shown_from INTEGER, shown_to INTEGER, newest_id INTEGER, edited_at REAL, look_at REAL,
    PRIMARY KEY (user_id, channel_id)
) WITHOUT ROWID;
CREATE INDEX notifications_by_channel ON notifications_conversations(channel_id);
CREATE INDEX notifications_by_look ON notifications_conversations(look_at) WHERE look_at IS NOT NULL;
CREATE TABLE notifications_shown (
    target_id TEXT NOT NULL, channel_id INTEGER NOT NULL, newest_id INTEGER, edited_at REAL, remote_id TEXT,
    sent_at REAL, PRIMARY KEY (target_id, channel_id)
) WITHOUT ROWID;
CREATE TABLE notifications_muted (
    user_id TEXT NOT NULL, address TEXT NOT NULL, until REAL, mentions INTEGER NOT NULL,
    PRIMARY KEY (user_id, address)
) WITHOUT ROWID;
CREATE TABLE notifications_people (
    user_id TEXT PRIMARY KEY, until REAL, quiet_from TEXT, quiet_to TEXT, zone TEXT, content TEXT
) WITHOUT ROWID;
"""


def make_keys(connection: sqlite3.Connection) -> None:
    """Make the key that push services know this server by, and the secret that names notifications."""
    remember(connection, "vapid", make_key())
    remember(connection, "secret", secrets.token_bytes(32))


def state(connection: sqlite3.Connection, name: str) -> Any:
    """Return what is remembered under a name; None where nothing is."""
    found = connection.execute("SELECT value FROM notifications_state WHERE name = ?", (name,)).fetchone()
    return found[0] if found else None


def remember(connection: sqlite3.Connection, name: str, value: float | bytes) -> None:
    """Keep a value under a name."""
    connection.execute("INSERT OR REPLACE INTO notifications_state VALUES (?, ?)", (name, value))
