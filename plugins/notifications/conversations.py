"""What each user is to be told of each conversation: a row of pointers, and never a copy of a message.

`pending` is the range of `seq` that waits for its reader, until `due_at`; `shown` is what should be out, as long
as it is unread; `newest_id` and `edited_at` name the message whose words are shown. A target compares those two
with what it was sent last. What the words are is read from the log when they are sent, so that they are never
older than an edit or a deletion.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from relay.plugin import Server

from .notices import MOST
from .quiet import is_quiet, muted
from .rules import COLUMNS, Message, Rulebook
from .schema import remember

Item = TypeVar("Item")
AT_ONCE = 100
"""So many rows are looked at, or written in one transaction, before others have their turn."""

CHANGES = ("message_edit", "message_delete", "group_event")
"""Types after which a conversation's notifications may have to say something else, or nothing."""


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


class News(NamedTuple):
    """What a part of the log says.

    Attributes:
        reached: the position up to which it was read.
        told: (user, conversation) → the first seq that notifies, and the last one that may.
        touched: (user, conversation) of rows to look at again.
    """

    reached: int
    told: dict[tuple[str, int], tuple[int, int]]
    touched: set[tuple[str, int]]


def gather(
    rules: Rulebook, connection: sqlite3.Connection, after: int, until: int, oldest: float, limit: int
) -> News:
    """Read up to `limit` messages after a position, and whom they concern; nobody, where nobody has a target.

    Args:
        oldest: messages before this moment, Unix seconds, notify nobody.
    """
    if connection.execute("SELECT 1 FROM notifications_targets WHERE state = 'active'").fetchone() is None:
        return News(until, {}, set())
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM log l JOIN channels c USING (channel_id)"
        " WHERE l.message_id > ? AND l.message_id <= ? ORDER BY l.message_id LIMIT ?",
        (after, until, limit),
    ).fetchall()
    news = News(rows[-1][0] if len(rows) == limit else until, {}, set())
    waiting: dict[int, list[tuple[str, int]]] = {}
    last = {row[1]: row[2] for row in rows}
    for row in rows:
        if row[6] < oldest:
            continue
        if row[3] == "message_edit":
            _call(rules, connection, news, row, last[row[1]])
        if not rules.concerns(row[3]):
            continue
        channel_id, seq = row[1], row[2]
        if channel_id not in waiting:
            waiting[channel_id] = _readers(connection, channel_id)
        # Whoever is told of one message is told of what follows it as well, so far as it fits; see `unread`.
        message = rules.message(row) if waiting[channel_id] else None
        among = rules.candidates(message) if message is not None else []
        if message is not None and among:
            readers, waiting[channel_id] = waiting[channel_id], []
            for user_id, first in readers:
                if seq >= first and rules.pushes(message, user_id, among) is not None:
                    news.told[user_id, channel_id] = (seq, last[channel_id])
                else:
                    waiting[channel_id].append((user_id, first))
    _touch(connection, news, rows, after)
    return news


def _call(rules: Rulebook, connection: sqlite3.Connection, news: News, row: tuple[Any, ...], last: int) -> None:
    """Have those told of an edited message whom the edit calls by name: they may not have been called before."""
    message = rules.called_by_edit(connection, row)
    if message is None:
        return
    among = rules.candidates(message)
    for user_id, first in _readers(connection, message.channel_id):
        place = (user_id, message.channel_id)
        if message.seq >= first and message.calls(user_id) and rules.pushes(message, user_id, among) is not None:
            known = news.told.get(place)
            news.told[place] = (min(message.seq, known[0]) if known else message.seq, last)


def _readers(connection: sqlite3.Connection, channel_id: int) -> list[tuple[str, int]]:
    """Return the members that have a target, each with the first seq they see."""
    return connection.execute(
        "SELECT m.user_id, m.visible_from FROM members m WHERE m.channel_id = ? AND m.visible_until IS NULL"
        " AND EXISTS (SELECT 1 FROM notifications_targets t WHERE t.user_id = m.user_id AND t.state = 'active')",
        (channel_id,),
    ).fetchall()


def _touch(connection: sqlite3.Connection, news: News, rows: Iterable[Sequence[object]], after: int) -> None:
    """Note who has read something, by a receipt or by writing, and what was changed, where a row is concerned."""
    receipts = connection.execute(
        "SELECT sender_id, channel_id FROM latest"
        " WHERE message_id > ? AND message_id <= ? AND type = 'read_receipt'",
        (after, news.reached),
    )
    readers = {(user_id, channel_id) for user_id, channel_id in receipts} | {(row[4], row[1]) for row in rows}
    changed = {row[1] for row in rows if row[3] in CHANGES}
    for place in readers:
        found = connection.execute(
            "SELECT user_id, channel_id FROM notifications_conversations WHERE user_id = ? AND channel_id = ?",
            place,
        )
        news.touched.update(found)
    for channel_id in changed:
        found = connection.execute(
            "SELECT user_id, channel_id FROM notifications_conversations WHERE channel_id = ?", (channel_id,)
        )
        news.touched.update(found)


def takings(news: News, now: float, due_at: float) -> Iterator[Callable[[sqlite3.Connection], None]]:
    """Yield the transactions that write down what a part of the log says; the last notes that it was read.

    Each is small, and does no harm when it is done twice. What waits already is not put off.
    """
    for told in batched(news.told.items()):
        yield partial(_wait, told, due_at)
    for touched in batched(news.touched):
        yield partial(_touched, touched, now)
    yield lambda connection: remember(connection, "done", news.reached)


def _wait(
    told: Sequence[tuple[tuple[str, int], tuple[int, int]]], due_at: float, connection: sqlite3.Connection
) -> None:
    connection.executemany(
        "INSERT INTO notifications_conversations (user_id, channel_id, pending_from, pending_to, due_at, look_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO UPDATE SET"
        " pending_from = min(coalesce(pending_from, excluded.pending_from), excluded.pending_from),"
        " pending_to = excluded.pending_to,"
        " due_at = coalesce(due_at, excluded.due_at),"
        " look_at = min(coalesce(look_at, excluded.look_at), excluded.look_at)",
        [(*place, *seqs, due_at) for place, seqs in told],
    )


def _touched(touched: Sequence[tuple[str, int]], now: float, connection: sqlite3.Connection) -> None:
    connection.executemany(
        "UPDATE notifications_conversations SET look_at = ?1 WHERE user_id = ?2 AND channel_id = ?3"
        " AND (look_at IS NULL OR look_at > ?1)",
        [(now, *place) for place in touched],
    )


def batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield items, so many at once as one transaction takes."""
    rest = iter(items)
    while batch := list(islice(rest, AT_ONCE)):
        yield batch


def due(connection: sqlite3.Connection, now: float) -> list[Row]:
    """Return rows that are to be looked at."""
    rows = connection.execute(
        "SELECT * FROM notifications_conversations WHERE look_at <= ? ORDER BY look_at LIMIT ?", (now, AT_ONCE)
    )
    return [Row(*row) for row in rows]


def next_look(connection: sqlite3.Connection) -> float | None:
    """Return when the next row is to be looked at."""
    found = connection.execute("SELECT min(look_at) FROM notifications_conversations WHERE look_at IS NOT NULL")
    moment: float | None = found.fetchone()[0]
    return moment


def look(
    rules: Rulebook, connection: sqlite3.Connection, row: Row, now: float, active: Collection[str]
) -> Row | None:
    """Return what a row is from now on; None when there is nothing more to tell.

    Args:
        active: users who are at a device: what is due for them is theirs to see there.
    """
    first, last, edited_at = row.shown_from, row.shown_to, None
    if row.due_at is not None and row.due_at <= now:
        if row.user_id not in active and not is_quiet(connection, row.user_id, now):
            # An edit may call somebody in a message before what is shown already.
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
    """Replace rows by what they are from now on."""
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
    """Return what of a range is still to be told: unread, there, the user's to see, not muted, and by the rules.

    Oldest first; of the newest 200 messages of the range.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM log l JOIN channels c USING (channel_id)"
        " JOIN members m ON m.channel_id = l.channel_id AND m.user_id = ?1"
        " WHERE l.channel_id = ?2 AND l.seq BETWEEN ?3 AND ?4 AND l.deleted_at IS NULL"
        " AND l.seq >= m.visible_from AND m.visible_until IS NULL AND (l.expires_at IS NULL OR l.expires_at > ?5)"
        " AND l.seq > coalesce((SELECT read_seq FROM pointers p WHERE p.channel_id = ?2 AND p.user_id = ?1), 0)"
        " ORDER BY l.seq DESC LIMIT ?6",
        (user_id, channel_id, first, last, now, MOST),
    ).fetchall()
    if not rows:
        return []
    silent = muted(connection, user_id, rows[0][9], now)
    found = [message for row in reversed(rows) if (message := rules.message(row)) is not None]
    return [
        message
        for message in found
        if rules.pushes(message, user_id) is not None
        and (silent is None or (silent.mentions and message.calls(user_id)))
    ]


def is_active(server: Server, user_id: str) -> bool:
    """Tell whether a user is at a device: connected, and not in the background."""
    return any(connection.active for connection in server.services.connections.of(user_id).values())
