"""History: pages of a conversation's log.

Everything here runs on a reader. The part of a conversation that a user may see is a `View`, ranges of `seq`;
every query takes one, so that no query can forget it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from relay.storage.text_scan import CONTENT, TextScan

RECORD: Final = (
    "message_id, seq, type, sender_id, target_id, client_id, own_id, payload, timestamp, sent_at, edited_at,"
    " deleted_at, expires_at, replaces, edit_id, depth, removed_by"
)
LATEST_RECORD: Final = (
    "message_id, NULL, type, sender_id, target_id, client_id, own_id, payload, timestamp, sent_at, NULL, NULL,"
    " NULL, NULL, NULL, NULL, NULL, about, key, only_for"
)


NO_BOUND: Final = 1 << 62
AROUND: Final = 300
"""Approximate size in bytes of an envelope without its payload."""


class Record(NamedTuple):
    """A stored message; `seq` is None for the value of a latest type, and only that has `about` and `key`."""

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
    edit_id: int | None = None
    depth: int | None = None
    removed_by: str | None = None
    about: int | None = None
    key: str = ""
    only_for: str | None = None

    @property
    def size(self) -> int:
        """The approximate size in bytes of the message as an envelope."""
        payload = self.payload or ""
        return AROUND + (len(payload) if payload.isascii() else len(payload.encode()))


class View(NamedTuple):
    """The part of a conversation that a user may see: `first` to `last` (seq, both included), and earlier stays.

    Attributes:
        seen_before: the first seq of the user's first stay, if they left and came back; None for nearly everybody.
            Messages from between two stays are hidden.
    """

    channel_id: int
    address: str
    kind: str
    first: int
    last: int | None
    user_id: str = ""
    seen_before: int | None = None

    @property
    def start(self) -> int:
        """The first seq that the user may see."""
        return self.first if self.seen_before is None else self.seen_before

    @property
    def over(self) -> bool:
        """Whether only the event that deleted the group is visible."""
        return self.first == self.last

    def condition(self) -> tuple[str, list[Any]]:
        """Return the SQL condition on `log.seq`, which follows one on the channel, and its values."""
        last = 1 << 62 if self.last is None else self.last
        if self.seen_before is None:
            return " AND seq BETWEEN ? AND ?", [self.first, last]
        return (
            " AND seq BETWEEN ? AND ? AND (seq >= ? OR EXISTS (SELECT 1 FROM stays s WHERE s.channel_id = ?"
            " AND s.user_id = ? AND seq BETWEEN s.visible_from AND s.visible_until))",
            [self.seen_before, last, self.first, self.channel_id, self.user_id],
        )

    def sees(self, connection: sqlite3.Connection, seq: int) -> bool:
        """Return whether the user may see a message."""
        if self.last is not None and seq > self.last:
            return False
        if seq >= self.first or self.seen_before is None:
            return seq >= self.first
        return any(first <= seq <= last for first, last in self.spans(connection))

    def spans(self, connection: sqlite3.Connection) -> list[tuple[int, int]]:
        """Return the ranges of seq that the user may see, oldest first."""
        earlier: list[tuple[int, int]] = []
        if self.seen_before is not None:
            earlier = connection.execute(
                "SELECT visible_from, visible_until FROM stays WHERE channel_id = ? AND user_id = ?"
                " ORDER BY visible_from",
                (self.channel_id, self.user_id),
            ).fetchall()
        return [*earlier, (self.first, 1 << 62 if self.last is None else self.last)]

    @property
    def open(self) -> bool:
        """Whether the user is a member now."""
        return self.last is None


class Filters(NamedTuple):
    """The filters of a page of history; times are Unix seconds."""

    since: float | None = None
    until: float | None = None
    text: str | None = None
    type: str | None = None
    sender: str | None = None


class Page(NamedTuple):
    """A page, oldest first, and whether there is more in the direction it was read in.

    Attributes:
        oldest, newest: the seqs at which a search for a text stopped, having read its share of the log; the next
            page goes on from there, also when this one has few records or none.
    """

    records: list[Record]
    has_more: bool
    oldest: int | None = None
    newest: int | None = None

    @property
    def before(self) -> int | None:
        """The seq to ask for the page before this one with."""
        return self.oldest or (self.records[0].seq if self.records else None)

    @property
    def after(self) -> int | None:
        """The seq to ask for the page after this one with."""
        return self.newest or (self.records[-1].seq if self.records else None)


def fill(rows: Iterable[tuple[Any, ...]], limit: int, max_bytes: int) -> Page:
    """Return the first rows as records, and whether there are more; at most one row more than that is read.

    Args:
        limit: the largest number of records.
        max_bytes: bound on their size together; the first is returned in any case.
    """
    taken: list[Record] = []
    size = 0
    for row in rows:
        record = Record(*row)
        size += record.size
        if len(taken) >= limit or (taken and size > max_bytes):
            return Page(taken, True)
        taken.append(record)
    return Page(taken, False)


_VIEW: Final = "c.channel_id, c.address, c.kind, m.visible_from, m.visible_until, m.user_id, m.seen_before"


def read_views(connection: sqlite3.Connection, user_id: str) -> list[View]:
    """Return the user's view of every conversation they are or were in, broadcast included."""
    rows = connection.execute(
        f"SELECT {_VIEW} FROM members m JOIN channels c USING (channel_id) WHERE m.user_id = ?",
        (user_id,),
    )
    return [View(*row) for row in rows]


def views_with_news(connection: sqlite3.Connection, user_id: str, after: int) -> list[View]:
    """Return the user's views of the conversations with a message after the position `after`, by one query."""
    rows = connection.execute(
        f"SELECT {_VIEW} FROM members m"
        " JOIN channels c USING (channel_id) WHERE m.user_id = ? AND"
        " (SELECT message_id FROM log WHERE channel_id = c.channel_id ORDER BY seq DESC LIMIT 1) > ?",
        (user_id, after),
    )
    return [View(*row) for row in rows]


def few_conversations(connection: sqlite3.Connection, user_id: str, few: int = 64) -> bool:
    """Return whether a user is in so few conversations that a look at each is too quick to need a thread."""
    rows = connection.execute("SELECT 1 FROM members WHERE user_id = ? LIMIT ?", (user_id, few + 1)).fetchall()
    return len(rows) <= few


def view(connection: sqlite3.Connection, user_id: str, address: str) -> View | None:
    """Return a present member's view of the conversation at an address; None for anybody else."""
    row = connection.execute(
        f"SELECT {_VIEW} FROM members m"
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
    max_bytes: int = NO_BOUND,
) -> Page:
    """Return a page of a conversation: the newest, or the one before, after or around a `seq`; see `fill`."""
    if around is not None:
        older = _scan(connection, seen, (limit + 1) // 2, "<=", around, filters, max_bytes // 2)
        newer = _scan(connection, seen, limit - len(older.records), ">", around, filters, max_bytes // 2)
        return Page(older.records + newer.records, older.has_more, older.oldest, newer.newest)
    if after is not None:
        return _scan(connection, seen, limit, ">", after, filters, max_bytes)
    return _scan(connection, seen, limit, "<", before if before is not None else 1 << 62, filters, max_bytes)


def _scan(
    connection: sqlite3.Connection,
    seen: View,
    limit: int,
    comparison: str,
    seq: int,
    filters: Filters,
    max_bytes: int,
) -> Page:
    if limit <= 0:
        return Page([], False)
    clauses, values = _conditions(filters)
    direction = "ASC" if comparison == ">" else "DESC"
    visible, bounds = seen.condition()
    columns = f"{RECORD}, {CONTENT}" if filters.text else RECORD
    rows = connection.execute(
        f"SELECT {columns} FROM log WHERE channel_id = ? AND seq {comparison} ?{visible}"
        f"{clauses} ORDER BY seq {direction}",
        (seen.channel_id, seq, *bounds, *values),
    )
    scan = TextScan(rows, filters.text) if filters.text else None
    found = fill(scan or rows, limit, max_bytes)
    if direction == "DESC":
        found.records.reverse()
    if found.has_more or scan is None or scan.ended is None:
        return found
    if direction == "DESC":
        return Page(found.records, True, oldest=scan.ended)
    return Page(found.records, True, newest=scan.ended)


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


def read_pointer(connection: sqlite3.Connection, channel_id: int, user_id: str) -> int:
    """Return the seq up to which a user has read a conversation."""
    row = connection.execute(
        "SELECT read_seq FROM pointers WHERE channel_id = ? AND user_id = ?", (channel_id, user_id)
    ).fetchone()
    return int(row[0]) if row else 0


def present(connection: sqlite3.Connection, channel_id: int, user_id: str) -> View | None:
    """Return a present member's view of the conversation with an id; None for anybody else."""
    row = connection.execute(
        f"SELECT {_VIEW} FROM members m JOIN channels c USING (channel_id)"
        " WHERE m.channel_id = ? AND m.user_id = ? AND m.visible_until IS NULL",
        (channel_id, user_id),
    ).fetchone()
    return View(*row) if row else None


def other_party(address: str, user_id: str) -> str:
    """Return a conversation's id for a user: the other's id, the group's id, or `*`."""
    kind, _, rest = address.partition(":")
    if kind != "user":
        return rest or address
    one, _, other = rest.partition(":")
    return other if other and one == user_id else one


def newest_seq(connection: sqlite3.Connection, channel_id: int) -> int:
    """Return a conversation's newest seq, or 0."""
    row = connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM log WHERE channel_id = ?1),"
        " (SELECT floor_seq FROM channels WHERE channel_id = ?1), 0)",
        (channel_id,),
    ).fetchone()
    return int(row[0])
