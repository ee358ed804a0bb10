"""The database file: its lock, opening it, and its epoch."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from relay.storage.errors import StorageError, StorageInUse
from relay.storage.health import in_words
from relay.storage.jobs import Runner
from relay.storage.migrations import migrate
from relay.storage.runners import InlineRunner, ThreadRunner


def read_epoch(connection: sqlite3.Connection) -> str:
    """Return the epoch, the name of this database's life; a restore gets a new one (docs/operate/backup.md)."""
    return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


class Lock:
    """The exclusive lock of one process on one database, held while the process lives.

    It is taken on the file `NAME.lock` and on the database itself: the lock file may be deleted by hand, and the
    database may be replaced. The database's descriptor must not be closed before SQLite has closed the file: POSIX
    releases all of a process's record locks on a file when the process closes any descriptor of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptors: list[int] = []
        for file in (path.with_name(path.name + ".lock"), path):
            try:
                self._descriptors.append(os.open(file, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
                fcntl.flock(self._descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.release()
                raise StorageInUse(
                    f"{path} is in use by another relay; stop it, or give this one another [storage] path"
                ) from None
            except OSError:
                self.release()
                raise

    def moved(self) -> bool:
        """Return whether the path no longer names the file that is open: it was replaced, renamed or deleted."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptors[-1]))

    def release(self) -> None:
        """Release the lock."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


@asynccontextmanager
async def open_runner(
    path: Path,
    *,
    durability: str = "full",
    readers: int = 4,
    read_seconds: float = 5.0,
    inline: bool = False,
    on_rollback: Callable[[], None],
) -> AsyncIterator[Runner]:
    """Open the database (create it with mode 0600, migrate it); on exit finish the queue and close it.

    Raises:
        StorageError: the file cannot be opened, is not a relay database, or another relay is using it.
    """
    previous = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path)
        try:
            migrate(path)
        except BaseException:
            lock.release()
            raise
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"cannot open the database {path}: {in_words(error, path)}") from error
    finally:
        os.umask(previous)
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)
    made: Runner = (
        InlineRunner(path, durability, on_rollback)
        if inline
        else ThreadRunner(path, durability, readers, read_seconds, on_rollback)
    )
    made.moved = lock.moved
    try:
        yield made
    finally:
        await made.aclose()
        lock.release()
