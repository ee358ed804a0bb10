"""The database file: its path, its lock, and opening it."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from relay.storage.errors import StorageError, StorageInUse
from relay.storage.health import in_words
from relay.storage.identity import begin_run
from relay.storage.identity import read_epoch as read_epoch
from relay.storage.jobs import Runner
from relay.storage.runners import InlineRunner, ThreadRunner
from relay.storage.upgrading import migrate
from relay.storage.write_ahead import check_beside, has_no_log, log_of

_log: Final = logging.getLogger("relay.storage")


def path_problem(path: Path) -> str | None:
    """Return why no database can be used at a path, and what would be right; None if one can."""
    if path.is_dir():
        return f"{path} is a folder; a file is named, such as relay.db in it"
    folder = path.parent
    if not folder.is_dir():
        there = "is not a folder" if folder.exists() else "is not there"
        return f"the folder {folder} {there}; make it, or correct the path"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} cannot be written to by this user"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} cannot be read and written by this user"
    return None


class Lock:
    """The exclusive lock of one process on one database, held while the process lives.

    It is taken on the file `NAME.lock` and on the database itself: the lock file may be deleted by hand, and the
    database may be replaced. The database's descriptor must not be closed before SQLite has closed the file: POSIX
    releases all of a process's record locks on a file when the process closes any descriptor of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = log_of(path)
        self._descriptors: list[int] = []
        self._files: list[tuple[str, int, int]] = []
        for file in (path.with_name(path.name + ".lock"), path):
            try:
                if file is path and not path.exists():
                    check_beside(path)  # SQLite deletes the log of a database that is empty
                self._descriptors.append(os.open(file, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
                fcntl.flock(self._descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                opened = os.fstat(self._descriptors[-1])
                if _moved(str(file), opened.st_dev, opened.st_ino):  # deleted between the two, and maybe made anew
                    raise BlockingIOError
            except BlockingIOError:
                self.release()
                raise StorageInUse(
                    f"{path} is in use by another relay; stop it, or give this one another [storage] path"
                ) from None
            except (OSError, StorageError):
                self.release()
                raise
        self._files.append((str(path), opened.st_dev, opened.st_ino))

    def watch_log(self) -> None:
        """Watch the write-ahead log as well, which stays the same file until the database is closed."""
        found = os.stat(self._wal)
        self._files.append((str(self._wal), found.st_dev, found.st_ino))

    def moved(self) -> bool:
        """Return whether another file, or none, is where the database or its log was."""
        return any(_moved(*file) for file in self._files)

    def release(self) -> None:
        """Release the lock."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def _moved(path: str, device: int, inode: int) -> bool:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a disk that fails says so at the commit itself
        return False
    return (found.st_ino, found.st_dev) != (inode, device)


@asynccontextmanager
async def open_runner(
    path: Path,
    *,
    durability: str = "full",
    readers: int = 4,
    read_seconds: float = 5.0,
    inline: bool = False,
    copy_before_upgrade: bool = True,
    recorded: bool = False,
    on_rollback: Callable[[], None],
) -> AsyncIterator[Runner]:
    """Open the database (create it with mode 0600, migrate it); on exit finish the queue and close it.

    Args:
        copy_before_upgrade: whether the file is copied before its schema's upgrade changes rows.
        recorded: whether the writer's changes can be recorded, for `Runner.replicate`.

    Raises:
        StorageError: the file cannot be opened, is not a relay database, has a log that is not its own, or another
            relay is using it.
    """
    previous = os.umask(0o077)
    try:
        if (problem := path_problem(path)) is not None:
            raise StorageError(f"[storage] path: {problem}")
        lock = Lock(path)
        try:
            check_beside(path)
            log_is_gone = has_no_log(path)
            migrate(path, copy=copy_before_upgrade, of_cluster=recorded)
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).chmod(0o600)
            made: Runner = (
                InlineRunner(path, on_rollback, recorded=recorded)
                if inline
                else ThreadRunner(path, durability, readers, read_seconds, on_rollback, recorded=recorded)
            )
        except BaseException:
            lock.release()
            raise
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"cannot open the database {path}: {in_words(error, path)}") from error
    finally:
        os.umask(previous)
    try:
        # What a cluster's node has lost with its log, it reads in the cluster's stream again.
        if await made.write(partial(begin_run, log_is_gone=log_is_gone and not recorded)):
            _log.warning(
                "%s was not closed, and its write-ahead log is gone: it is a copy, or what was stored last is"
                " lost; it has a new epoch, so that clients ask for everything anew",
                path,
            )
        await made.checkpoint()  # into the file itself, where it is found without the log
        lock.watch_log()
        made.health.moved = lock.moved
        yield made
    finally:
        await made.aclose()
        lock.release()
