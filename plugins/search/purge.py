"""The purge of erased words from the index's own pages and from the vocabulary.

FTS5 marks a deleted row, and keeps its words in its segments until these are merged with all older ones. (With the
option `secure-delete`, of SQLite 3.42 and later, it does not.) So after erasures all segments are merged into one,
a few pages at a time. Words of erased messages are suspects until it is known whether another message has them;
those that no message has are removed from the vocabulary.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.plugin import Server

from .state import remember, state
from .vocabulary import Vocabulary, lots_after, strike

GONE: Final = """
CREATE TABLE search_gone (words TEXT NOT NULL);
INSERT INTO search_gone SELECT '*' WHERE EXISTS (SELECT 1 FROM search_lots);
"""
ALL: Final = "*"
"""Marks every word as a suspect, when the words of what was erased are not known."""

_PAGES: Final = 16
"""Pages of the index that one step writes; this takes a millisecond or two."""

_STEPS: Final = "purge steps"
_LOTS: Final = 8
_MOST: Final = 200_000
"""The largest number of suspects; above it, every word is one."""


def suspect(connection: sqlite3.Connection, said: str) -> None:
    """Record the words of a message that has left the index."""
    if said:
        connection.execute("INSERT INTO search_gone (words) VALUES (?)", (said,))


def left_over(connection: sqlite3.Connection) -> bool:
    """Return whether erased words are left that no pass has finished with, and no pass is planned."""
    row = connection.execute(
        "SELECT 1 FROM search_gone WHERE NOT EXISTS (SELECT 1 FROM facts WHERE name = 'unpurged') LIMIT 1"
    ).fetchone()
    return row is not None


class Purge:
    """One pass over the index and the vocabulary, step by step; a restart begins it again.

    So does a transaction that was rolled back after its step: the database counts the steps that stand.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._merging = False
        self._until = 0
        self._lot = 0
        self._suspects: set[str] | None = None

    def step(self, connection: sqlite3.Connection, vocabulary: Vocabulary) -> bool:
        """Take a small step; return whether there is more to do."""
        steps = state(connection, _STEPS)
        if not self._until or self._steps != steps:
            return self._begin(connection)
        self._steps = _count(connection, steps)
        if self._merging:
            self._merging = _merge(connection, _PAGES)
            return True
        lots = lots_after(connection, self._lot, _LOTS)
        for rowid, listed in lots:
            strike(connection, vocabulary, rowid, listed, self._suspects)
            self._lot = rowid
        if lots:
            return True
        connection.execute("DELETE FROM search_gone WHERE rowid <= ?", (self._until,))
        self._until = 0
        # A pass that a failing disk held up may end after more was erased, which is for another pass.
        return connection.execute("SELECT 1 FROM search_gone LIMIT 1").fetchone() is not None

    def _begin(self, connection: sqlite3.Connection) -> bool:
        """Take what was recorded up to now; what comes later is for another pass."""
        (until,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM search_gone").fetchone()
        if not until:
            return False
        suspects: set[str] = set()
        for (said,) in connection.execute("SELECT words FROM search_gone WHERE rowid <= ?", (until,)):
            suspects.update(said.split())
            if said == ALL or len(suspects) > _MOST:
                suspects.add(ALL)
                break
        self._until, self._lot, self._suspects = until, 0, None if ALL in suspects else suspects
        _merge(connection, -_PAGES)
        self._merging = True
        self._steps = _count(connection, state(connection, _STEPS))
        return True


def _count(connection: sqlite3.Connection, steps: int) -> int:
    """Count a step in the database, after those of earlier passes too, and return their new number."""
    remember(connection, _STEPS, steps + 1)
    return steps + 1


def _merge(connection: sqlite3.Connection, pages: int) -> bool:
    """Merge some pages of the index, or all segments if `pages` is negative; return whether there is more to do.

    FTS5 reports that nothing was left to merge by changing nothing
    (https://sqlite.org/fts5.html#the_merge_command).
    """
    before = connection.total_changes
    connection.execute("INSERT INTO search_index (search_index, rank) VALUES ('merge', ?)", (pages,))
    return connection.total_changes - before >= 2


def purge(server: Server, connection: sqlite3.Connection) -> bool:
    """Take a step; see `relay.plugin.MessageHook`."""
    passing: Purge = server.memory.setdefault("purge", Purge())
    vocabulary: Vocabulary = server.memory.setdefault("vocabulary", Vocabulary())
    try:
        return passing.step(connection, vocabulary)
    except BaseException:
        del server.memory["purge"]
        raise
