"""Times of messages, for searches within a time.

Ids rise, and times with them, except where the clock was set back. Every message that is older than the one before
it is recorded: between two of these steps, times are sorted.
"""

import sqlite3
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from relay.plugin import Entry, Server

STEPS = "CREATE TABLE search_steps (message_id INTEGER PRIMARY KEY)"
MOST_STEPS = 100
"""With more steps back than this, times are not searched; each match is asked for its own time."""

_KNOWN = "steps"


class Span(NamedTuple):
    """The messages that the times and the page of a search leave: ids from `low` to `high`, both included.

    Attributes:
        sorted: whether all of these are within the times; otherwise each is asked for its own time.
        since, until: Unix seconds, the second excluded.
    """

    low: int
    high: int
    sorted: bool = True
    since: float = 0.0
    until: float = 1e12

    def has(self, connection: sqlite3.Connection, message_id: int) -> bool:
        """Return whether a message with such an id is within the times."""
        if self.sorted:
            return True
        (at,) = connection.execute("SELECT timestamp FROM log WHERE message_id = ?", (message_id,)).fetchone()
        return bool(self.since <= at < self.until)


def stored(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Record new messages that are older than the one before them."""
    # Read from the tables and not from memory, which may know of messages whose transaction was rolled back.
    ids = [entry.message_id for entry in entries if entry.message_id is not None and entry.seq]
    if not ids:
        return
    before = connection.execute(
        "SELECT timestamp FROM log WHERE message_id < ? ORDER BY message_id DESC LIMIT 1", (ids[0],)
    ).fetchone()
    at: float = before[0] if before else 0.0
    for entry in entries:
        if entry.message_id is None or not entry.seq:
            continue
        if entry.timestamp < at:
            connection.execute("INSERT OR IGNORE INTO search_steps VALUES (?)", (entry.message_id,))
        at = entry.timestamp


def look(connection: sqlite3.Connection, after: int, until: int) -> None:
    """Record which stored messages of a range are older than the one before them."""
    connection.execute(
        "INSERT OR IGNORE INTO search_steps SELECT message_id FROM"
        " (SELECT message_id, timestamp, lag(timestamp) OVER (ORDER BY message_id) AS before FROM log"
        "  WHERE message_id BETWEEN coalesce((SELECT max(message_id) FROM log WHERE message_id <= ?1), 0) AND ?2)"
        " WHERE timestamp < before AND message_id > ?1",
        (after, until),
    )


def known(server: Server) -> None:
    """Record that all steps up to here are known."""
    server.memory[_KNOWN] = True


def span(
    server: Server, connection: sqlite3.Connection, since: float | None, until: float | None, before: int | None
) -> Span:
    """Return the messages that a search's times and page leave.

    Args:
        before: leave out ids from this one on; None for none.
    """
    newest = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()[0]
    high = newest if before is None else min(newest, before - 1)
    if since is None and until is None:
        return Span(0, high)
    first, last = since if since is not None else 0.0, until if until is not None else 1e12
    steps = [
        row[0]
        for row in connection.execute(
            "SELECT message_id FROM search_steps ORDER BY message_id LIMIT ?", (MOST_STEPS + 1,)
        )
    ]
    if len(steps) > MOST_STEPS or _KNOWN not in server.memory:
        return Span(0, high, sorted=False, since=first, until=last)
    found = [
        (low, end - 1)
        for start, stop in pairwise([0, *steps, newest + 1])
        if (low := _first_at(connection, first, start, stop)) < (end := _first_at(connection, last, start, stop))
    ]
    if not found:
        return Span(1, 0)
    return Span(found[0][0], min(high, found[-1][1]), len(found) == 1, first, last)


def _first_at(connection: sqlite3.Connection, moment: float, low: int, high: int) -> int:
    """Return the first id in [`low`, `high`) at a moment or later; times in this range must be sorted."""
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT message_id, timestamp FROM log WHERE message_id >= ? ORDER BY message_id LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[0] >= high or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return low
