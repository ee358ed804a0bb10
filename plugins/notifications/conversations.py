"""Rows of `notifications_conversations`: what each user is to be shown of each conversation.

A row has pointers, and never a copy of a message. `pending` is the range of `seq` that waits for its reader until
`due_at`. `shown` is the range that should be shown as long as it is unread. `newest_id` and `edited_at` name the
message whose text is shown; a target compares them with what it was sent last. The text is read from the log when
it is sent, so it is never older than an edit or a deletion. `look_at` is when the row is to be reviewed.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from relay.plugin import Server

from .content import MOST_MESSAGES
from .preferences import is_quiet, muted, wants_everything
from .rules import SELECT_MESSAGES, Message, Rulebook, read_slice

Item = TypeVar("Item")
AT_ONCE = 100
"""The most rows that are reviewed, or written in one transaction, before others have their turn."""

CHANGES = ("message_edit", "message_delete", "group_event")
"""Message types that may change a conversation's notifications, or end them."""


class Row(NamedTuple):
    """A row of `notifications_conversations`."""

    user_id: str
    channel_id: int
    pending_from: int | None
    pending_to: int | None
    due_at: float | None
    shown_from: int | None
    shown_to: int | None
    newest_id: int | None
    edited_at: float | None
    look_at: float | None


class Reader(NamedTuple):
    """A member who has a target.

    Attributes:
        first: the first seq that they see.
        everything: whether all that is said there notifies them.
    """

    user_id: str
    first: int
    everything: bool


class Found(NamedTuple):
    """The notifications that follow from a part of the log.

    Attributes:
        reached: the position up to which it was read.
        notify: (user, conversation) → the first seq that notifies, and the last one that may.
        review: (user, conversation) of the rows to review.
    """

    reached: int
    notify: dict[tuple[str, int], tuple[int, int]]
    review: set[tuple[str, int]]


def scan(rules: Rulebook, connection: sqlite3.Connection, after: int, until: int, oldest: float) -> Found:
    """Read a slice of the log after a position, and return whom it concerns.

    Args:
        oldest: messages before this time, Unix seconds, notify nobody.
    """
    if connection.execute("SELECT 1 FROM notifications_targets WHERE state = 'active'").fetchone() is None:
        return Found(until, {}, set())  # nobody has a target
    rows, reached = read_slice(connection, after, until)
    found = Found(reached, {}, set())
    waiting: dict[int, list[Reader]] = {}
    last = {row[1]: row[2] for row in rows}
    for row in rows:
        if row[6] < oldest:
            continue
        if row[3] == "message_edit":
            _find_called(rules, connection, found, row, last[row[1]])
        if not rules.concerns(row[3]):
            continue
        channel_id, seq = row[1], row[2]
        if channel_id not in waiting:
            waiting[channel_id] = _readers(connection, channel_id)
        # Who is notified of one message is done with: `unread` finds what follows it, as far as it fits a rule.
        message = rules.message(row) if waiting[channel_id] else None
        among = rules.candidates(message) if message is not None else []
        if message is not None and (among or any(one.everything for one in waiting[channel_id])):
            readers, waiting[channel_id] = waiting[channel_id], []
            for one in readers:
                told = seq >= one.first and rules.pushes(message, one.user_id, among, everything=one.everything)
                if told:
                    found.notify[one.user_id, channel_id] = (seq, last[channel_id])
                else:
                    waiting[channel_id].append(one)
    _find_changed(connection, found, rows, after)
    return found


def _find_called(
    rules: Rulebook, connection: sqlite3.Connection, found: Found, row: tuple[Any, ...], last: int
) -> None:
    """Find whom an edit mentions: the message may not have mentioned them before."""
    message = rules.called_by_edit(connection, row)
    if message is None:
        return
    among = rules.candidates(message)
    for user_id, first, _everything in _readers(connection, message.channel_id):
        place = (user_id, message.channel_id)
        if message.seq >= first and message.calls(user_id) and rules.pushes(message, user_id, among) is not None:
            known = found.notify.get(place)
            found.notify[place] = (min(message.seq, known[0]) if known else message.seq, last)


def _readers(connection: sqlite3.Connection, channel_id: int) -> list[Reader]:
    """Return the members who have a target."""
    rows = connection.execute(
        "SELECT m.user_id, m.visible_from, EXISTS (SELECT 1 FROM notifications_everything e JOIN channels c"
        " ON c.address = e.address WHERE c.channel_id = m.channel_id AND e.user_id = m.user_id)"
        " FROM members m WHERE m.channel_id = ? AND m.visible_until IS NULL"
        " AND EXISTS (SELECT 1 FROM notifications_targets t WHERE t.user_id = m.user_id AND t.state = 'active')",
        (channel_id,),
    )
    return [Reader(user_id, first, bool(everything)) for user_id, first, everything in rows]


def _find_changed(
    connection: sqlite3.Connection, found: Found, rows: Iterable[Sequence[object]], after: int
) -> None:
    """Find the rows of those who read something, by a receipt or by writing, and of conversations that changed."""
    receipts = connection.execute(
        "SELECT sender_id, channel_id FROM latest"
        " WHERE message_id > ? AND message_id <= ? AND type = 'read_receipt'",
        (after, found.reached),
    )
    readers = {(user_id, channel_id) for user_id, channel_id in receipts} | {(row[4], row[1]) for row in rows}
    changed = {row[1] for row in rows if row[3] in CHANGES}
    for place in readers:
        known = connection.execute(
            "SELECT user_id, channel_id FROM notifications_conversations WHERE user_id = ? AND channel_id = ?",
            place,
        )
        found.review.update(known)
    for channel_id in changed:
        known = connection.execute(
            "SELECT user_id, channel_id FROM notifications_conversations WHERE channel_id = ?", (channel_id,)
        )
        found.review.update(known)


def transactions(found: Found, now: float, due_at: float) -> Iterator[Callable[[sqlite3.Connection], None]]:
    """Yield the transactions that write down what was found.

    Each is small, and may be done twice. A notification that waits already is not delayed further.
    """
    for notify in batched(found.notify.items()):
        yield partial(_write_pending, notify, due_at)
    for places in batched(found.review):
        yield partial(_write_review, places, now)


def _write_pending(
    notify: Sequence[tuple[tuple[str, int], tuple[int, int]]], due_at: float, connection: sqlite3.Connection
) -> None:
    connection.executemany(
        "INSERT INTO notifications_conversations (user_id, channel_id, pending_from, pending_to, due_at, look_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO UPDATE SET"
        " pending_from = min(coalesce(pending_from, excluded.pending_from), excluded.pending_from),"
        " pending_to = excluded.pending_to,"
        " due_at = coalesce(due_at, excluded.due_at),"
        " look_at = min(coalesce(look_at, excluded.look_at), excluded.look_at)",
        [(*place, *seqs, due_at) for place, seqs in notify],
    )


def _write_review(places: Sequence[tuple[str, int]], now: float, connection: sqlite3.Connection) -> None:
    connection.executemany(
        "UPDATE notifications_conversations SET look_at = ?1 WHERE user_id = ?2 AND channel_id = ?3"
        " AND (look_at IS NULL OR look_at > ?1)",
        [(now, *place) for place in places],
    )


def batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield items in lists that are small enough for one transaction."""
    rest = iter(items)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


def due(connection: sqlite3.Connection, now: float) -> list[Row]:
    """Return rows that are to be reviewed now; at most 100."""
    rows = connection.execute(
        "SELECT * FROM notifications_conversations WHERE look_at <= ? ORDER BY look_at LIMIT ?", (now, AT_ONCE)
    )
    return [Row(*row) for row in rows]


def next_review(connection: sqlite3.Connection) -> float | None:
    """Return when the next row is to be reviewed, Unix seconds; None for never."""
    found = connection.execute("SELECT min(look_at) FROM notifications_conversations WHERE look_at IS NOT NULL")
    moment: float | None = found.fetchone()[0]
    return moment


def review(
    rules: Rulebook, connection: sqlite3.Connection, row: Row, now: float, active: Collection[str]
) -> Row | None:
    """Return a row as it is from now on; None when nothing is pending or shown any more.

    Args:
        active: users who are at a device: they see there what is due.
    """
    first, last, edited_at = row.shown_from, row.shown_to, None
    if row.due_at is not None and row.due_at <= now:
        if row.user_id not in active and not is_quiet(connection, row.user_id, now):
            # An edit may mention somebody in a message that is older than what is shown.
            starts = [seq for seq in (first, row.pending_from) if seq is not None]
            first, last = min(starts, default=None), row.pending_to
        row = row._replace(pending_from=None, pending_to=None, due_at=None)
    newest_id, look_at = None, row.due_at
    if first is not None and last is not None:
        messages = unread(rules, connection, row.user_id, row.channel_id, first, last, now)
        if messages:
            newest = messages[-1]
            newest_id, edited_at = newest.message_id, newest.edited_at
            first = messages[0].seq
            ends = [one.expires_at for one in messages if one.expires_at is not None]
            look_at = min([*ends, *([look_at] if look_at is not None else [])], default=None)
    if newest_id is None:
        if row.due_at is None:
            return None
        first = last = None
    return row._replace(shown_from=first, shown_to=last, newest_id=newest_id, edited_at=edited_at, look_at=look_at)


def write(connection: sqlite3.Connection, changed: Iterable[tuple[Row, Row | None]]) -> None:
    """Write rows as they are from now on, each given with what it was before."""
    for row, now in changed:
        if now is None:
            place = (row.user_id, row.channel_id)
            connection.execute(
                "DELETE FROM notifications_conversations WHERE user_id = ? AND channel_id = ?", place
            )
        elif now != row:
            marks = ",".join("?" * len(now))
            connection.execute(f"INSERT OR REPLACE INTO notifications_conversations VALUES ({marks})", now)


def unread(
    rules: Rulebook,
    connection: sqlite3.Connection,
    user_id: str,
    channel_id: int,
    first: int,
    last: int,
    now: float,
) -> list[Message]:
    """Return the messages of a range that still notify a user, oldest first; of the newest 200.

    They are unread, not deleted or expired, visible to the user, not muted, and a rule pushes them.
    """
    rows = connection.execute(
        f"{SELECT_MESSAGES} JOIN members m ON m.channel_id = l.channel_id AND m.user_id = ?1"
        " WHERE l.channel_id = ?2 AND l.seq BETWEEN ?3 AND ?4 AND l.deleted_at IS NULL"
        " AND l.seq >= m.visible_from AND m.visible_until IS NULL AND (l.expires_at IS NULL OR l.expires_at > ?5)"
        " AND l.seq > coalesce((SELECT read_seq FROM pointers p WHERE p.channel_id = ?2 AND p.user_id = ?1), 0)"
        " ORDER BY l.seq DESC LIMIT ?6",
        (user_id, channel_id, first, last, now, MOST_MESSAGES),
    ).fetchall()
    if not rows:
        return []
    silent = muted(connection, user_id, rows[0][9], now)
    everything = wants_everything(connection, user_id, rows[0][9])
    found = [message for row in reversed(rows) if (message := rules.message(row)) is not None]
    told = [
        message
        for message in found
        if rules.pushes(message, user_id, everything=everything) is not None
        and (silent is None or (silent.mentions and message.calls(user_id)))
    ]
    return rules.as_shown(connection, user_id, told)


def is_active(server: Server, user_id: str) -> bool:
    """Tell whether a user is at a device: connected, and not in the background."""
    return any(device.active for device in server.devices.of(user_id))
