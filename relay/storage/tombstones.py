"""Tombstones: a message that was deleted, has expired or was replaced keeps its `seq` and loses its payload.

Everything *about* a message is erased with it: reactions, which are latest values, and edits, which are stream
messages of their own. Of several edits of one message only the newest keeps its text, so that a device that gets
them late, or in another order, cannot take an older text for the present one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from relay.storage import audit, versions
from relay.storage.entry import Entry
from relay.storage.observer import note_erased, observer_of

_KEPT_SECONDS: Final = 86_400.0
"""Seconds until a message that was due to expire, but had to stay, is looked at again."""


def erase_messages(
    connection: sqlite3.Connection, message_ids: Sequence[int], at: float, *, audited: bool = False
) -> list[int]:
    """Turn messages into tombstones, with everything about them; return those that became one.

    Messages that are tombstones already, that an observer keeps, or that are in the audit log, stay as they are.

    Args:
        message_ids: a few hundred at a time.
        at: when it happened, Unix seconds; sent as `deleted_at`.
        audited: erase entries of the audit log as well; for its own retention alone.
    """
    if not audited and message_ids:
        protected = audit.among(connection, message_ids)
        message_ids = [one for one in message_ids if one not in protected]
    going = _not_kept(connection, message_ids)
    if not going:
        return []
    marks = ",".join("?" * len(going))
    about = connection.execute(f"SELECT message_id FROM newest WHERE about IN ({marks})", going)
    doomed = [*going, *_not_kept(connection, [row[0] for row in about])]
    marks = ",".join("?" * len(doomed))
    erased = connection.execute(
        # The digest is erased as well: somebody who guesses a short text could compare it.
        "UPDATE log SET payload = NULL, digest = NULL, edited_at = NULL, edit_id = NULL, deleted_at = ?"
        f" WHERE message_id IN ({marks}) AND deleted_at IS NULL RETURNING message_id",
        (at, *doomed),
    ).fetchall()
    connection.execute(f"DELETE FROM newest WHERE about IN ({marks})", doomed)
    connection.execute(f"DELETE FROM latest WHERE about IN ({marks})", doomed)
    connection.execute(f"DELETE FROM holds WHERE message_id IN ({marks})", doomed)
    connection.execute(f"DELETE FROM thread_replies WHERE message_id IN ({marks})", doomed)
    versions.forget(connection, doomed)
    gone = [row[0] for row in erased]
    if gone:
        note_erased(connection)
    if gone and (observer := observer_of(connection)) is not None:
        observer.erased(connection, gone)
    return gone


def remove_message(connection: sqlite3.Connection, message_id: int, at: float, by: str) -> bool:
    """Turn a message into a tombstone that says somebody else than its author removed it.

    Args:
        by: who did; "" for the operator.

    Returns:
        Whether it became one; False for one that is a tombstone already, or kept.
    """
    if not erase_messages(connection, [message_id], at):
        return False
    connection.execute("UPDATE log SET removed_by = ? WHERE message_id = ?", (by, message_id))
    return True


def _not_kept(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[int]:
    observer = observer_of(connection)
    if observer is None or not message_ids:
        return list(message_ids)
    kept = observer.kept(connection, message_ids)
    return [message_id for message_id in message_ids if message_id not in kept]


def collapse(connection: sqlite3.Connection, entry: Entry, at: float) -> None:
    """Record a stored message as the newest of its collapse key, and erase the one it replaces."""
    if entry.collapse is None:
        return
    place = (entry.channel_id, entry.type, entry.sender_id, entry.collapse)
    older = connection.execute(
        "SELECT message_id FROM newest WHERE channel_id = ? AND type = ? AND sender_id = ? AND key = ?", place
    ).fetchone()
    if older is not None:
        erase_messages(connection, [older[0]], at)
        # Stored in the new message's row, since a device that gets it only as a tombstone must learn of it too.
        connection.execute("UPDATE log SET replaces = ? WHERE message_id = ?", (older[0], entry.message_id))
        entry.replaces = older[0]
    connection.execute(
        "INSERT OR REPLACE INTO newest (channel_id, type, sender_id, key, message_id, about)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (*place, entry.message_id, entry.about),
    )


def expire(connection: sqlite3.Connection, now: float, limit: int) -> int:
    """Turn up to `limit` messages whose time has passed into tombstones; return how many there were.

    A message that has to stay is looked at again a day later; its `expires_at` says so.
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
    """Return when the next message expires, in Unix seconds; None if none does."""
    row = connection.execute(
        "SELECT min(expires_at) FROM log WHERE expires_at IS NOT NULL AND deleted_at IS NULL"
    ).fetchone()
    return None if row[0] is None else float(row[0])
