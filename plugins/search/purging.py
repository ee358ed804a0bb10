"""Leaving no word of what was erased: in the index's own pages, and in the list of words.

FTS5 marks a row that was deleted, and keeps its words in its segments until these are merged with all older ones.
(With its option `secure-delete` it does not, which SQLite has from 3.42 on.) So after erasures all segments are
merged into one, a few pages at a time. The words of erased messages are suspects until it is looked up whether
another message says them; those that none says are taken off the list.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.plugin import Server

from .vocabulary import Vocabulary, lots_after, strike

GONE: Final = """
CREATE TABLE search_gone (words TEXT NOT NULL);
INSERT INTO search_gone SELECT '*' WHERE EXISTS (SELECT 1 FROM search_lots);
"""
ALL: Final = "*"
"""Suspects every word: which messages said what is gone is not known."""

_PAGES: Final = 16
"""Pages of the index that one step writes: a millisecond or two."""

_LOTS: Final = 8
_MOST: Final = 200_000
"""With more suspects than this, every word is one."""


def suspect(connection: sqlite3.Connection, said: str) -> None:
    """Note words of a message that is in the index no longer."""
    if said:
        connection.execute("INSERT INTO search_gone VALUES (?)", (said,))


def left_over(connection: sqlite3.Connection) -> bool:
    """Tell whether there is something that no pass has come to an end with, and none is to come."""
    row = connection.execute(
        "SELECT 1 FROM search_gone WHERE NOT EXISTS (SELECT 1 FROM facts WHERE name = 'unpurged') LIMIT 1"
    ).fetchone()
    return row is not None


class Purge:
    """One pass over the index and the list of words, a step at a time; begun anew after a start."""

    def __init__(self) -> None:
        self._merging = False
        self._until = 0
        self._lot = 0
        self._suspects: set[str] | None = None

    def step(self, connection: sqlite3.Connection, vocabulary: Vocabulary) -> bool:
        """Take a small step; tell whether there is more to do."""
        if not self._until:
            return self._begin(connection)
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
        return False

    def _begin(self, connection: sqlite3.Connection) -> bool:
        """Take what was noted up to now; what comes later is another pass's."""
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
        return True


def _merge(connection: sqlite3.Connection, pages: int) -> bool:
    """Merge some pages of the index, of all its segments where `pages` is negative; tell whether there is more.

    FTS5 says that there was nothing to merge by changing nothing
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
