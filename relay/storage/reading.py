"""Reading a database beside the server that may run on it, or in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.protocol.errors import said
from relay.storage.database import Lock
from relay.storage.errors import BackupFailed, StorageInUse
from relay.storage.write_ahead import check_beside


@contextmanager
def reading(database: Path) -> Iterator[bool]:
    """Run a block that reads a database; yield whether no server runs on it, and keep it so for the block.

    Raises:
        BackupFailed: there is no such file, or it may not be read.
        StorageError: the write-ahead log beside it is not its own.
    """
    if not database.is_file():
        raise BackupFailed(f"there is no database {database}; see whether [storage] path is right")
    try:
        lock = Lock(database)
    except StorageInUse:
        yield False
        return
    except OSError as error:
        raise BackupFailed(f"the database {database} cannot be opened: {error.strerror or said(error)}") from None
    try:
        check_beside(database)
        yield True
    finally:
        lock.release()
