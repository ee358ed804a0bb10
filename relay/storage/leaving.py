"""The end of an account: erased with everything of the user's, or deleted while what they said stays.

In both cases the id stays taken, and others' messages stay.

One transaction ends the account; many small ones erase the messages and files. Their progress is a row of
`erasures`, so that a crash only delays them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.protocol.errors import not_found
from relay.storage import attachments, audit, reports, tombstones
from relay.storage.conversations import self_address
from relay.storage.folding import sought
from relay.storage.observer import note_erased, observer_of

OF_A_USER: Final = (
    "tokens", "devices", "presence", "pointers", "mentions", "login_places", "thread_members", "barred",
    "restrictions", "blocks", "slow_mode_writes",
    "reporters",
    "imported_files", "imported_users", "invite_uses", "invite_joins", "second_factors", "recovery_codes",
    "mail_addresses", "account_links", "mails",
)  # fmt: skip
"""Tables whose rows with the user's `user_id` are deleted with the account."""

_ACCESS: Final = (
    "tokens", "devices", "presence", "login_places", "blocks", "imported_files", "invite_joins", "second_factors",
    "recovery_codes", "mail_addresses", "account_links", "mails",
)  # fmt: skip
"""Those of them that go with an account that is deleted: what lets somebody in, and what only its user sees."""

STAYING: Final = frozenset({"users", "members", "stays", "attachments", "following", "erasures"})
"""Tables with a `user_id` that are handled separately: by `close`, by `drop_files`, and by leaving the groups."""

FACTS: Final = ("group_event", "message_delete", audit.TYPE)
"""Types of messages that report an act of a user; they hold none of the user's words, and stay."""

_SCANNED: Final = 20_000


class Progress(NamedTuple):
    """The progress of an erasure.

    Attributes:
        reached: the message up to which the log was searched.
        erased: number of messages that became tombstones.
        kept: number of messages that stay, as they are on legal hold.
        files_kept: number of files that stay with them.
    """

    user_id: str
    reached: int
    erased: int
    kept: int
    files_kept: int
    done_at: float | None


def close(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """End an account: delete tokens, devices, profile, statuses, receipts and reactions at once.

    Raises:
        RelayError: `not_found`.
    """
    found = connection.execute(
        "UPDATE users SET display_name = user_id, sought = ?, role = 'member', disabled = 1, password_hash = NULL,"
        " presence_to = 'nobody' WHERE user_id = ? RETURNING 1",
        (sought(user_id, user_id), user_id),
    ).fetchall()
    if not found:
        raise not_found(f"user {user_id!r}")
    if is_erased(connection, user_id):
        return
    connection.execute("INSERT INTO erasures (user_id, asked_at) VALUES (?, ?)", (user_id, now))
    connection.execute(
        "UPDATE invites SET mail = NULL WHERE code_hash IN (SELECT code_hash FROM invite_uses WHERE user_id = ?)",
        (user_id,),
    )
    for table in OF_A_USER:
        connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
    connection.execute(
        "DELETE FROM invite_uses WHERE code_hash IN (SELECT code_hash FROM invites WHERE created_by = ?)",
        (user_id,),
    )
    connection.execute("DELETE FROM invites WHERE created_by = ?", (user_id,))
    connection.execute("DELETE FROM pictures WHERE name = ?", (user_id,))
    connection.execute("DELETE FROM following WHERE ? IN (user_id, followed_id)", (user_id,))
    connection.execute("DELETE FROM blocks WHERE blocked_id = ?", (user_id,))
    connection.execute(
        "DELETE FROM latest WHERE channel_id IN (SELECT channel_id FROM members WHERE user_id = ?1)"
        " AND ?1 IN (sender_id, only_for)",
        (user_id,),
    )
    tombstones.erase_messages(connection, reports.about_author(connection, user_id), now)
    if (observer := observer_of(connection)) is not None:
        observer.left(connection, user_id)
    note_erased(connection)


def close_keeping(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """End an account whose messages, reactions and name stay: delete its tokens, devices, password and addresses.

    Raises:
        RelayError: `not_found`.
    """
    found = connection.execute(
        "UPDATE users SET role = 'member', disabled = disabled | 1, password_hash = NULL, presence_to = 'nobody',"
        " deleted_at = coalesce(deleted_at, ?) WHERE user_id = ? RETURNING 1",
        (now, user_id),
    ).fetchall()
    if not found:
        raise not_found(f"user {user_id!r}")
    for table in _ACCESS:
        connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
    connection.execute("DELETE FROM invites WHERE created_by = ?", (user_id,))
    connection.execute("DELETE FROM following WHERE ? IN (user_id, followed_id)", (user_id,))
    connection.execute("DELETE FROM blocks WHERE blocked_id = ?", (user_id,))
    if (observer := observer_of(connection)) is not None:
        observer.left(connection, user_id)
    note_erased(connection)


def is_over(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether an account was erased or deleted, and nobody can have it again."""
    return is_erased(connection, user_id) or is_deleted(connection, user_id)


def is_deleted(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether an account was deleted, and what its user said stays."""
    row = connection.execute("SELECT 1 FROM users WHERE user_id = ? AND deleted_at IS NOT NULL", (user_id,))
    return row.fetchone() is not None


def deleted_member(connection: sqlite3.Connection) -> str | None:
    """Return a user whose account was deleted and who has not left all of their groups; None if there is none."""
    row = connection.execute(
        "SELECT u.user_id FROM users u JOIN members m USING (user_id) JOIN groups g USING (channel_id)"
        " WHERE u.deleted_at IS NOT NULL AND m.visible_until IS NULL AND g.deleted_at IS NULL LIMIT 1"
    ).fetchone()
    return None if row is None else str(row[0])


def is_erased(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether an account was erased, or is being erased."""
    return connection.execute("SELECT 1 FROM erasures WHERE user_id = ?", (user_id,)).fetchone() is not None


def progress(connection: sqlite3.Connection, user_id: str) -> Progress | None:
    """Return the progress of an account's erasure; None if there is none."""
    row = connection.execute(f"{_PROGRESS} WHERE user_id = ?", (user_id,)).fetchone()
    return Progress(*row) if row else None


def pending(connection: sqlite3.Connection) -> Progress | None:
    """Return the oldest erasure that is not finished."""
    row = connection.execute(f"{_PROGRESS} WHERE done_at IS NULL ORDER BY asked_at LIMIT 1").fetchone()
    return Progress(*row) if row else None


def heir(connection: sqlite3.Connection, user_id: str, group_id: str) -> str | None:
    """Return a group's next owner when its owner leaves: the oldest admin, else the oldest member."""
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
    """Return ids of messages by a user, or to them alone, after a position, and the position reached.

    The position is None at the end of the log.
    """
    (newest,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    until = min(position + _SCANNED, newest)
    rows = connection.execute(
        "SELECT message_id FROM log WHERE message_id > ? AND message_id <= ? AND deleted_at IS NULL"
        " AND type NOT IN (?, ?, ?) AND (sender_id = ? OR channel_id ="
        "  (SELECT channel_id FROM channels WHERE address = ?)) ORDER BY message_id LIMIT ?",
        (position, until, *FACTS, user_id, self_address(user_id), limit),
    ).fetchall()
    found = [row[0] for row in rows]
    if len(found) == limit:
        return found, found[-1]
    return found, until if found or until < newest else None


def erase_some(
    connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int], reached: int, now: float
) -> None:
    """Turn some of a user's messages into tombstones, and store the progress."""
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
    """Remove a page of a user's uploads from all messages that are not on legal hold.

    Returns:
        The id to go on after, or None at the end.
    """
    rows = connection.execute(
        "SELECT attachment_id FROM attachments WHERE user_id = ? AND attachment_id > ?"
        " ORDER BY attachment_id LIMIT ?",
        (user_id, after, limit),
    ).fetchall()
    observer = observer_of(connection)
    for (attachment_id,) in rows:
        connection.execute("DELETE FROM pictures WHERE attachment_id = ?", (attachment_id,))  # a group's
        holding = [
            row[0]
            for row in connection.execute("SELECT message_id FROM holds WHERE attachment_id = ?", (attachment_id,))
        ]
        if holding and observer is not None and observer.kept(connection, holding):
            connection.execute("UPDATE erasures SET files_kept = files_kept + 1 WHERE user_id = ?", (user_id,))
            continue
        attachments.forget_description(connection, attachment_id, holding)
        connection.execute("DELETE FROM holds WHERE attachment_id = ?", (attachment_id,))
        connection.execute("DELETE FROM attachments WHERE attachment_id = ?", (attachment_id,))
    return rows[-1][0] if len(rows) == limit else None


def finish(connection: sqlite3.Connection, user_id: str, now: float) -> None:
    """Mark an erasure as finished."""
    connection.execute("UPDATE erasures SET done_at = ? WHERE user_id = ?", (now, user_id))


_PROGRESS: Final = "SELECT user_id, reached, erased, kept, files_kept, done_at FROM erasures"
