"""The leader's side of the stream: each transaction is appended to it before it is committed.

What the stream has and the leader's file has not, because the commit failed after all, is applied from the stream
like at every node; so then the leader steps down. An append of which nobody knows whether it happened is rolled
back; if it did, the next one is refused, and the leader steps down as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from relay.cluster.records import Kind, Record, parts
from relay.cluster.stream import Refused, Stream, Unreachable
from relay.storage.changesets import Recorder, unrecorded
from relay.storage.cluster import Position, schema_digest, write_position
from relay.storage.errors import Deposed, NotReplicated

_DEPOSED: Final = "another node of the cluster leads from now on"
_AHEAD: Final = "the commit failed after the cluster's stream had taken it; it is read from there"


class LeaderLog:
    """Hands the writer's transactions to the stream, on the writer's thread; made anew with each term.

    Args:
        position: the record of the term that this node leads, which its file has already.
        schema: the digest of the tables that the followers have.
        deposed: called once, when nothing more can be written.
        handle: the writer's `sqlite3*`.
        node: the name of the node that leads.

    Attributes:
        position: the newest record that is in the stream and in this node's file.
    """

    def __init__(
        self,
        stream: Stream,
        position: Position,
        schema: bytes,
        deposed: Callable[[Deposed], None],
        handle: int,
        node: str,
    ) -> None:
        self._stream = stream
        self._tell_deposed = deposed
        self._recorder = Recorder(handle)
        self._node = node.encode()
        self._version = 0
        self._schema: bytes | None = schema
        self._appended: Position | None = None
        self._fallen: Deposed | None = None
        self._successor: str | None = None
        self._handed_over = False
        self.position = position

    def begin(self, connection: sqlite3.Connection) -> None:
        """Record what the transaction changes.

        Raises:
            Deposed: this node leads no more.
        """
        if self._fallen is not None:
            raise self._fallen
        self._version = _schema_version(connection)
        self._recorder.begin()

    def seal(self, connection: sqlite3.Connection) -> None:
        """Append what the transaction has changed to the stream, and note in it where that stands.

        Raises:
            NotReplicated: the stream did not answer, or something cannot be recorded.
            Deposed: this node leads no more.
            sqlite3.IntegrityError: the commit would fail.
        """
        self._recorder.check_foreign_keys()  # what the commit would refuse must not be in the stream
        changes = self._recorder.take()
        if self._is_changed(connection):
            _check_recorded(connection)
            self._append(connection, Kind.SCHEMA, schema_digest(connection) + self._node)
            return  # only this node has the tables: the term ends with the next transaction
        if changes:
            self._append(connection, Kind.CHANGE, changes)
        if self._successor is not None:
            self._append(connection, Kind.TERM, self._successor.encode())
            self._handed_over = True

    def _is_changed(self, connection: sqlite3.Connection) -> bool:
        """Tell whether the tables are others than before the transaction, or than when the file was opened."""
        if _schema_version(connection) != self._version:
            return True
        return self._schema is not None and schema_digest(connection) != self._schema

    def hand_over(self, node: str) -> None:
        """Have another node lead from the transaction on that this job is in; nothing is written behind it.

        Where that makes tables, from the next one on.
        """
        self._successor = node

    def _append(self, connection: sqlite3.Connection, kind: Kind, body: bytes) -> None:
        before = self._appended or self.position
        term = before.term + (kind is Kind.TERM)
        record = Record(kind, before.number + 1, term, before.digest, body)
        try:
            sequence = self._stream.append(parts(record, self._stream.most_bytes), before.sequence)
        except Refused:
            raise self.fall() from None
        except Unreachable as error:
            raise NotReplicated(f"the cluster's stream does not take it: {error}") from error
        self._appended = Position(before.cluster, record.number, record.term, record.digest(), sequence)
        write_position(connection, self._appended)

    def committed(self) -> None:
        """Go on behind what was appended."""
        if self._appended is not None:
            self.position, self._appended = self._appended, None
        self._schema = None
        if self._handed_over:
            self.fall(f"{self._successor} leads from now on, as it was told to")

    def dropped(self) -> None:
        """Forget the transaction; one that the stream has already ends the term."""
        self._recorder.drop()
        self._successor, self._handed_over = None, False
        if self._appended is not None:
            self._appended = None
            self.fall(_AHEAD)

    def fall(self, why: str = _DEPOSED) -> Deposed:
        """Write nothing more, and return what says why; any thread may call this."""
        if self._fallen is None:
            self._fallen = Deposed(why)
            self._tell_deposed(self._fallen)
        return self._fallen


def _check_recorded(connection: sqlite3.Connection) -> None:
    """Refuse tables whose changes cannot be recorded, by name.

    Raises:
        NotReplicated: there is one.
    """
    for table, reason in unrecorded(connection):
        raise NotReplicated(f"the table {table} cannot be in a cluster: {reason}; give it one that is NOT NULL")


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA schema_version").fetchone()[0])
