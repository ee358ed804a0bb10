"""The database file: who may use it, opening it, and its epoch."""

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
    """Return the name of this database's life; docs/operate/backup.md tells how a restore gives it a new one."""
    return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


class Lock:
    """The claim of one process on one database, held while the process lives.

    It is on the file `NAME.lock` and on the database itself: the one is deleted by tidy people, and the other
    may be replaced. The database's descriptor must not be closed before SQLite has closed the file: POSIX takes
    all of a process's record locks on a file with the first descriptor that it closes.
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
        """Tell whether the path names another file by now, or none: the one that is written to was replaced."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._descriptors[-1]))

    def release(self) -> None:
        """Give the claim up."""
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
    """Open (and create, mode 0600, and migrate) the database; close it after everything queued is done.

    Raises:
        StorageError: the file cannot be opened, is no relay database, or another relay is using it.
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
