"""A database that takes over what another node's has changed: with no schema and no marks of its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from relay.storage.changesets import open_with_handle
from relay.storage.database import Lock, path_problem
from relay.storage.errors import StorageError
from relay.storage.health import in_words
from relay.storage.identity import end_run
from relay.storage.jobs import BUSY_MILLISECONDS, empty_wal
from relay.storage.replacing import settle
from relay.storage.runners import DURABILITY
from relay.storage.scrubbing import Scrubber, wipe
from relay.storage.write_ahead import check_beside


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Hold the lock of a database that may not be there yet, without opening it.

    A copy that was about to take its place does so first.

    Raises:
        StorageError: another relay uses it, or its folder cannot be used.
    """
    if (problem := path_problem(path)) is not None:
        raise StorageError(f"[storage] path: {problem}")
    previous = os.umask(0o077)
    try:
        lock = Lock(path)
        if _settled(path, lock):
            lock = Lock(path)
    except OSError as error:
        raise StorageError(f"cannot open the database {path}: {in_words(error, path)}") from error
    finally:
        os.umask(previous)
    try:
        yield lock
    finally:
        lock.release()


def _settled(path: Path, lock: Lock) -> bool:
    """Finish a replacement that was interrupted; tell whether there was one. Then, and where it fails, release."""
    try:
        if not settle(path):
            return False
    except BaseException:
        lock.release()
        raise
    lock.release()
    return True


@contextmanager
def open_replica(path: Path, durability: str = "full") -> Iterator[tuple[sqlite3.Connection, int]]:
    """Open a database that is there, to apply changesets; return the connection with its `sqlite3*`.

    Args:
        durability: as `[storage] durability`.

    Raises:
        StorageError: it cannot be opened.
        NotSupported: this Python's SQLite cannot apply changes.
    """
    try:
        check_beside(path)
        connection, handle = open_with_handle(
            lambda: sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        )
        with closing(connection):
            run = connection.execute
            run(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            run("PRAGMA temp_store = MEMORY")
            run("PRAGMA foreign_keys = OFF")  # what they did at the leader is among its changes
            run("PRAGMA journal_mode = WAL")
            run(f"PRAGMA synchronous = {DURABILITY[durability]}")
            run("PRAGMA journal_size_limit = 67108864")
            run("PRAGMA wal_autocheckpoint = 4000")
            run("PRAGMA secure_delete = ON")
            with suppress(sqlite3.Error):
                end_run(connection)  # left by a leader that was deposed; no server runs on it
            yield connection, handle
            run("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StorageError(f"cannot use the database {path}: {in_words(error, path)}") from error


@contextmanager
def purging(path: Path) -> Iterator[Callable[[sqlite3.Connection], bool]]:
    """Return what removes the copies of erased rows that SQLite left in the file and in its log.

    It returns False while somebody reads the file, and is to be called again then. The block ends after the
    connections to the file are closed: closing a descriptor of it drops the locks of all.
    """
    scrubber = Scrubber(path)

    def purge(connection: sqlite3.Connection) -> bool:
        if not empty_wal(connection):
            return False
        wipe(scrubber, scrubber.look(), connection)
        return True

    try:
        yield purge
    finally:
        scrubber.close()
