"""The tables of polls and votes, changed in the votes' own transactions."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from relay.plugin import Unchanged

SCHEMA = """
CREATE TABLE polls_polls (
    message_id INTEGER PRIMARY KEY, address TEXT NOT NULL, author_id TEXT NOT NULL, options INTEGER NOT NULL,
    multiple INTEGER NOT NULL, anonymous INTEGER NOT NULL, closes_at REAL, closed_at REAL, closed_by TEXT,
    voters INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX polls_closing ON polls_polls (closes_at) WHERE closed_at IS NULL AND closes_at IS NOT NULL;
CREATE INDEX polls_untold ON polls_polls (message_id) WHERE told = 0;
CREATE TABLE polls_votes (
    message_id INTEGER, user_id TEXT, choice INTEGER, PRIMARY KEY (message_id, user_id, choice)
) WITHOUT ROWID;
CREATE TABLE polls_counts (
    message_id INTEGER, choice INTEGER, votes INTEGER NOT NULL, PRIMARY KEY (message_id, choice)
) WITHOUT ROWID;
"""


class Poll(NamedTuple):
    """A poll's row; `options` and `voters` are numbers."""

    message_id: int
    address: str
    author_id: str
    options: int
    multiple: bool
    anonymous: bool
    closes_at: float | None
    closed_at: float | None = None
    closed_by: str | None = None
    voters: int = 0

    def is_over(self, now: float) -> bool:
        """Return whether a vote at `now` comes too late, also if the poll is only about to be closed."""
        return self.closed_at is not None or (self.closes_at is not None and self.closes_at <= now)


_POLL = ", ".join(Poll._fields)


def add(connection: sqlite3.Connection, poll: Poll) -> None:
    """Store a new poll without votes."""
    connection.execute(
        f"INSERT INTO polls_polls ({_POLL}) VALUES ({', '.join('?' * len(poll))})",
        poll,
    )
    connection.executemany(
        "INSERT INTO polls_counts VALUES (?, ?, 0)",
        [(poll.message_id, choice) for choice in range(poll.options)],
    )


def find(connection: sqlite3.Connection, message_id: int) -> Poll | None:
    """Return a poll; None if there is none, or it is deleted."""
    return next(iter(_polls(connection, "message_id = ?", message_id)), None)


def cast(connection: sqlite3.Connection, poll: Poll, user_id: str, choices: Sequence[int]) -> None:
    """Replace a user's choices in a poll; an empty list removes the vote.

    Raises:
        Unchanged: the choices are the same as before.
    """
    before, after = set(chosen(connection, poll.message_id, user_id)), set(choices)
    if before == after:
        raise Unchanged
    place = (poll.message_id, user_id)
    connection.execute("DELETE FROM polls_votes WHERE message_id = ? AND user_id = ?", place)
    connection.executemany("INSERT INTO polls_votes VALUES (?, ?, ?)", [(*place, choice) for choice in after])
    connection.executemany(
        "UPDATE polls_counts SET votes = votes + ? WHERE message_id = ? AND choice = ?",
        [((choice in after) - (choice in before), poll.message_id, choice) for choice in before ^ after],
    )
    connection.execute(
        "UPDATE polls_polls SET voters = voters + ?, told = 0 WHERE message_id = ?",
        (bool(after) - bool(before), poll.message_id),
    )


def close(connection: sqlite3.Connection, poll: Poll, at: float, closed_by: str | None) -> None:
    """Close a poll for good; of an anonymous one, who voted for what is deleted."""
    connection.execute(
        "UPDATE polls_polls SET closed_at = ?, closed_by = ?, told = 0 WHERE message_id = ?",
        (at, closed_by, poll.message_id),
    )
    if poll.anonymous:
        connection.execute("DELETE FROM polls_votes WHERE message_id = ?", (poll.message_id,))
        connection.execute("DELETE FROM latest WHERE about = ? AND type = 'poll_vote'", (poll.message_id,))


def close_due(connection: sqlite3.Connection, now: float) -> None:
    """Close the polls whose time is over."""
    for poll in _polls(connection, "closed_at IS NULL AND closes_at <= ?", now):
        assert poll.closes_at is not None  # noqa: S101 - it was asked for
        close(connection, poll, poll.closes_at, None)


def tell(connection: sqlite3.Connection, message_id: int) -> None:
    """Mark a poll's present result as sent."""
    connection.execute("UPDATE polls_polls SET told = 1 WHERE message_id = ?", (message_id,))


def untold(connection: sqlite3.Connection, limit: int) -> list[Poll]:
    """Return polls whose result has changed since it was sent."""
    return _polls(connection, "told = 0", limit=limit)


def next_close(connection: sqlite3.Connection) -> float:
    """Return when the next poll is due to close, Unix seconds; infinity if none is."""
    row = connection.execute(
        "SELECT min(closes_at) FROM polls_polls WHERE closed_at IS NULL AND closes_at IS NOT NULL"
    ).fetchone()
    return float("inf") if row[0] is None else float(row[0])


def listed(connection: sqlite3.Connection, *, also_closed: bool) -> list[Poll]:
    """Return the newest thousand polls, newest first."""
    return _polls(connection, "? OR closed_at IS NULL", also_closed)


def counts(connection: sqlite3.Connection, message_id: int) -> list[int]:
    """Return the number of votes for each option, in order."""
    rows = connection.execute("SELECT votes FROM polls_counts WHERE message_id = ? ORDER BY choice", (message_id,))
    return [row[0] for row in rows]


def chosen(connection: sqlite3.Connection, message_id: int, user_id: str) -> list[int]:
    """Return a user's choices in a poll."""
    rows = connection.execute(
        "SELECT choice FROM polls_votes WHERE message_id = ? AND user_id = ?", (message_id, user_id)
    )
    return [row[0] for row in rows]


def voters(connection: sqlite3.Connection, message_id: int, after: str, limit: int) -> list[tuple[str, list[int]]]:
    """Return (user id, choices) of the voters, by id after `after`."""
    names = connection.execute(
        "SELECT DISTINCT user_id FROM polls_votes WHERE message_id = ? AND user_id > ? ORDER BY user_id LIMIT ?",
        (message_id, after, limit),
    ).fetchall()
    return [(user_id, chosen(connection, message_id, user_id)) for (user_id,) in names]


def forget(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Delete polls that were deleted as messages, with their votes."""
    gone = [(message_id,) for message_id in message_ids]
    for table in ("polls_polls", "polls_votes", "polls_counts"):
        connection.executemany(f"DELETE FROM {table} WHERE message_id = ?", gone)


def take_back_all(connection: sqlite3.Connection, user_id: str) -> None:
    """Remove the votes of a user who is erased; closed polls keep their counts, but not who voted."""
    mine = (
        "SELECT v.message_id, v.choice FROM polls_votes v JOIN polls_polls p USING (message_id)"
        " WHERE v.user_id = ? AND p.closed_at IS NULL"
    )
    votes = connection.execute(mine, (user_id,)).fetchall()
    connection.executemany("UPDATE polls_counts SET votes = votes - 1 WHERE message_id = ? AND choice = ?", votes)
    connection.executemany(
        "UPDATE polls_polls SET voters = voters - 1, told = 0 WHERE message_id = ?", {(vote[0],) for vote in votes}
    )
    connection.execute("DELETE FROM polls_votes WHERE user_id = ?", (user_id,))


def catch_up(connection: sqlite3.Connection) -> None:
    """Delete polls whose messages were deleted while the plugin was off."""
    rows = connection.execute(
        "SELECT message_id FROM polls_polls p WHERE NOT EXISTS"
        " (SELECT 1 FROM log WHERE log.message_id = p.message_id AND deleted_at IS NULL)"
    )
    forget(connection, [row[0] for row in rows.fetchall()])


def _polls(connection: sqlite3.Connection, where: str, *values: Any, limit: int = 1000) -> list[Poll]:
    rows = connection.execute(
        f"SELECT {_POLL} FROM polls_polls WHERE {where} ORDER BY message_id DESC LIMIT {limit}", values
    )
    return [Poll._make((*row[:4], bool(row[4]), bool(row[5]), *row[6:])) for row in rows]
