"""A second copy of the simulated database, which is kept by changesets alone and must stay equal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from relay.storage.changesets import Recorder, apply, open_with_handle, unrecorded
from tests.simulation.promises import Tell

_OWN = "DELETE FROM facts WHERE name = 'running'"
"""What each copy says of itself: whether it is in use."""


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, those of indexes for words included."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute(_OWN)
        found = {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr)
            for (name,) in connection.execute(
                "SELECT name FROM pragma_table_list WHERE type IN ('table', 'shadow') AND schema = 'main'"
                " AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
        }
        connection.execute("ROLLBACK")
        return found


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield where two databases differ, table by table: some rows that only one of them has."""
    first, second = rows(one), rows(other)
    for name in sorted(first.keys() | second.keys()):
        mine, theirs = first.get(name, []), second.get(name, [])
        if mine != theirs:
            more, less = ([row for row in a if row not in b][:3] for a, b in ((mine, theirs), (theirs, mine)))
            yield f"{name}: the database has {more}, its copy {less}"


class Replica:
    """A replica of one life of a database.

    Attributes:
        changes: how many transactions it has applied.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._path = folder / "replica.db"
        self._tell = tell
        self._source: Path | None = None
        self._recorder: Recorder | None = None
        self._sealed = b""
        self._schema = 0
        self.changes = 0

    def follow(self, database: Path) -> None:
        """Begin as a copy of a database that nobody writes to."""
        self._source = database
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(self._path)) as target:
            source.backup(target)
        self._schema = 0

    def record(self, handle: int) -> Replica:
        """Record what the connection with this handle changes from now on."""
        self._recorder = Recorder(handle)
        return self

    # What a runner calls.

    def begin(self, connection: sqlite3.Connection) -> None:
        assert self._recorder is not None
        self._schema = _schema(connection)
        self._recorder.begin()

    def seal(self, connection: sqlite3.Connection) -> None:
        assert self._recorder is not None
        self._sealed = self._recorder.take()
        if _schema(connection) != self._schema:
            self._schema = -1  # a changeset has no changes of tables themselves: the whole is copied anew
        for table in unrecorded(connection):
            self._tell("recorded", f"{table.table} cannot be recorded: {table.reason}")

    def committed(self) -> None:
        if self._schema < 0:
            assert self._source is not None
            self.follow(self._source)
            return
        if not self._sealed:
            return
        connection, handle = open_with_handle(lambda: sqlite3.connect(self._path, isolation_level=None))
        with closing(connection):
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            apply(connection, handle, self._sealed)
            connection.execute("COMMIT")
        self.changes += 1

    def dropped(self) -> None:
        if self._recorder is not None:
            self._recorder.drop()

    def compare(self) -> None:
        """Compare with what was followed, which is closed."""
        if self._source is not None:
            for difference in differences(self._source, self._path):
                self._tell("replicated", difference)


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA schema_version").fetchone()[0])
