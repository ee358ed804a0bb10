"""Threads: the replies to a message, apart from their conversation, and who takes part in which.

A reply is an ordinary message of its conversation, with a `seq` there. `thread_replies` finds those of a thread;
one that becomes a tombstone leaves it. `thread_members` says who follows a thread, and how far they have read it.
Everything is counted by query, within what a user may see of the conversation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from relay.storage import messages
from relay.storage.entry import Entry
from relay.storage.history import NO_BOUND, RECORD, Page, Record, View, fill

_FACES: Final = 3
"""The most users whom the summary of a thread names."""

_LOOKED_AT: Final = 50
"""The newest replies among which they are looked for."""


class Thread(NamedTuple):
    """A thread as one user sees it; `replies`, `last_seq`, `last_id` and `last_at` are 0 where no reply is left.

    Attributes:
        root_id: the message that its replies answer.
        last_id: the newest reply.
        last_at: when that was stored, Unix seconds.
        repliers: who replied last, the newest first.
        follows: whether the user takes part in it.
        read_seq: the seq up to which the user has read it.
        unread: others' replies after that.
        mentions: those among them that mention the user.
    """

    root_id: int
    replies: int
    last_seq: int
    last_id: int
    last_at: float
    repliers: list[str]
    follows: bool
    read_seq: int
    unread: int
    mentions: int


class Unread(NamedTuple):
    """Unread replies that only their threads show, and those among them that mention the user."""

    unread: int
    mentions: int


def add_reply(
    connection: sqlite3.Connection, root_id: int, reply: Entry, mentioned: Iterable[str], *, shown: bool
) -> None:
    """Store that a message is a reply in a thread; its sender, the root's and whom it mentions follow it then.

    Args:
        shown: whether the conversation shows it as well.
    """
    channel_id = reply.channel_id
    place_reply(connection, root_id, reply, shown=shown)
    connection.execute(
        "INSERT INTO thread_members (user_id, root_id, channel_id, follows, read_seq) VALUES (?, ?, ?, 1, ?)"
        " ON CONFLICT DO UPDATE SET follows = 1, read_seq = excluded.read_seq",
        (reply.sender_id, root_id, channel_id, reply.seq),
    )
    # Who stopped following stays away, unless they reply.
    connection.executemany(
        "INSERT OR IGNORE INTO thread_members (user_id, root_id, channel_id, follows)"
        " SELECT user_id, ?, channel_id, 1 FROM members"
        " WHERE user_id = ? AND channel_id = ? AND visible_until IS NULL",
        [(root_id, user_id, channel_id) for user_id in mentioned],
    )
    connection.execute(
        "INSERT OR IGNORE INTO thread_members (user_id, root_id, channel_id, follows)"
        " SELECT m.user_id, log.message_id, m.channel_id, 1 FROM log JOIN members m"
        " ON m.channel_id = log.channel_id AND m.user_id = log.sender_id"
        " WHERE log.message_id = ? AND m.visible_until IS NULL",
        (root_id,),
    )


def place_reply(connection: sqlite3.Connection, root_id: int, reply: Entry, *, shown: bool) -> None:
    """Store that a message is a reply in a thread, and nothing of who follows it."""
    connection.execute(
        "INSERT INTO thread_replies (root_id, seq, message_id, channel_id, sender_id, shown)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (root_id, reply.seq, reply.message_id, reply.channel_id, reply.sender_id, shown),
    )


def newest_reply(connection: sqlite3.Connection, root_id: int) -> int:
    """Return the seq of the newest reply of a thread that is not deleted; 0 if it has none."""
    row = connection.execute("SELECT max(seq) FROM thread_replies WHERE root_id = ?", (root_id,)).fetchone()
    return int(row[0] or 0)


def move_read(connection: sqlite3.Connection, user_id: str, root_id: int, channel_id: int, up_to_seq: int) -> bool:
    """Move a user's read pointer in a thread forward; return whether it moved. It does not make them follow it."""
    return bool(
        connection.execute(
            "INSERT INTO thread_members (user_id, root_id, channel_id, follows, read_seq) VALUES (?, ?, ?, 0, ?)"
            " ON CONFLICT DO UPDATE SET read_seq = excluded.read_seq WHERE read_seq < excluded.read_seq"
            " RETURNING 1",
            (user_id, root_id, channel_id, up_to_seq),
        ).fetchall()
    )


def set_follows(connection: sqlite3.Connection, user_id: str, root_id: int, channel_id: int, *, on: bool) -> None:
    """Store whether a user follows a thread. Who begins to has read what is there."""
    connection.execute(
        "INSERT INTO thread_members (user_id, root_id, channel_id, follows, read_seq) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET follows = excluded.follows,"
        " read_seq = CASE WHEN follows THEN read_seq ELSE max(read_seq, excluded.read_seq) END",
        (user_id, root_id, channel_id, on, newest_reply(connection, root_id)),
    )


def root_of(connection: sqlite3.Connection, message_id: int) -> int | None:
    """Return the root of the thread that a message is a reply in; None for all other messages."""
    row = connection.execute("SELECT root_id FROM thread_replies WHERE message_id = ?", (message_id,)).fetchone()
    return int(row[0]) if row else None


def page(
    connection: sqlite3.Connection,
    seen: View,
    root_id: int,
    limit: int,
    *,
    before: int | None = None,
    after: int | None = None,
    max_bytes: int = NO_BOUND,
) -> Page:
    """Return a page of a thread's replies without tombstones: the newest, or those before or after a `seq`."""
    visible, bounds = seen.condition()
    comparison, seq, direction = ("<", before or NO_BOUND, "DESC") if after is None else (">", after, "ASC")
    columns = ", ".join(f"log.{column.strip()}" for column in RECORD.split(","))
    found = fill(
        connection.execute(
            f"SELECT {columns} FROM (SELECT message_id, seq FROM thread_replies WHERE root_id = ?"
            f" AND seq {comparison} ?{visible}) t JOIN log USING (message_id) ORDER BY t.seq {direction}",
            (root_id, seq, *bounds),
        ),
        limit,
        max_bytes,
    )
    if direction == "DESC":
        found.records.reverse()
    return found


def summaries(connection: sqlite3.Connection, seen: View, user_id: str, root_ids: Sequence[int]) -> list[Thread]:
    """Return, of some messages of a conversation, the threads of those that have visible replies."""
    marks = ",".join("?" * len(root_ids))
    visible, bounds = seen.condition()
    rows = connection.execute(
        f"SELECT root_id, count(*), max(seq) FROM thread_replies WHERE root_id IN ({marks}){visible}"
        " GROUP BY root_id ORDER BY root_id",
        (*root_ids, *bounds),
    ).fetchall()
    return [_summary(connection, seen, user_id, *row) for row in rows]


def _summary(
    connection: sqlite3.Connection, seen: View, user_id: str, root_id: int, replies: int, last_seq: int
) -> Thread:
    visible, bounds = seen.condition()
    last_id, last_at = connection.execute(
        "SELECT message_id, timestamp FROM log WHERE channel_id = ? AND seq = ?", (seen.channel_id, last_seq)
    ).fetchone()
    newest = connection.execute(
        f"SELECT sender_id FROM thread_replies WHERE root_id = ?{visible} ORDER BY seq DESC LIMIT ?",
        (root_id, *bounds, _LOOKED_AT),
    )
    repliers = list(dict.fromkeys(row[0] for row in newest))[:_FACES]
    follows, read_seq = connection.execute(
        "SELECT follows, read_seq FROM thread_members WHERE user_id = ? AND root_id = ?", (user_id, root_id)
    ).fetchone() or (0, 0)
    unread, mentions = connection.execute(
        "SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM mentions m WHERE m.channel_id = ?"
        " AND m.user_id IN (?, '*') AND m.seq = thread_replies.seq)), 0)"
        f" FROM thread_replies WHERE root_id = ? AND seq > ? AND sender_id <> ?{visible}",
        (seen.channel_id, user_id, root_id, read_seq, user_id, *bounds),
    ).fetchone()
    return Thread(
        root_id, replies, last_seq, last_id, last_at, repliers, bool(follows), read_seq, unread, mentions
    )


def unread_apart(connection: sqlite3.Connection, seen: View, user_id: str, read_seq: int) -> Unread:
    """Count others' replies after `read_seq` that only their threads show, which lists may leave out."""
    visible, bounds = seen.condition()
    row = connection.execute(
        "SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM mentions m WHERE m.channel_id = ?"
        " AND m.user_id IN (?, '*') AND m.seq = thread_replies.seq)), 0)"
        f" FROM thread_replies WHERE channel_id = ? AND seq > ? AND sender_id <> ? AND NOT shown{visible}",
        (seen.channel_id, user_id, seen.channel_id, read_seq, user_id, *bounds),
    ).fetchone()
    return Unread(*row)


class Followed(NamedTuple):
    """A page of the threads that a user follows, the one with the newest reply first, with their roots.

    Attributes:
        unread: the number of all the threads followed that have unread replies.
        further: the reply to go on before; None at the end.
    """

    threads: list[tuple[View, Record, Thread]]
    unread: int
    further: int | None


def followed(
    connection: sqlite3.Connection, user_id: str, views: Sequence[View], before: int | None, limit: int
) -> Followed:
    """Return threads that a user follows and can see, in conversations that they are in.

    Args:
        views: the user's views of conversations.
        before: the newest reply of the last thread of the page before; None for the first page.
    """
    by_channel = {seen.channel_id: seen for seen in views if seen.open}
    rows = connection.execute(
        "SELECT tm.root_id, tm.channel_id, (SELECT message_id FROM thread_replies r WHERE r.root_id = tm.root_id"
        " ORDER BY seq DESC LIMIT 1) AS newest, EXISTS (SELECT 1 FROM thread_replies r"
        " WHERE r.root_id = tm.root_id AND r.seq > tm.read_seq AND r.sender_id <> tm.user_id)"
        " FROM thread_members tm WHERE tm.user_id = ? AND tm.follows AND newest IS NOT NULL ORDER BY newest DESC",
        (user_id,),
    ).fetchall()
    listed = [row for row in rows if row[1] in by_channel]
    unread = sum(_is_unread(connection, by_channel[row[1]], user_id, row[0]) for row in listed if row[3])
    wanted = [row for row in listed if before is None or row[2] < before]
    found: list[tuple[View, Record, Thread]] = []
    for root_id, channel_id, _newest, _unread in wanted[:limit]:
        seen = by_channel[channel_id]
        root = messages.read_records(connection, [root_id]).get(root_id)
        told = summaries(connection, seen, user_id, [root_id])
        if root is not None and root.seq is not None and seen.sees(connection, root.seq) and told:
            found.append((seen, root, told[0]))
    return Followed(found, unread, wanted[limit - 1][2] if len(wanted) > limit else None)


def _is_unread(connection: sqlite3.Connection, seen: View, user_id: str, root_id: int) -> bool:
    """Return whether a user sees any of the unread replies of a thread, which somebody who came back may not."""
    return seen.seen_before is None or any(one.unread for one in summaries(connection, seen, user_id, [root_id]))
