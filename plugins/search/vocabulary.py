"""The words that messages say, listed to look parts of words up in.

They stand in lots, each one text: that is read through for a part many times as fast as a row for each word. A
word that no message says any longer is struck off its lot; see `purging`.
"""

import sqlite3
from collections.abc import Iterable, Iterator

LOTS = """
CREATE TABLE search_lots (words TEXT NOT NULL);
INSERT INTO search_lots SELECT group_concat(word, ' ') FROM search_words HAVING count(*);
DROP TABLE search_words;
"""

_JOINED = 256
"""After so many lots, each of what one transaction brought, they are packed."""

_LOT = 8_192
"""Characters of a lot, about: what is looked through in one step when words are struck off."""

_READ = 16 * 1024 * 1024
"""Characters of the list that one search reads at most: some milliseconds."""

_MOST_KNOWN = 100_000


class Vocabulary:
    """Which words the list has: most of what is said is common words, and they need not be listed again.

    It belongs to the one writer. A word that it forgot, once it knows too many, is listed twice.
    """

    __slots__ = ("_known", "_newest")

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._newest = 0

    def add(self, connection: sqlite3.Connection, said: set[str]) -> None:
        """List the words that are not listed yet."""
        (newest,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM search_lots").fetchone()
        if newest != self._newest:  # this is the first time, or a transaction was undone that had listed words
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
        """Take words for not listed: the next message that says one lists it again."""
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
    """Pack the last lots, up to the newest's rowid: no two states of the list end at the same."""
    since = newest - _JOINED
    rows = connection.execute("SELECT words FROM search_lots WHERE rowid > ?", (since,)).fetchall()
    connection.execute("DELETE FROM search_lots WHERE rowid > ?", (since,))
    lots = list(_packed(word for (lot,) in rows for word in lot.split())) or [""]
    first = newest - len(lots) + 1
    connection.executemany("INSERT INTO search_lots (rowid, words) VALUES (?, ?)", list(enumerate(lots, first)))


def in_small_lots(connection: sqlite3.Connection) -> None:
    """Pack the whole list anew, whatever the lots were before."""
    words = dict.fromkeys(
        word for (lot,) in connection.execute("SELECT words FROM search_lots") for word in lot.split()
    )
    connection.execute("DELETE FROM search_lots")
    connection.executemany("INSERT INTO search_lots (words) VALUES (?)", [(lot,) for lot in _packed(words)])


def lots_after(connection: sqlite3.Connection, rowid: int, limit: int) -> list[tuple[int, str]]:
    """Return some lots, by their rowids after one."""
    return connection.execute(
        "SELECT rowid, words FROM search_lots WHERE rowid > ? ORDER BY rowid LIMIT ?", (rowid, limit)
    ).fetchall()


def strike(
    connection: sqlite3.Connection, vocabulary: Vocabulary, rowid: int, listed: str, suspects: set[str] | None
) -> None:
    """Strike the words off a lot that no message says, of the suspects, or of all where that is None."""
    words = listed.split()
    dead = {word for word in words if (suspects is None or word in suspects) and not _is_said(connection, word)}
    if dead:
        # The same transaction asked the index: whoever says such a word later lists it again.
        vocabulary.forget(dead)
        left = " ".join(word for word in words if word not in dead)
        connection.execute("UPDATE search_lots SET words = ? WHERE rowid = ?", (left, rowid))


def _is_said(connection: sqlite3.Connection, word: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM search_index WHERE search_index MATCH ? LIMIT 1", (f'words : "{word}"',)
    )
    return found.fetchone() is not None


def words_within(connection: sqlite3.Connection, part: str, most: int) -> set[str] | None:
    """Return the words that have a part in them; None where they are more than `most`, or the list is too long."""
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
