"""Summaries of a user's conversations for a client's first screen: the last message, unread counts, the role."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from relay.storage import mentions, threads
from relay.storage.history import NO_BOUND, Record, View, other_party, page


class Summary(NamedTuple):
    """One conversation on a client's first screen; `rights` is the JSON of a group's chosen ones."""

    kind: str
    target_id: str
    name: str
    last: Record | None
    last_seq: int
    read_seq: int
    unread: int
    unread_mentions: int
    role: str
    joined_at: float
    in_threads: threads.Unread
    picture: str | None = None
    rights: str = "{}"
    closed: bool = False
    slow_mode_seconds: int = 0


def summaries(
    connection: sqlite3.Connection,
    user_id: str,
    counted: Sequence[str],
    *,
    after: int,
    limit: int,
    max_bytes: int = NO_BOUND,
) -> tuple[list[Summary], int | None]:
    """Return a page of a user's conversations, oldest first, and the channel id to go on after.

    An empty conversation of two users is left out: it was made for a message that was refused.

    Args:
        counted: the message types that make a conversation unread.
        after: the channel id that the page before ended with; 0 for the first page.
        max_bytes: bound on the size of the last messages together; the first is returned in any case.
    """
    rows = connection.execute(
        "SELECT c.channel_id, c.kind, c.address, m.visible_from, m.seen_before, m.role, m.joined_at,"
        " coalesce(g.name, u.display_name, ''),"
        " coalesce((SELECT max(seq) FROM log WHERE channel_id = c.channel_id), c.floor_seq),"
        " coalesce((SELECT read_seq FROM pointers p WHERE p.channel_id = c.channel_id AND p.user_id = ?1), 0),"
        " (SELECT attachment_id FROM pictures WHERE name = coalesce(g.group_id, u.user_id)),"
        " coalesce(g.rights, '{}'), g.closed_at IS NOT NULL, coalesce(g.slow_mode_seconds, 0)"
        " FROM members m JOIN channels c USING (channel_id) LEFT JOIN groups g USING (channel_id)"
        " LEFT JOIN users u ON c.kind = 'user' AND u.user_id = coalesce((SELECT o.user_id FROM members o"
        "  WHERE o.channel_id = c.channel_id AND o.user_id <> ?1), ?1)"
        " WHERE m.user_id = ?1 AND m.visible_until IS NULL AND g.deleted_at IS NULL AND c.channel_id > ?2"
        " AND c.kind IN ('user', 'group')"
        " AND (c.kind <> 'user' OR c.floor_seq > 0"
        "  OR EXISTS (SELECT 1 FROM log WHERE channel_id = c.channel_id))"
        " ORDER BY c.channel_id LIMIT ?3",
        (user_id, after, limit + 1),
    ).fetchall()
    result: list[Summary] = []
    size, reached = 0, after
    for row in rows[:limit]:
        summary = _summary(connection, user_id, counted, row)
        size += summary.last.size if summary.last else 0
        if result and size > max_bytes:
            return result, reached
        reached = row[0]
        result.append(summary)
    return result, rows[limit - 1][0] if len(rows) > limit else None


def _summary(
    connection: sqlite3.Connection, user_id: str, counted: Sequence[str], row: tuple[Any, ...]
) -> Summary:
    (
        channel_id,
        kind,
        address,
        first,
        before,
        role,
        joined_at,
        name,
        last_seq,
        read_seq,
        picture,
        rights,
        closed,
        slow_mode_seconds,
    ) = row
    seen = View(channel_id, address, kind, first, None, user_id, before)
    newest = page(connection, seen, 1).records
    counted_from = max(read_seq, seen.start - 1)
    return Summary(
        kind,
        other_party(address, user_id),
        name,
        newest[0] if newest else None,
        last_seq,
        read_seq,
        count_unread(connection, channel_id, user_id, counted_from, counted, seen),
        mentions.count_unread(connection, channel_id, user_id, counted_from, *_between(seen)),
        role,
        joined_at,
        threads.unread_apart(connection, seen, user_id, counted_from),
        picture,
        rights,
        bool(closed),
        slow_mode_seconds,
    )


def count_unread(
    connection: sqlite3.Connection,
    channel_id: int,
    user_id: str,
    read_seq: int,
    counted: Sequence[str],
    seen: View | None = None,
) -> int:
    """Count others' messages after `read_seq` that are not deleted; always by query, so the count cannot drift.

    Args:
        seen: the view of a user who may have left and come back: messages from in between do not count.
    """
    marks = ",".join("?" * len(counted))
    visible, bounds = _between(seen)
    row = connection.execute(
        "SELECT count(*) FROM log WHERE channel_id = ? AND seq > ? AND sender_id <> ? AND deleted_at IS NULL"
        f" AND type IN ({marks}){visible}",
        (channel_id, read_seq, user_id, *counted, *bounds),
    ).fetchone()
    return int(row[0])


def _between(seen: View | None) -> tuple[str, list[Any]]:
    """Return the condition for a view of several stays; a single stay needs none, as counting starts inside it."""
    return ("", []) if seen is None or seen.seen_before is None else seen.condition()
