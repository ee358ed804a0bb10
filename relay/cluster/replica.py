"""A node's copy of the database, which takes every record of the cluster's stream once and in order, or stops."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from relay.cluster.records import DIGEST, Assembler, Damaged, Kind, Record
from relay.cluster.stream import Entry
from relay.storage.changesets import DoesNotFit, apply
from relay.storage.cluster import Position, read_position, schema_digest, write_position
from relay.storage.observer import unpurged_erasures

_NEW_COPY: Final = "this node needs a new copy of the database"


class Diverged(Exception):
    """A stream that does not fit this copy of the database; a new copy is needed. The text says why."""


class SchemaChanged(Diverged):
    """The tables are others from here on; a new copy brings them."""


class Replica:
    """Applies the stream's entries to a database; called by one thread at a time.

    Args:
        handle: the connection's `sqlite3*`.
        node: the name of the node, by which it knows what it wrote itself.

    Attributes:
        position: the newest record that the database has.
        leader: who leads, as the newest record of a term says that was applied here; None before one was.
        erased: whether something was erased whose bytes may still be in the file and its log, and is to be purged.

    Raises:
        Diverged: the database is no cluster's.
    """

    def __init__(self, connection: sqlite3.Connection, handle: int, node: str) -> None:
        self._connection = connection
        self._handle = handle
        self._node = node
        self._assembler = Assembler()
        position = read_position(connection)
        if position is None:
            raise Diverged("the database is no cluster's")
        self.position = self._firm = position
        self._taken = position.sequence
        self.leader: str | None = None
        self.erased = True  # before this start there may have been something
        self._unpurged = unpurged_erasures(connection) is not None

    @property
    def next_after(self) -> int:
        """The place in the stream behind which the next entry stands."""
        return self._taken

    def apply(self, entries: Iterable[Entry]) -> int:
        """Apply entries in one transaction, and return how many records there were in them.

        Raises:
            Diverged: one is not what must come next, or does not fit; what came before it is applied.
            sqlite3.Error: the disk did not take it; nothing is applied, and the same entries are to come again.
        """
        before, count, wrong = (self.position, self._firm, self.leader), 0, None
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            for entry in entries:
                try:
                    count += self._take(entry)
                except (Damaged, DoesNotFit, Diverged) as error:
                    wrong = error
                    break
            if self._firm != before[1]:
                write_position(self._connection, self._firm)
            execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            self.position, self._firm, self.leader = before
            self._taken, self._assembler = self.position.sequence, Assembler()
            raise
        if wrong is not None:
            raise wrong if isinstance(wrong, Diverged) else Diverged(f"{wrong}; {_NEW_COPY}") from wrong
        return count

    def _take(self, entry: Entry) -> int:
        if entry.sequence <= self._taken:
            return 0  # it came twice
        if entry.sequence != self._taken + 1:
            raise Diverged(
                f"the stream's entry {entry.sequence} came after {self._taken}: it has a hole; {_NEW_COPY}"
            )
        records = list(self._assembler.add(entry.data))
        for record in records:
            self._check(record)
            is_firm = self._make(record)
            self.position = Position(
                self.position.cluster, record.number, record.term, record.digest(), entry.sequence
            )
            if is_firm:
                self._firm = self.position
        self._taken = entry.sequence
        return len(records)

    def _check(self, record: Record) -> None:
        position = self.position
        if record.number != position.number + 1 or record.before != position.digest:
            raise Diverged(
                f"the stream's record {record.number} does not continue this database, which is at record"
                f" {position.number}: one of the two was set back; {_NEW_COPY}"
            )
        if record.term != position.term + (record.kind is Kind.TERM):
            raise Diverged(
                f"record {record.number} is of term {record.term}, and term {position.term} is the newest;"
                f" {_NEW_COPY}"
            )

    def _make(self, record: Record) -> bool:
        """Make what a record says; return False for one that nothing came of, if this node leads next."""
        goes_on = record.kind is Kind.TERM and record.body.decode() == self._node
        if self.position != self._firm and not goes_on:
            raise SchemaChanged(f"this node has lost the tables of record {self.position.number}; {_NEW_COPY}")
        match record.kind:
            case Kind.TERM:
                self.leader = record.body.decode()
            case Kind.CHANGE:
                self._connection.execute("SAVEPOINT record")  # what does not fit leaves what came before it
                try:
                    apply(self._connection, self._handle, record.body)
                except BaseException:
                    self._connection.execute("ROLLBACK TO record")
                    raise
                finally:
                    self._connection.execute("RELEASE record")
                self._note_erasures()
            case Kind.SCHEMA if schema_digest(self._connection) != record.body[:DIGEST]:
                if record.body[DIGEST:].decode() != self._node:
                    raise SchemaChanged(
                        f"the leader's tables are others since record {record.number}; {_NEW_COPY}"
                    )
                # This node led, and did not commit what it had appended: nobody has these tables, and if all
                # waited for a copy of them nobody would lead. Its own next term goes on without them.
                return False
        return True

    def _note_erasures(self) -> None:
        """Have this copy purged once the leader has purged its own, and with it the indexes that both have."""
        before, self._unpurged = self._unpurged, unpurged_erasures(self._connection) is not None
        self.erased = self.erased or (before and not self._unpurged)

    def purge(self, purge: Callable[[sqlite3.Connection], bool]) -> int:
        """Purge what was erased; return 0 while that cannot be done, else 1.

        Raises:
            sqlite3.Error: the disk did not take it.
        """
        done = purge(self._connection)
        if done:
            self.erased = False
        return int(done)
