"""What was told to one user, or to everybody: the messages of their own channel and of everybody's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from relay.protocol.kinds import ConversationKind
from relay.storage.history import (
    NO_BOUND,
    RECORD,
    Page,
    Record,
    View,
    fill,
    read_pointer,
    read_views,
)
from relay.storage.summaries import count_unread

_CHANNELS = (ConversationKind.SELF, ConversationKind.BROADCAST)


def channels(connection: sqlite3.Connection, user_id: str) -> list[View]:
    """Return a user's own channel, where there is one, and everybody's."""
    return [seen for seen in read_views(connection, user_id) if seen.kind in _CHANNELS and seen.open]


def page(
    connection: sqlite3.Connection,
    user_id: str,
    limit: int,
    *,
    before: int | None,
    after: int | None,
    max_bytes: int = NO_BOUND,
) -> Page:
    """Return a page by message id, oldest first: the newest, or that before or after a `message_id`."""
    forwards = after is not None
    position = after if after is not None else before if before is not None else 1 << 62
    comparison, direction = (">", "ASC") if forwards else ("<", "DESC")
    found: list[Record] = []
    ends: list[Record] = []
    for seen in channels(connection, user_id):
        rows = connection.execute(
            f"SELECT {RECORD} FROM log WHERE channel_id = ? AND seq >= ? AND message_id {comparison} ?"
            f" ORDER BY seq {direction} LIMIT ?",
            (seen.channel_id, seen.first, position, limit + 1),
        )
        of_this = fill(rows, limit, max_bytes)
        found += of_this.records
        ends += of_this.records[-1:] if of_this.has_more else []
    found.sort(reverse=not forwards)
    if ends:  # beyond where one channel was cut the other's would stand over a hole
        end = min(ends) if forwards else max(ends)
        found = found[: found.index(end) + 1]
    chosen = fill(found, limit, max_bytes)
    return Page(sorted(chosen.records), chosen.has_more or bool(ends))


def unread(connection: sqlite3.Connection, user_id: str, counted: Sequence[str]) -> int:
    """Count what the user has not read of it; always by query, so it cannot stick."""
    total = 0
    for seen in channels(connection, user_id):
        read_seq = max(read_pointer(connection, seen.channel_id, user_id), seen.first - 1)
        total += count_unread(connection, seen.channel_id, user_id, read_seq, counted)
    return total
