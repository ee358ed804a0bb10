"""What edited messages said before, for those who left a group before the edit: they see what they could see then.

An edit's old text goes at once, unless somebody who left may still see the message. Then it is kept, for them
alone, until the message is erased, the group is deleted, or they come back. It is in the way of no erasure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from relay.storage.history import Record
from relay.storage.observer import note_erased


def keep(connection: sqlite3.Connection, message_id: int) -> None:
    """Keep what a message says, before it is edited, where somebody left since it said that."""
    connection.execute(
        "INSERT INTO versions (message_id, until_seq, channel_id, payload, edited_at, edit_id)"
        " SELECT l.message_id, (SELECT max(seq) FROM log WHERE channel_id = l.channel_id) + 1, l.channel_id,"
        " l.payload, l.edited_at, l.edit_id FROM log l WHERE l.message_id = ? AND l.payload IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM members m WHERE m.channel_id = l.channel_id AND m.visible_until >= max(l.seq,"
        "  coalesce((SELECT max(until_seq) FROM versions v WHERE v.message_id = l.message_id), 0))"
        "  AND coalesce(m.seen_before, m.visible_from) <= l.seq"
        "  AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = m.user_id))",
        (message_id,),
    )


def as_seen(connection: sqlite3.Connection, user_id: str, found: dict[int, Record]) -> dict[int, Record]:
    """Return messages as a user may see them: of a group that they left, as they were then."""
    edited = [message_id for message_id, record in found.items() if record.edited_at is not None]
    if not edited:
        return found
    marks = ",".join("?" * len(edited))
    rows = connection.execute(
        "SELECT v.message_id, v.payload, v.edited_at, v.edit_id FROM versions v"
        " JOIN members m ON m.channel_id = v.channel_id AND m.user_id = ?"
        f" WHERE v.message_id IN ({marks}) AND m.visible_until < v.until_seq ORDER BY v.until_seq DESC",
        (user_id, *edited),
    ).fetchall()
    for message_id, payload, edited_at, edit_id in rows:  # the oldest that they have not seen changed comes last
        found[message_id] = found[message_id]._replace(payload=payload, edited_at=edited_at, edit_id=edit_id)
    return found


def changed_since(connection: sqlite3.Connection, message_id: int, seq: int) -> bool:
    """Tell whether a message was edited after a `seq` of its conversation, with which somebody left."""
    row = connection.execute(
        "SELECT 1 FROM versions WHERE message_id = ? AND until_seq > ? LIMIT 1", (message_id, seq)
    ).fetchone()
    return row is not None


def forget(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Forget what messages said before that are erased."""
    marks = ",".join("?" * len(message_ids))
    connection.execute(f"DELETE FROM versions WHERE message_id IN ({marks})", tuple(message_ids))


def forget_unneeded(connection: sqlite3.Connection, channel_id: int) -> None:
    """Forget what nobody may see any more, as who had left came back, was erased, or the group is deleted."""
    gone = connection.execute(
        "DELETE FROM versions WHERE channel_id = ? AND NOT EXISTS (SELECT 1 FROM members m JOIN log l"
        " ON l.message_id = versions.message_id WHERE m.channel_id = versions.channel_id"
        " AND m.visible_until >= l.seq AND m.visible_until < versions.until_seq"
        " AND coalesce(m.seen_before, m.visible_from) <= l.seq"
        " AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = m.user_id))",
        (channel_id,),
    ).rowcount
    if gone:
        note_erased(connection)
