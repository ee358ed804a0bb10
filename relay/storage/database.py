"""The database file: who may use it, opening it, and its epoch."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from relay.storage.errors import StorageError, StorageInUse
from relay.storage.jobs import Runner
from relay.storage.migrations import migrate
from relay.storage.runners import InlineRunner, ThreadRunner


def read_epoch(connection: sqlite3.Connection) -> str:
    """Return the name of this database's life; docs/operate/backup.md tells how a restore gives it a new one."""
    return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


class Lock:
    """The claim of one process on one database: `NAME.lock` beside it, held while the process lives."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StorageInUse(
                f"{path} is in use by another relay; stop it, or give this one another [storage] path"
            ) from None

    def release(self) -> None:
        """Give the claim up."""
        os.close(self._descriptor)


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
        raise StorageError(f"cannot open the database {path}: {error}") from error
    finally:
        os.umask(previous)
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)
    runner: Runner = (
        InlineRunner(path, durability, on_rollback)
        if inline
        else ThreadRunner(path, durability, readers, read_seconds, on_rollback)
    )
    try:
        yield runner
    finally:
        await runner.aclose()
        lock.release()
