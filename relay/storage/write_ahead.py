"""The write-ahead log beside a database, looked at before SQLite opens the two.

SQLite applies whatever log it finds. One that was left behind by another file, as after a backup was copied over a
database whose server was killed, would spoil both. Three things tell a log that is not the file's own
(https://sqlite.org/fileformat2.html#the_write_ahead_log):

- The file is not in WAL mode: it is a copy that `VACUUM INTO` made, and a copy has no log.
- The file has another size of page, or is not there.
- The file was changed after the log, and not by a checkpoint: no page of it is one of the log's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from relay.storage.errors import StorageError

_MAGIC: Final = frozenset({0x377F0682, 0x377F0683})
_HEADER: Final = 32
_FRAME: Final = 24
_SLACK_SECONDS: Final = 0.05
"""Both files of a pair may get new owners or modes at one time, in any order."""


def log_of(path: Path) -> Path:
    """Return the path of a database's write-ahead log."""
    return path.with_name(path.name + "-wal")


def has_no_log(path: Path) -> bool:
    """Return whether a database has no write-ahead log of its own: there is none, or it is a copy."""
    try:
        with path.open("rb") as database:
            return not log_of(path).exists() or _is_copy(database.read(100))
    except FileNotFoundError:
        return True


def _is_copy(header: bytes) -> bool:
    return header[18:19] == b"\x01"  # not in WAL mode


def check_beside(path: Path) -> None:
    """Check that the write-ahead log beside a database can be its own; nothing is changed.

    Raises:
        StorageError: it cannot; the message names both files and what to do.
    """
    log = log_of(path)
    try:
        with log.open("rb") as file:
            header = file.read(_HEADER)
            if len(header) < _HEADER or _number(header, 0) not in _MAGIC:
                return  # nothing in it that SQLite would apply
            if (why := _why_not(path, file, header)) is not None:
                shown = why.format(log=log, index=path.with_name(path.name + "-shm"))
                raise StorageError(
                    f"{log} is not the write-ahead log of {path}: {shown}. Nothing was opened or changed: SQLite"
                    " would mix the two and spoil both"
                )
    except FileNotFoundError:
        return


_AWAY: Final = "; move {log} and {index} away"
_NEW: Final = "; put the database back, or, for a new and empty one, move {log} and {index} away"


def _why_not(path: Path, log: IO[bytes], header: bytes) -> str | None:
    """Return why a log cannot be a database's own, and what to do; None if it can."""
    try:
        database = path.open("rb")
    except FileNotFoundError:
        return f"that database is not there{_NEW}"
    with database:
        first = database.read(100)
        if len(first) < 100:
            return f"that file is empty{_NEW}"
        if _is_copy(first):
            return f"that file is a copy, as a backup makes it, which has no such log{_AWAY}"
        size = _number(header, 8)
        if int.from_bytes(first[16:18]) != (size if size < 65_536 else 1):
            return f"their pages differ in size{_AWAY}"
        if not _changed_later(database, log) or _has_page_of(database, log, size):
            return None
    return (
        f"the database was changed after it, and not by relay: was it restored from a backup?{_AWAY}. If they"
        " belong together all the same, as after a change of owners: touch {log}"
    )


def _changed_later(database: IO[bytes], log: IO[bytes]) -> bool:
    changes = [os.fstat(file.fileno()).st_ctime for file in (database, log)]
    return changes[0] > changes[1] + _SLACK_SECONDS


def _has_page_of(database: IO[bytes], log: IO[bytes], size: int) -> bool:
    """Return whether a page of the database is the log's: a checkpoint wrote it, so they are a pair."""
    found = False
    for number, page in _committed(log, size):
        found = True
        database.seek((number - 1) * size)
        if database.read(size) == page:
            return True
    return not found  # a log without a commit is not applied


def _committed(log: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pages of the log's whole transactions, with their numbers."""
    last = 0
    for index, (_number_of, committed, _page) in enumerate(_frames(log, size)):
        if committed:
            last = index + 1
    for index, (number, _committed_now, page) in enumerate(_frames(log, size)):
        if index >= last:
            return
        yield number, page


def _frames(log: IO[bytes], size: int) -> Iterator[tuple[int, bool, bytes]]:
    log.seek(0)
    salts = log.read(_HEADER)[16:24]
    while len(frame := log.read(_FRAME + size)) == _FRAME + size and frame[8:16] == salts:
        yield _number(frame, 0), _number(frame, 4) != 0, frame[_FRAME:]


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])
