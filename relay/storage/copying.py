"""A copy of a whole database in one file, as it is at one moment, while others go on writing to it.

SQLite's `VACUUM INTO` reads on one snapshot, needs a few MiB of memory, and leaves out free pages and whatever was
erased. The writer does not wait for it; only the write-ahead log grows meanwhile, as it cannot be emptied.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from relay.protocol.errors import said
from relay.storage.errors import BackupFailed
from relay.storage.health import in_words
from relay.storage.sizes import file_sizes

PART: Final = ".part"
"""The end of a copy's name until it is whole."""

_SYNC_BYTES: Final = 4 << 20
"""How much a copy grows between two syncs, which it waits for. So little of it is before a commit of the database
in the queue of the disk; SQLite by itself would sync all of it at the end."""

_COPY_STEPS: Final = 500
"""SQLite's steps between two looks at a copy's size: some hundred rows, or as many chunks of files, 16 MiB."""

_LOOK_STEPS: Final = 500_000
"""SQLite's steps between two looks at whether to stop: some tens of milliseconds."""

_NICENESS: Final = 10

_MARGIN: Final = 8 << 20
"""Free bytes that a copy leaves on its disk, for the database may be on it as well."""

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Progress:
    """The state of long work on a file; it is read, and stopped, from any thread.

    Args:
        told: called after each step, on one of the work's own threads.

    Attributes:
        doing: what it does at the moment, in a word.
        done, total: bytes; `total` is an estimate, and 0 where nobody knows.
        stopped: whether somebody asked it to end.
    """

    def __init__(self, told: Callable[[Progress], None] | None = None) -> None:
        self.doing = "copying"
        self.done = self.total = 0
        self.stopped = False
        self._told = told
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def begin(self, doing: str, total: int) -> None:
        """Begin a part of the work."""
        self.doing, self.done, self.total = doing, 0, total
        self.move(0)

    def move(self, done: int) -> None:
        """Note how far the part has come.

        Raises:
            BackupFailed: it was stopped.
        """
        self.done = done
        if self._told is not None:
            self._told(self)
        if self.stopped:
            raise BackupFailed("stopped before its end")

    def stop(self) -> None:
        """Have the work end soon; it raises `BackupFailed`, and leaves nothing behind."""
        with self._lock:
            self.stopped = True
            if self._connection is not None:
                self._connection.interrupt()

    @contextmanager
    def on(self, connection: sqlite3.Connection, pulse: Callable[[], None] | None = None) -> Iterator[None]:
        """Run a block whose statements `stop` interrupts.

        Args:
            pulse: called again and again while they run; what it raises ends them.

        Raises:
            BackupFailed: it was stopped.
        """
        raised: list[Exception] = []

        def look() -> bool:
            if pulse is not None:
                try:
                    pulse()
                except Exception as error:
                    raised.append(error)
            return self.stopped or bool(raised)

        with self._lock:
            if self.stopped:
                raise BackupFailed("stopped before its end")
            self._connection = connection
        # An interrupt ends what runs at the moment; this ends what begins a moment later.
        connection.set_progress_handler(look, _LOOK_STEPS if pulse is None else _COPY_STEPS)
        try:
            yield
        except sqlite3.OperationalError:
            if raised:
                raise raised[0] from None
            raise
        finally:
            with self._lock:
                self._connection = None


def open_to_read(path: Path, *, alone: bool) -> sqlite3.Connection:
    """Open a database that nobody is to change by it.

    Args:
        alone: whether no other program has it open. Then no file is made beside it, unless a write-ahead log is
            there that has to be read as well.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    log = path.with_name(path.name + "-wal")
    fixed = alone and not (log.exists() and log.stat().st_size)
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if fixed else 'mode=ro'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def copy(
    source: Path,
    target: Path,
    progress: Progress,
    *,
    alone: bool,
    finish: Callable[[Path], None] | None = None,
    replace: bool = False,
) -> int:
    """Copy the database `source` into the file `target`, which then is whole and on the disk; return its bytes.

    Args:
        alone: whether no other program has the source open.
        finish: called with the copy before it has its name: checks it, or changes it.
        replace: whether the copy may take the place of a file.

    Raises:
        BackupFailed: it was not made. Nothing of it is left, and a file that was there before is as it was.
    """
    part = target.with_name(target.name + PART)
    try:
        if not replace and os.path.lexists(target):
            raise BackupFailed(f"{target} is there already; it is left as it is: choose another name")
        part.unlink(missing_ok=True)  # of a copy that was killed
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _fill(source, part, descriptor, progress, alone=alone)
            if finish is not None:
                finish(part)
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
            os.rename(part, target)
            sync_folder(target.parent)
        finally:
            os.close(descriptor)
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BackupFailed(f"{target} cannot be written: {error.strerror or said(error)}") from error
    return size


def sync_folder(folder: Path) -> None:
    """Have the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(source: Path, part: Path, descriptor: int, progress: Progress, *, alone: bool) -> None:
    at = source
    try:
        with closing(open_to_read(source, alone=alone)) as connection:
            size = file_sizes(connection, source).used
            _require_room(part, size)
            progress.begin("copying", size)
            at = part  # what fails from here on is mostly the disk of the copy
            with progress.on(connection, _synced(descriptor, progress)):
                connection.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.Error as error:
        if progress.stopped:
            raise BackupFailed("stopped before its end") from None
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            at = source
        what = f"the database {at} cannot be read" if at == source else f"{at} cannot be written"
        raise BackupFailed(f"{what}: {in_words(error, at)}") from error


def _require_room(part: Path, size: int) -> None:
    free = room(part.parent)
    if free < size + _MARGIN:
        raise BackupFailed(
            f"there is no room for the copy: it takes about {in_units(size)}, and on the disk of {part.parent}"
            f" {in_units(free)} are free, of which {in_units(_MARGIN)} are to stay so; make room, or choose"
            " another folder"
        )


def room(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def in_units(size: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    amount, power = float(size), 0
    while amount >= 1024 and power < len(_UNITS) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.1f} {_UNITS[power]}" if power else f"{size} bytes"


def _synced(descriptor: int, progress: Progress) -> Callable[[], None]:
    """Return what syncs a file while it grows, whenever there is enough of it, and tells how far it is."""
    last = 0

    def pulse() -> None:
        nonlocal last
        size = os.fstat(descriptor).st_size
        if size - last >= _SYNC_BYTES:
            last = size
            os.fdatasync(descriptor)
            progress.move(min(size, progress.total))

    return pulse


def be_modest() -> None:
    """Let all other threads of the machine go before this one, for good; where a thread can be told apart."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
