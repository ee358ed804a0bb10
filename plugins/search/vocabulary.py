"""The words that messages say, listed to look parts of words up in.

They stand in lots, each one text: that is read through for a part many times as fast as a row for each word.
"""

import sqlite3

LOTS = """
CREATE TABLE search_lots (words TEXT NOT NULL);
INSERT INTO search_lots SELECT group_concat(word, ' ') FROM search_words HAVING count(*);
DROP TABLE search_words;
"""

_JOINED = 256
"""After so many lots, each of what one transaction brought, they become one."""

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
        self._newest = newest + 1
        connection.execute("INSERT INTO search_lots VALUES (?)", (" ".join(new),))
        if self._newest % _JOINED == 0:
            _join(connection, self._newest)

    def _read(self, connection: sqlite3.Connection, newest: int) -> None:
        self._known.clear()
        self._newest = newest
        for (lot,) in connection.execute("SELECT words FROM search_lots ORDER BY rowid DESC"):
            self._known.update(lot.split())
            if len(self._known) > _MOST_KNOWN:
                break


def _join(connection: sqlite3.Connection, newest: int) -> None:
    """Make the last lots one, which has the newest's rowid: no two states of the list end at the same."""
    since = newest - _JOINED
    lots = connection.execute("SELECT words FROM search_lots WHERE rowid > ?", (since,)).fetchall()
    connection.execute("DELETE FROM search_lots WHERE rowid > ? AND rowid < ?", (since, newest))
    joined = " ".join(lot for (lot,) in lots)
    connection.execute("UPDATE search_lots SET words = ? WHERE rowid = ?", (joined, newest))


def words_within(connection: sqlite3.Connection, part: str, most: int) -> set[str]:
    """Return the words that have a part in them; one more than `most` where there are too many."""
    found: set[str] = set()
    for (lot,) in connection.execute("SELECT words FROM search_lots"):
        at = lot.find(part)
        while at >= 0:
            end = lot.find(" ", at)
            end = end if end >= 0 else len(lot)
            found.add(lot[lot.rfind(" ", 0, at) + 1 : end])
            if len(found) > most:
                return found
            at = lot.find(part, end)
    return found
