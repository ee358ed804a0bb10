"""The database's health: commits are counted; the log says when they begin to fail and when they work again."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from relay.protocol.errors import said
from relay.storage.errors import NotReplicated, StorageBroken, StorageError, StorageFailed, TransactionEnded

_log: Final = logging.getLogger("relay.storage")

_QUIET_SECONDS: Final = 5.0
"""Seconds without a failed commit until the disk counts as healthy: on a full disk small commits still succeed."""

_ROOM: Final = 1 << 20
"""Free bytes below which a disk counts as full: SQLite reports some failures of a full disk under other names."""

_DISKS: Final = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _code(failure: BaseException) -> int:
    """Return SQLite's primary result code (https://sqlite.org/rescode.html); 1 if a failure has none."""
    return getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def is_the_disks(failure: BaseException) -> bool:
    """Return whether a failure is the database's (full, broken), and not a mistake in somebody's statement.

    Busy, locked and cannot-open do not count: in a transaction of the only writer they can only come from the
    statement's own code, such as an open cursor or another database of a plugin's.
    """
    return isinstance(failure, sqlite3.Error) and _code(failure) in _DISKS


def is_broken(failure: BaseException) -> bool:
    """Return whether a failure says that the file is damaged, so that retrying is useless."""
    return isinstance(failure, sqlite3.Error) and _code(failure) in _BROKEN


def in_words(failure: BaseException, path: Path) -> str:
    """Return why the database at `path` cannot be used, and what the operator can do about it."""
    text, code = said(failure), _code(failure)
    if isinstance(failure, OSError):
        text = failure.strerror or text
    if path.is_dir():
        return "that is a folder; [storage] path names a file"
    if isinstance(failure, sqlite3.Error) and code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and _full(path):
        return f"the disk is full ({text}); make room on it"
    if code == sqlite3.SQLITE_CORRUPT:
        return (
            f"the file is damaged ({text}); keep it and its -wal file as they are, and put a backup in their"
            " place: docs/operate/backup.md"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return f"{text}; see whether [storage] path names the right file, or put a backup in its place"
    return text


def _full(path: Path) -> bool:
    try:
        free = os.statvfs(path.parent)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < _ROOM


def _stays() -> bool:
    return False


class Health:
    """The results of the writer's transactions since the start.

    The numbers are read on any thread, and changed by the one that holds the writer.

    Args:
        path: of the database.
        clock: returns monotonic seconds, on any thread.

    Attributes:
        stood: number of transactions that are on the disk.
        failed: number of transactions, and of single jobs in one, that the disk did not take.
        reason: why they fail; None while they succeed.
        broken: the failure that no retry can help, which ends the server; None otherwise.
        moved: returns whether the path names another file than the open one, or none.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self.stood = 0
        self.failed = 0
        self.reason: str | None = None
        self.broken: StorageBroken | None = None
        self.moved: Callable[[], bool] = _stays
        self._began_at = self._last_at = 0.0
        self._failed_before = 0
        self._refuser = ""

    def note(self, failure: BaseException | None) -> None:
        """Count a transaction: None for a commit, or what it failed with."""
        if failure is None:
            self.stood += 1
            if self.reason is not None:
                self._recover()
            return
        if isinstance(failure, TransactionEnded):
            _log.error("%s", failure, exc_info=failure.__cause__)
            return
        now = self._clock()
        self.failed += 1
        self._last_at = now
        if self.reason is None:
            self._began_at, self._failed_before = now, self.failed - 1
            self.reason = in_words(failure, self._path)
            _log.error("%s: %s; what comes is refused until it does", self._refuses(failure), self.reason)

    def _refuses(self, failure: BaseException) -> str:
        """Return who it is that does not take what is written."""
        self._refuser = "the cluster" if isinstance(failure, NotReplicated) else "the disk"
        return f"{self._refuser} does not take what is written"

    def check_place(self) -> None:
        """Check that what is stored would be in the file that the path names.

        Raises:
            StorageBroken: the file or its write-ahead log was replaced, moved or deleted.
        """
        if self.moved():
            self.broken = StorageBroken(
                f"the database {self._path}, or its write-ahead log, was replaced, moved or deleted while this"
                " server ran; it ends, so that nothing is acknowledged that is in no file. Stop a server before"
                " its database is changed"
            )
            raise self.broken

    def check_damage(self, failure: sqlite3.Error) -> None:
        """Check that a read has not failed at damage in the file, which is the end of the server.

        Raises:
            StorageBroken: it has.
        """
        # An index of a plugin's that is damaged costs its searches, and can be built anew.
        if is_broken(failure) and failure.sqlite_errorcode != sqlite3.SQLITE_CORRUPT_VTAB:
            raise self.explained(failure) from failure

    def explained(self, failure: BaseException) -> StorageError:
        """Return the error for everybody who waits for a transaction that the disk did not take."""
        if isinstance(failure, StorageBroken):
            self.broken = self.broken or failure
            return failure
        if isinstance(failure, StorageFailed):
            return failure
        if is_broken(failure):
            self.broken = StorageBroken(
                f"the database {self._path} cannot be used: {in_words(failure, self._path)}"
            )
            return self.broken
        return StorageFailed(f"the commit did not reach the disk: {in_words(failure, self._path)}")

    def _recover(self) -> None:
        now = self._clock()
        if now - self._last_at < _QUIET_SECONDS:
            return
        _log.warning(
            "%s takes what is written again, after %.0f s and %d failed commits",
            self._refuser,
            now - self._began_at,
            self.failed - self._failed_before,
        )
        self.reason = None
