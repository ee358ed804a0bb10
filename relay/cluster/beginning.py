"""The beginning of a cluster with one node's database, a new one where NATS has lost the stream, and the end."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import trio

from relay.cluster.records import DIGEST, Assembler, Damaged, Record
from relay.cluster.stream import Missing, NoStream, Stream
from relay.storage.changesets import check_supported, unrecorded
from relay.storage.cluster import Position, forget_position, read_position, write_position
from relay.storage.errors import StorageError
from relay.storage.health import in_words
from relay.storage.identity import begin_run, check_ours, end_run, new_epoch
from relay.storage.replica import locked
from relay.storage.sizes import OTHER, part_of, plugins_with_tables
from relay.storage.upgrading import migrate
from relay.storage.write_ahead import check_beside, has_no_log

_log: Final = logging.getLogger("relay.cluster")

_READ_SECONDS: Final = 10.0
"""Seconds to read the end of a stream that is there."""

_LONGEST_RECORD: Final = 4096
"""How many entries back the beginning of the newest record is looked for."""


class CannotBegin(StorageError):
    """A cluster cannot begin with a database, or must not; nothing was changed in it."""


async def begin(path: Path, cluster: str, stream: Stream, *, again: bool = False) -> Position:
    """Have a database be the one that all nodes of a cluster take; the file is made if it is not there.

    Its server is stopped. The position in the stream that is written into it has a digest of this beginning's own:
    whoever has another database finds that the stream does not continue it, and takes a copy.

    Args:
        cluster: its name.
        again: whether a cluster that had begun begins anew with this database, as NATS has lost the stream or a
            backup was restored. Then the database has a new epoch: clients may know more than it does.

    Raises:
        CannotBegin: the cluster has begun already, the database is another's, or tables of it cannot be in one.
        StorageError: another relay uses the database, or it cannot be opened.
        Unreachable: NATS did not answer.
    """
    check_supported()
    with locked(path):
        found = await trio.to_thread.run_sync(_prepare, path)
        if found is not None and found.cluster != cluster:
            raise CannotBegin(
                f"{path} is of the cluster {found.cluster}, and not of {cluster}; relay cluster leave makes it one"
                " of its own"
            )
        last, newest = await _end_of(stream)
        if not again:
            _require_first(path, cluster, found, last)
        number, term = (0, 0) if found is None else (found.number, found.term)
        if newest is not None:  # the other nodes know a leader of that term, and follow none of an older one
            number, term = max(number, newest.number), max(term, newest.term)
        position = Position(cluster, number, term, secrets.token_bytes(DIGEST), last or 0)

        def write(connection: sqlite3.Connection) -> None:
            write_position(connection, position)
            if again:
                new_epoch(connection)

        await trio.to_thread.run_sync(_write, path, write)
    await stream.create()  # a node that waits for it finds the database free
    _log.info("the cluster %s begins with %s", cluster, path)
    return position


def _require_first(path: Path, cluster: str, found: Position | None, last: int | None) -> None:
    """Refuse to begin a cluster that has begun.

    Raises:
        CannotBegin: it has.
    """
    if last:
        raise CannotBegin(
            f"the cluster {cluster} has begun already: its stream has {last:,} entries. This node takes a copy of"
            " its database: relay cluster join"
        )
    if found is not None and found.number:
        raise CannotBegin(
            f"{path} is of the cluster {cluster} already, and its stream is not in NATS any more. If the other"
            " nodes' databases are no newer than this one, begin with it again: relay cluster begin --again"
        )


async def _end_of(stream: Stream) -> tuple[int | None, Record | None]:
    """Return the last entry's place in a stream, None without a stream, and the newest record if it can be read.

    Raises:
        Unreachable: NATS did not answer.
    """
    try:
        last = await stream.last()
    except NoStream:
        return None, None
    newest: Record | None = None
    back = 1
    while last and newest is None and back <= min(2 * last, _LONGEST_RECORD):
        newest = await _newest(stream, max(last - back, 0), last)
        back *= 4
    return last, newest


async def _newest(stream: Stream, after: int, last: int) -> Record | None:
    """Return the newest whole record among the last entries; None if there is none, or they are kept no more."""
    found: Record | None = None
    assembler = Assembler()
    with trio.move_on_after(_READ_SECONDS):
        try:
            async with stream.entries(after) as entries:
                async for entry in entries:
                    try:
                        for record in assembler.add(entry.data):
                            found = record
                    except Damaged:
                        pass  # the end of a record whose beginning is further back
                    if entry.sequence >= last:
                        break
        except (Missing, NoStream):
            return None
    return found


def leave(path: Path) -> str:
    """Make a database one of its own, in no cluster; its server is stopped. Return which cluster it was in.

    Its epoch stays, so that its clients go on where they are. A database that is to be used beside the cluster
    that it was in comes from a backup instead: a restored one has a new epoch.

    Raises:
        CannotBegin: it is in none.
        StorageError: another relay uses the database, or it cannot be opened.
    """
    with locked(path):
        if not path.stat().st_size:
            path.unlink()  # the lock has made it
            raise CannotBegin(f"there is no database {path}")
        check_beside(path)
        log_is_gone = has_no_log(path)
        with _opened(path) as connection:
            check_ours(connection, path)
            position = read_position(connection)
        if position is None:
            raise CannotBegin(f"{path} is in no cluster")

        def write(connection: sqlite3.Connection) -> None:
            forget_position(connection)
            _settle_run(connection, log_is_gone=log_is_gone)

        _write(path, write)
    return position.cluster


def _prepare(path: Path) -> Position | None:
    """Bring a database to the newest schema, check its tables, and return its position in a cluster.

    Raises:
        CannotBegin: some tables cannot be in a cluster.
        StorageError: it cannot be opened.
    """
    check_beside(path)
    log_is_gone = has_no_log(path)
    with _told(path):
        migrate(path, of_cluster=True)
    with _opened(path) as connection:
        position = read_position(connection)
        if position is None:
            connection.execute("BEGIN IMMEDIATE")
            _settle_run(connection, log_is_gone=log_is_gone)
            connection.execute("COMMIT")
        _check_tables(connection, path)
    return position


def _settle_run(connection: sqlite3.Connection, *, log_is_gone: bool) -> None:
    """Find out what the next start of a server would, before the write-ahead log is emptied: see `begin_run`."""
    begin_run(connection, log_is_gone=log_is_gone)
    end_run(connection)


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse tables whose changes cannot be recorded.

    Raises:
        CannotBegin: there are some; the message names each, and its plugin.
    """
    plugins, bad = plugins_with_tables(connection), []
    for table, reason in unrecorded(connection):
        owner = part_of(table, plugins)
        whose = "" if owner == OTHER else f" of {owner}"
        bad.append(f"{table}{whose}: {reason}")
    if bad:
        raise CannotBegin(
            f"tables of {path} cannot be in a cluster, as their rows cannot be told apart: {'; '.join(bad)}. Each"
            " table needs a primary key that is NOT NULL"
        )


def _write(path: Path, job: Callable[[sqlite3.Connection], object]) -> None:
    """Run a job in a transaction of its own, and wait until it is on the disk."""
    with _opened(path) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        job(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with _told(path), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell errors of SQLite's as one of the database.

    Raises:
        StorageError: the block failed.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"cannot open the database {path}: {in_words(error, path)}") from error
