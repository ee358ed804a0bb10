"""Reading the log: pages of a conversation, and what a list of conversations shows.

Everything here runs on a reader. What a user may see of a conversation is a `View`, a range of `seq`;
every query takes one, so that no query can forget it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from relay.storage import mentions
from relay.storage.saying import CONTENT, Saying

RECORD: Final = (
    "message_id, seq, type, sender_id, target_id, client_id, own_id, payload, timestamp, sent_at, edited_at,"
    " deleted_at, expires_at, replaces"
)
LATEST_RECORD: Final = (
    "message_id, NULL, type, sender_id, target_id, client_id, own_id, payload, timestamp, sent_at, NULL, NULL,"
    " NULL, NULL"
)


class Record(NamedTuple):
    """A stored message; `seq` is None for the value of a latest type."""

    message_id: int
    seq: int | None
    type: str
    sender_id: str
    target_id: str
    client_id: str | None
    own_id: str | None
    payload: str | None
    timestamp: float
    sent_at: float | None
    edited_at: float | None
    deleted_at: float | None
    expires_at: float | None
    replaces: int | None


class View(NamedTuple):
    """What one user may see of one conversation: `first` to `last` (seq, both included)."""

    channel_id: int
    address: str
    kind: str
    first: int
    last: int | None

    @property
    def open(self) -> bool:
        """Whether the user is a member now."""
        return self.last is None


class Filters(NamedTuple):
    """What a page of history is narrowed to; times are Unix seconds."""

    since: float | None = None
    until: float | None = None
    text: str | None = None
    type: str | None = None
    sender: str | None = None


class Page(NamedTuple):
    """A page, oldest first, and whether there is more in the direction it was read in.

    Attributes:
        oldest, newest: the seqs between which everything was looked at, where that is more than the records say: a
            page that looks for a text ends after so much, with few records or none.
    """

    records: list[Record]
    has_more: bool
    oldest: int | None = None
    newest: int | None = None

    @property
    def before(self) -> int | None:
        """The seq that the page before this one ends before."""
        return self.oldest or (self.records[0].seq if self.records else None)

    @property
    def after(self) -> int | None:
        """The seq that the page after this one begins after."""
        return self.newest or (self.records[-1].seq if self.records else None)


def views(connection: sqlite3.Connection, user_id: str) -> list[View]:
    """Return every conversation that the user is in or was in, broadcast included."""
    rows = connection.execute(
        "SELECT c.channel_id, c.address, c.kind, m.visible_from, m.visible_until FROM members m"
        " JOIN channels c USING (channel_id) WHERE m.user_id = ?",
        (user_id,),
    )
    return [View(*row) for row in rows]


def views_with_news(connection: sqlite3.Connection, user_id: str, after: int) -> list[View]:
    """Return those conversations in which there is a message over the position `after`; one query for all."""
    rows = connection.execute(
        "SELECT c.channel_id, c.address, c.kind, m.visible_from, m.visible_until FROM members m"
        " JOIN channels c USING (channel_id) WHERE m.user_id = ? AND"
        " (SELECT message_id FROM log WHERE channel_id = c.channel_id ORDER BY seq DESC LIMIT 1) > ?",
        (user_id, after),
    )
    return [View(*row) for row in rows]


def few_conversations(connection: sqlite3.Connection, user_id: str, few: int = 64) -> bool:
    """Tell whether a user is in so few conversations that looking at each takes no time worth a thread."""
    rows = connection.execute("SELECT 1 FROM members WHERE user_id = ? LIMIT ?", (user_id, few + 1)).fetchall()
    return len(rows) <= few


def view(connection: sqlite3.Connection, user_id: str, address: str) -> View | None:
    """Return what a present member may see of a conversation; None for anybody else."""
    row = connection.execute(
        "SELECT c.channel_id, c.address, c.kind, m.visible_from, m.visible_until FROM members m"
        " JOIN channels c USING (channel_id) LEFT JOIN groups g USING (channel_id)"
        " WHERE c.address = ? AND m.user_id = ? AND m.visible_until IS NULL AND g.deleted_at IS NULL",
        (address, user_id),
    ).fetchone()
    return View(*row) if row else None


def page(
    connection: sqlite3.Connection,
    seen: View,
    limit: int,
    *,
    before: int | None = None,
    after: int | None = None,
    around: int | None = None,
    filters: Filters = Filters(),  # noqa: B008 - an immutable value
) -> Page:
    """Return a page of a conversation: the newest, or that before, after or around a `seq`."""
    if around is not None:
        older = _scan(connection, seen, (limit + 1) // 2, "<=", around, filters)
        newer = _scan(connection, seen, limit - len(older.records), ">", around, filters)
        return Page(older.records + newer.records, older.has_more, older.oldest, newer.newest)
    if after is not None:
        return _scan(connection, seen, limit, ">", after, filters)
    return _scan(connection, seen, limit, "<", before if before is not None else 1 << 62, filters)


def _scan(
    connection: sqlite3.Connection, seen: View, limit: int, comparison: str, seq: int, filters: Filters
) -> Page:
    if limit <= 0:
        return Page([], False)
    clauses, values = _conditions(filters)
    direction = "ASC" if comparison == ">" else "DESC"
    last = 1 << 62 if seen.last is None else seen.last
    columns = f"{RECORD}, {CONTENT}" if filters.text else RECORD
    rows = connection.execute(
        f"SELECT {columns} FROM log WHERE channel_id = ? AND seq {comparison} ? AND seq BETWEEN ? AND ?"
        f"{clauses} ORDER BY seq {direction}",
        (seen.channel_id, seq, seen.first, last, *values),
    )
    saying = Saying(rows, filters.text) if filters.text else None
    records = [Record(*row) for row in islice(saying or rows, limit + 1)]
    has_more = len(records) > limit
    del records[limit:]
    if direction == "DESC":
        records.reverse()
    if has_more or saying is None or saying.ended is None:
        return Page(records, has_more)
    if direction == "DESC":
        return Page(records, True, oldest=saying.ended)
    return Page(records, True, newest=saying.ended)


def _conditions(filters: Filters) -> tuple[str, list[Any]]:
    clauses, values = "", []
    for clause, value in (
        (" AND timestamp >= ?", filters.since),
        (" AND timestamp <= ?", filters.until),
        (" AND type = ?", filters.type),
        (" AND sender_id = ?", filters.sender),
    ):
        if value is not None:
            clauses += clause
            values.append(value)
    if filters.text:
        clauses += " AND deleted_at IS NULL"
    return clauses, values


class Summary(NamedTuple):
    """One line of a client's first screen."""

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


def summaries(
    connection: sqlite3.Connection, user_id: str, counted: Sequence[str], *, after: int, limit: int
) -> tuple[list[Summary], int | None]:
    """Return a page of a user's conversations in the order of their making, and where to go on.

    One of two users in which nothing was said yet is left out: it was made for a message that was refused.

    Args:
        counted: the message types that make a conversation unread.
        after: the channel id that the page before ended with; 0 to begin.
    """
    rows = connection.execute(
        "SELECT c.channel_id, c.kind, c.address, m.visible_from, m.role, m.joined_at,"
        " coalesce(g.name, u.display_name, ''),"
        " coalesce((SELECT max(seq) FROM log WHERE channel_id = c.channel_id), c.floor_seq),"
        " coalesce((SELECT read_seq FROM pointers p WHERE p.channel_id = c.channel_id AND p.user_id = ?1), 0)"
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
    result = []
    for channel_id, kind, address, first, role, joined_at, name, last_seq, read_seq in rows[:limit]:
        target_id = other_party(address, user_id)
        newest = page(connection, View(channel_id, address, kind, first, None), 1).records
        counted_from = max(read_seq, first - 1)
        result.append(
            Summary(
                kind,
                target_id,
                name,
                newest[0] if newest else None,
                last_seq,
                read_seq,
                count_unread(connection, channel_id, user_id, counted_from, counted),
                mentions.count_unread(connection, channel_id, user_id, counted_from),
                role,
                joined_at,
            )
        )
    return result, rows[limit - 1][0] if len(rows) > limit else None


def count_unread(
    connection: sqlite3.Connection, channel_id: int, user_id: str, read_seq: int, counted: Sequence[str]
) -> int:
    """Count others' messages after `read_seq` that are not deleted; always by query, so it cannot stick."""
    marks = ",".join("?" * len(counted))
    row = connection.execute(
        "SELECT count(*) FROM log WHERE channel_id = ? AND seq > ? AND sender_id <> ? AND deleted_at IS NULL"
        f" AND type IN ({marks})",
        (channel_id, read_seq, user_id, *counted),
    ).fetchone()
    return int(row[0])


def read_pointer(connection: sqlite3.Connection, channel_id: int, user_id: str) -> int:
    """Return how far a user has read a conversation."""
    row = connection.execute(
        "SELECT read_seq FROM pointers WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
    ).fetchone()
    return int(row[0]) if row else 0


def first_seen(connection: sqlite3.Connection, channel_id: int, user_id: str) -> int:
    """Return the first seq of a conversation that a member may see."""
    row = connection.execute(
        "SELECT visible_from FROM members WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
    ).fetchone()
    return int(row[0]) if row else 1


def other_party(address: str, user_id: str) -> str:
    """Return what a user calls a conversation: the other's id, the group's id, or `*`."""
    kind, _, rest = address.partition(":")
    if kind != "user":
        return rest or address
    one, _, other = rest.partition(":")
    return other if other and one == user_id else one


def newest_seq(connection: sqlite3.Connection, channel_id: int) -> int:
    """Return a conversation's newest seq, 0 where nothing was said."""
    row = connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM log WHERE channel_id = ?1),"
        " (SELECT floor_seq FROM channels WHERE channel_id = ?1), 0)",
        (channel_id,),
    ).fetchone()
    return int(row[0])
