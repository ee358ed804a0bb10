"""Tombstones: a message that was deleted, has expired or was replaced keeps its `seq` and loses its payload.

What is said *about* a message goes with it: reactions, which are latest values, and edits, which are stream
messages of their own. Of several edits of one message only the newest keeps its text; so nobody who gets
them late, or in another order, can take an older text for the present one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from relay.storage import versions
from relay.storage.observer import note_erased, observer_of

if TYPE_CHECKING:
    from relay.storage.log import Entry

_KEPT_SECONDS: Final = 86_400.0
"""When a message that was to expire and had to stay is looked at again."""


def erase_messages(connection: sqlite3.Connection, message_ids: Sequence[int], at: float) -> list[int]:
    """Turn messages into tombstones, with all that is said about them, and return which became one.

    Those that are tombstones already stay as they are, and so do those that a observer keeps.

    Args:
        message_ids: a few hundred at a time.
        at: when it happened, Unix seconds; told as `deleted_at`.
    """
    going = _not_kept(connection, message_ids)
    if not going:
        return []
    marks = ",".join("?" * len(going))
    about = connection.execute(f"SELECT message_id FROM newest WHERE about IN ({marks})", going)
    doomed = [*going, *_not_kept(connection, [row[0] for row in about])]
    marks = ",".join("?" * len(doomed))
    erased = connection.execute(
        # Its digest goes as well: who guesses a short text could try it against that.
        "UPDATE log SET payload = NULL, digest = NULL, edited_at = NULL, edit_id = NULL, deleted_at = ?"
        f" WHERE message_id IN ({marks}) AND deleted_at IS NULL RETURNING message_id",
        (at, *doomed),
    ).fetchall()
    connection.execute(f"DELETE FROM newest WHERE about IN ({marks})", doomed)
    connection.execute(f"DELETE FROM latest WHERE about IN ({marks})", doomed)
    connection.execute(f"DELETE FROM holds WHERE message_id IN ({marks})", doomed)
    versions.forget(connection, doomed)
    gone = [row[0] for row in erased]
    if gone:
        note_erased(connection)
    if gone and (observer := observer_of(connection)) is not None:
        observer.erased(connection, gone)
    return gone


def _not_kept(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[int]:
    observer = observer_of(connection)
    if observer is None or not message_ids:
        return list(message_ids)
    kept = observer.kept(connection, message_ids)
    return [message_id for message_id in message_ids if message_id not in kept]


def collapse(connection: sqlite3.Connection, entry: Entry, at: float) -> None:
    """Note a stored message as the newest of its collapse key, and erase the one it replaces."""
    if entry.collapse is None:
        return
    place = (entry.channel_id, entry.type, entry.sender_id, entry.collapse)
    older = connection.execute(
        "SELECT message_id FROM newest WHERE channel_id = ? AND type = ? AND sender_id = ? AND key = ?", place
    ).fetchone()
    if older is not None:
        erase_messages(connection, [older[0]], at)
        # Kept with the message, as a device that gets it only when it is a tombstone itself must learn of it too.
        connection.execute("UPDATE log SET replaces = ? WHERE message_id = ?", (older[0], entry.message_id))
        entry.replaces = older[0]
    connection.execute(
        "INSERT OR REPLACE INTO newest (channel_id, type, sender_id, key, message_id, about)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*place, entry.message_id, entry.about),
    )


def expire(connection: sqlite3.Connection, now: float, limit: int) -> int:
    """Turn up to `limit` messages whose time has passed into tombstones, and return how many there were.

    One that has to stay is looked at again a day later; its `expires_at` says so.
    """
    due = connection.execute(
        "SELECT message_id, expires_at FROM log WHERE expires_at <= ? AND deleted_at IS NULL"
        " ORDER BY expires_at LIMIT ?",
        (now, limit),
    ).fetchall()
    for message_id, expires_at in due:
        if not erase_messages(connection, [message_id], expires_at):
            connection.execute(
                "UPDATE log SET expires_at = ? WHERE message_id = ? AND deleted_at IS NULL",
                (now + _KEPT_SECONDS, message_id),
            )
    return len(due)


def next_expiry(connection: sqlite3.Connection) -> float | None:
    """Return when the next message expires, Unix seconds; None when none will."""
    row = connection.execute(
        "SELECT min(expires_at) FROM log WHERE expires_at IS NOT NULL AND deleted_at IS NULL"
    ).fetchone()
    return None if row[0] is None else float(row[0])
