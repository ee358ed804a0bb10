"""The vocabulary: a list of all words of messages, for searches of parts of words.

It is stored in lots of one text each, which is searched for a part much faster than a row for each word. A word
that no message has any more is removed from its lot; see `purge`.
"""

import sqlite3
from collections.abc import Iterable, Iterator

LOTS = """
CREATE TABLE search_lots (words TEXT NOT NULL);
INSERT INTO search_lots SELECT group_concat(word, ' ') FROM search_words HAVING count(*);
DROP TABLE search_words;
"""

NUMBERED = """
CREATE TABLE search_numbered (number INTEGER PRIMARY KEY, words TEXT NOT NULL);
INSERT INTO search_numbered SELECT rowid, words FROM search_lots;
DROP TABLE search_lots;
ALTER TABLE search_numbered RENAME TO search_lots;
CREATE TABLE search_numbered (number INTEGER PRIMARY KEY, words TEXT NOT NULL);
INSERT INTO search_numbered SELECT rowid, words FROM search_gone;
DROP TABLE search_gone;
ALTER TABLE search_numbered RENAME TO search_gone;
"""
"""With a primary key, by which rows are told apart where changes are recorded."""

_JOINED = 256
"""Lots that are packed together; each transaction adds one of its new words."""

_LOT = 8_192
"""Characters of a lot, roughly: the amount that one step searches when words are removed."""

_READ = 16 * 1024 * 1024
"""Characters that one search reads at most; this takes some milliseconds."""

_MOST_KNOWN = 100_000


class Vocabulary:
    """The words that are listed already, so that common words are not listed again.

    It belongs to the only writer. When it knows too many words it forgets them, and they are listed twice.
    """

    __slots__ = ("_known", "_newest")

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._newest = 0

    def add(self, connection: sqlite3.Connection, said: set[str]) -> None:
        """List the words that are not listed yet."""
        (newest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM search_lots").fetchone()
        if newest != self._newest:  # the first call, or a transaction that had listed words was rolled back
            self._read(connection, newest)
        new = said - self._known
        if not new:
            return
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= new
        for lot in _packed(new):
            self._newest += 1
            connection.execute("INSERT INTO search_lots (rowid, words) VALUES (?, ?)", (self._newest, lot))
            if self._newest % _JOINED == 0:
                _join(connection, self._newest)

    def forget(self, words: set[str]) -> None:
        """Treat words as not listed, so that the next message with one lists it again."""
        self._known -= words

    def _read(self, connection: sqlite3.Connection, newest: int) -> None:
        self._known.clear()
        self._newest = newest
        for (lot,) in connection.execute("SELECT words FROM search_lots ORDER BY rowid DESC"):
            self._known.update(lot.split())
            if len(self._known) > _MOST_KNOWN:
                break


def _packed(words: Iterable[str]) -> Iterator[str]:
    """Yield lots of words."""
    lot: list[str] = []
    size = 0
    for word in words:
        lot.append(word)
        size += len(word) + 1
        if size >= _LOT:
            yield " ".join(lot)
            lot, size = [], 0
    if lot:
        yield " ".join(lot)


def _join(connection: sqlite3.Connection, newest: int) -> None:
    """Pack the last lots, up to the rowid of the newest: no two states of the list have the same."""
    since = newest - _JOINED
    rows = connection.execute("SELECT words FROM search_lots WHERE rowid > ?", (since,)).fetchall()
    connection.execute("DELETE FROM search_lots WHERE rowid > ?", (since,))
    lots = list(_packed(word for (lot,) in rows for word in lot.split())) or [""]
    first = newest - len(lots) + 1
    connection.executemany("INSERT INTO search_lots (rowid, words) VALUES (?, ?)", list(enumerate(lots, first)))


def in_small_lots(connection: sqlite3.Connection) -> None:
    """Pack the whole list again, whatever its lots were before."""
    words = dict.fromkeys(
        word for (lot,) in connection.execute("SELECT words FROM search_lots") for word in lot.split()
    )
    connection.execute("DELETE FROM search_lots")
    connection.executemany("INSERT INTO search_lots (words) VALUES (?)", [(lot,) for lot in _packed(words)])


def lots_after(connection: sqlite3.Connection, rowid: int, limit: int) -> list[tuple[int, str]]:
    """Return up to `limit` lots after a rowid."""
    return connection.execute(
        "SELECT rowid, words FROM search_lots WHERE rowid > ? ORDER BY rowid LIMIT ?", (rowid, limit)
    ).fetchall()


def strike(
    connection: sqlite3.Connection, vocabulary: Vocabulary, rowid: int, listed: str, suspects: set[str] | None
) -> None:
    """Remove words from a lot that no message has: of the suspects, or of all words if that is None."""
    words = listed.split()
    dead = {word for word in words if (suspects is None or word in suspects) and not _is_said(connection, word)}
    if dead:
        # The same transaction has asked the index, so a message that has the word later lists it again.
        vocabulary.forget(dead)
        left = " ".join(word for word in words if word not in dead)
        connection.execute("UPDATE search_lots SET words = ? WHERE rowid = ?", (left, rowid))


def _is_said(connection: sqlite3.Connection, word: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM search_index WHERE search_index MATCH ? LIMIT 1", (f'words : "{word}"',)
    )
    return found.fetchone() is not None


def words_within(connection: sqlite3.Connection, part: str, most: int) -> set[str] | None:
    """Return the words that contain a part; None if they are more than `most`, or the list is too long."""
    found: set[str] = set()
    read = 0
    for (lot,) in connection.execute("SELECT words FROM search_lots ORDER BY rowid DESC"):
        read += len(lot)
        if read > _READ:
            return None
        at = lot.find(part)
        while at >= 0:
            end = lot.find(" ", at)
            end = end if end >= 0 else len(lot)
            found.add(lot[lot.rfind(" ", 0, at) + 1 : end])
            if len(found) > most:
                return None
            at = lot.find(part, end)
    return found
