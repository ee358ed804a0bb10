"""Erasing an account: all that is a user's alone goes; the id stays taken, and what others said stays.

It is asked for in one transaction, which ends the account, and done in many small ones; how far that has come is a
row of `erasures`, so that a crash only delays it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.protocol.errors import not_found
from relay.storage import tombstones
from relay.storage.conversations import self_address
from relay.storage.folding import sought
from relay.storage.observer import note_erased, observer_of

OF_A_USER: Final = ("tokens", "devices", "presence", "pointers", "mentions", "login_places")
"""Tables whose rows with a user's `user_id` go with the account."""

STAYING: Final = frozenset({"users", "members", "stays", "attachments", "following", "erasures"})
"""Tables with a `user_id` that are looked after otherwise: see `close`, `drop_files`, and leaving the groups."""

_FACTS: Final = ("group_event", "message_delete")
"""What a user made happen and nobody said; it holds no words of theirs."""

_SCANNED: Final = 20_000


class Progress(NamedTuple):
    """How far an erasure has come.

    Attributes:
        reached: up to which message the log was looked through.
        erased: messages that became tombstones.
        kept: messages that had to stay, as they are on legal hold.
        files_kept: files that had to stay with them.
    """

    user_id: str
    reached: int
    erased: int
    kept: int
    files_kept: int
    done_at: float | None


def close(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """End an account: tokens, devices, profile, statuses, receipts and reactions go at once.

    Raises:
        RelayError: `not_found`.
    """
    found = connection.execute(
        "UPDATE users SET display_name = user_id, sought = ?, admin = 0, disabled = 1, password_hash = NULL,"
        " presence_to = 'nobody' WHERE user_id = ? RETURNING 1",
        (sought(user_id, user_id), user_id),
    ).fetchall()
    if not found:
        raise not_found(f"user {user_id!r}")
    if is_erased(connection, user_id):
        return
    connection.execute("INSERT INTO erasures (user_id, asked_at) VALUES (?, ?)", (user_id, now))
    for table in OF_A_USER:
        connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
    connection.execute("DELETE FROM invites WHERE created_by = ?", (user_id,))
    connection.execute("DELETE FROM following WHERE ? IN (user_id, followed_id)", (user_id,))
    connection.execute(
        "DELETE FROM latest WHERE channel_id IN (SELECT channel_id FROM members WHERE user_id = ?1)"
        " AND ?1 IN (sender_id, only_for)",
        (user_id,),
    )
    if (observer := observer_of(connection)) is not None:
        observer.left(connection, user_id)
    note_erased(connection)


def is_erased(connection: sqlite3.Connection, user_id: str) -> bool:
    """Tell whether an account was erased, or is being erased."""
    return connection.execute("SELECT 1 FROM erasures WHERE user_id = ?", (user_id,)).fetchone() is not None


def progress(connection: sqlite3.Connection, user_id: str) -> Progress | None:
    """Return how far the erasure of an account has come; None where none was asked for."""
    row = connection.execute(f"{_PROGRESS} WHERE user_id = ?", (user_id,)).fetchone()
    return Progress(*row) if row else None


def pending(connection: sqlite3.Connection) -> Progress | None:
    """Return the oldest erasure that is not done."""
    row = connection.execute(f"{_PROGRESS} WHERE done_at IS NULL ORDER BY asked_at LIMIT 1").fetchone()
    return Progress(*row) if row else None


def heir(connection: sqlite3.Connection, user_id: str, group_id: str) -> str | None:
    """Return who owns a group when its owner goes: the admin, else the member, who has been there longest."""
    row = connection.execute(
        "SELECT m.user_id FROM members m JOIN groups g USING (channel_id) JOIN users u ON u.user_id = m.user_id"
        " WHERE g.group_id = ? AND m.visible_until IS NULL AND m.user_id <> ? AND u.disabled = 0"
        " ORDER BY m.role <> 'admin', m.joined_at, m.user_id LIMIT 1",
        (group_id, user_id),
    ).fetchone()
    return None if row is None else str(row[0])


def said_after(
    connection: sqlite3.Connection, user_id: str, position: int, limit: int
) -> tuple[list[int], int | None]:
    """Return messages of a user, and to them alone, after a position, and how far was looked; None at the end."""
    (newest,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    until = min(position + _SCANNED, newest)
    rows = connection.execute(
        "SELECT message_id FROM log WHERE message_id > ? AND message_id <= ? AND deleted_at IS NULL"
        " AND type NOT IN (?, ?) AND (sender_id = ? OR channel_id ="
        "  (SELECT channel_id FROM channels WHERE address = ?)) ORDER BY message_id LIMIT ?",
        (position, until, *_FACTS, user_id, self_address(user_id), limit),
    ).fetchall()
    found = [row[0] for row in rows]
    if len(found) == limit:
        return found, found[-1]
    return found, until if found or until < newest else None


def erase_some(
    connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int], reached: int, now: float
) -> None:
    """Make tombstones of some of a user's messages, and note how far that has come."""
    tombstones.erase_messages(connection, message_ids, now)
    marks = ",".join("?" * len(message_ids))
    (kept,) = connection.execute(
        f"SELECT count(*) FROM log WHERE message_id IN ({marks}) AND deleted_at IS NULL", tuple(message_ids)
    ).fetchone()
    connection.execute(
        "UPDATE erasures SET reached = ?, erased = erased + ?, kept = kept + ? WHERE user_id = ?",
        (reached, len(message_ids) - kept, kept, user_id),
    )


def drop_files(connection: sqlite3.Connection, user_id: str, after: str, limit: int) -> str | None:
    """Take a user's uploads out of all messages but those on legal hold; return where to go on, or None."""
    rows = connection.execute(
        "SELECT attachment_id FROM attachments WHERE user_id = ? AND attachment_id > ?"
        " ORDER BY attachment_id LIMIT ?",
        (user_id, after, limit),
    ).fetchall()
    observer = observer_of(connection)
    for (attachment_id,) in rows:
        holding = [
            row[0]
            for row in connection.execute("SELECT message_id FROM holds WHERE attachment_id = ?", (attachment_id,))
        ]
        if holding and observer is not None and observer.kept(connection, holding):
            connection.execute("UPDATE erasures SET files_kept = files_kept + 1 WHERE user_id = ?", (user_id,))
            continue
        connection.execute("DELETE FROM holds WHERE attachment_id = ?", (attachment_id,))
        connection.execute("DELETE FROM attachments WHERE attachment_id = ?", (attachment_id,))
    return rows[-1][0] if len(rows) == limit else None


def finish(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """Note that an erasure is done."""
    connection.execute("UPDATE erasures SET done_at = ? WHERE user_id = ?", (now, user_id))


_PROGRESS: Final = "SELECT user_id, reached, erased, kept, files_kept, done_at FROM erasures"
