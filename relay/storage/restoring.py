"""A database put back from a backup: checked, given a new epoch, and in the place of the old one in one step."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from relay.protocol.envelope import encode_json
from relay.protocol.errors import said
from relay.storage.checking import Contents, check
from relay.storage.cluster import forget_position
from relay.storage.copying import Progress, copy, open_to_read, sync_folder
from relay.storage.database import Lock
from relay.storage.errors import BackupFailed, StorageError
from relay.storage.identity import end_run, new_epoch
from relay.storage.write_ahead import check_beside, log_of

RESTORED: Final = "restored"
"""The fact of a restored database, until its first start has noted it in the audit log."""

_SIDES: Final = ("-wal", "-shm")
_MOST: Final = 1000


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A restored database. `aside` is where the old one is now, `erased` who had been erased there and is back."""

    contents: Contents
    aside: str | None
    erased: list[str]


def restore(backup: Path, database: Path, progress: Progress, *, uid: int) -> Restored:
    """Put a backup in the place of a database that no server runs on; what was there before is set aside.

    The database's name leads to the old file, whole, or to the new one, whole, whenever this is interrupted.

    Args:
        uid: who restores, for the audit log.

    Raises:
        BackupFailed: the backup is no good, or there is no room for it; the database is as it was.
        StorageInUse: a server runs on it.
    """
    contents = check(backup, progress)
    if contents.problems:
        raise BackupFailed(f"{backup} is damaged, and nothing was restored: {'; '.join(contents.problems[:3])}")
    if not database.parent.is_dir():
        raise BackupFailed(f"the folder {database.parent} does not exist; make it, or correct [storage] path")
    if backup.exists() and database.exists() and os.path.samefile(backup, database):
        raise BackupFailed(f"{backup} is the database itself; name a backup")
    try:
        with _locked(database) as there:
            fresh = database.with_name(database.name + ".restored")
            _copy(backup, fresh, progress, uid)
            erased = _erased_since(database, fresh) if there else []
            try:
                aside = _set_aside(database) if there else None
                os.rename(fresh, database)
            finally:
                fresh.unlink(missing_ok=True)
            sync_folder(database.parent)
    except OSError as error:
        raise BackupFailed(
            f"{database} cannot be replaced: {error.strerror or said(error)}; it is as it was"
        ) from error
    return Restored(contents=contents, aside=None if aside is None else str(aside), erased=erased)


@contextmanager
def _locked(database: Path) -> Iterator[bool]:
    """Keep servers from a database for the time of the block; yield whether there is one."""
    there = database.exists()
    if not there and log_of(database).exists():  # of a file that was lost: kept, and out of the way
        os.rename(log_of(database), log_of(_name_aside(database)))
    lock = Lock(database)
    try:
        yield there
    finally:
        if not there and not database.stat().st_size:
            database.unlink()  # the lock has made it
        lock.release()


def _copy(backup: Path, fresh: Path, progress: Progress, uid: int) -> None:
    def finish(part: Path) -> None:
        note = {"from": backup.name, "at": time.time(), "uid": uid}
        with closing(sqlite3.connect(part, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            new_epoch(connection)
            forget_position(connection)
            end_run(connection)  # the copy of a running server's is not one
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (RESTORED, encode_json(note).decode())
            )
            connection.execute("COMMIT")

    copy(backup, fresh, progress, alone=True, finish=finish, replace=True)


def _erased_since(old: Path, new: Path) -> list[str]:
    """Return the users who were erased in the old database only; none if it cannot be read."""
    erased: list[set[str]] = []
    for path in (old, new):
        try:
            with closing(open_to_read(path, alone=True)) as connection:
                erased.append({row[0] for row in connection.execute("SELECT user_id FROM erasures")})
        except sqlite3.Error:
            erased.append(set())
    return sorted(erased[0] - erased[1])[:_MOST]


def _set_aside(database: Path) -> Path:
    """Give the old database, with its write-ahead log in it, a second name; return that.

    Where the file or its log is damaged, both are kept as they are: SQLite would throw away what it cannot read.
    """
    with suppress(sqlite3.Error, StorageError):
        check_beside(database)
        with closing(open_to_read(database, alone=True)) as connection:
            connection.execute("SELECT value FROM facts").fetchall()
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = _name_aside(database)
    left = [side for side in _SIDES if database.with_name(database.name + side).exists()]
    os.link(database, aside)
    for side in left:
        os.link(database.with_name(database.name + side), aside.with_name(aside.name + side))
    sync_folder(database.parent)
    for side in left:  # beside the new file they would destroy it
        database.with_name(database.name + side).unlink()
    return aside


def _name_aside(database: Path) -> Path:
    """Return a name beside a database that no file has, nor a write-ahead log of that name."""
    stem = f"{database.name}.before-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (database.with_name(stem if number == 1 else f"{stem}-{number}") for number in range(1, 1000))
    return next(one for one in names if not one.exists() and not log_of(one).exists())
