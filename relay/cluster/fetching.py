"""A node's own copy of the leader's database: taken, checked, and put in the place of what it had."""

from __future__ import annotations

import logging
import os
import sqlite3
import ssl
from contextlib import closing
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final

import trio

from relay.cluster.beats import Beat
from relay.cluster.copy_frames import DIGEST, Frame, FrameReader, read_sizes
from relay.cluster.port import Purpose, connect
from relay.protocol.errors import said
from relay.services.long_work import on_modest_thread
from relay.storage.changesets import unrecorded
from relay.storage.cluster import Position, read_position
from relay.storage.copying import Progress, in_units, open_to_read, room
from relay.storage.errors import BackupFailed
from relay.storage.health import in_words
from relay.storage.identity import APPLICATION_ID
from relay.storage.replacing import arriving, drop_old, put_in_place
from relay.storage.replica import locked
from relay.storage.write_ahead import check_beside

_log: Final = logging.getLogger("relay.cluster")

_MAKING: Final = "copying at the leader"
_LOG_SECONDS: Final = 10.0
_SYNC_BYTES: Final = 16 << 20
_MARGIN: Final = 8 << 20
"""Free bytes that a copy leaves on the disk of the node that takes it."""


async def copy_from(
    beat: Beat, node: str, path: Path, cluster: str, progress: Progress, tls: ssl.SSLContext | None
) -> Position:
    """Fetch a copy from the leader of a beat, and put it in place; see `fetch_copy`.

    Args:
        node: this node's name.

    Raises:
        NodeRefused, OSError, ValueError: the leader is not reached; see `relay.cluster.port.connect`.
        BackupFailed, StorageError: as `fetch_copy` says.
    """
    stream = await connect(beat.address, beat.term, beat.key, Purpose.COPY, node, tls=tls)
    async with stream:
        return await fetch_copy(stream, path, cluster, progress)


async def fetch_copy(stream: trio.abc.ReceiveStream, path: Path, cluster: str, progress: Progress) -> Position:
    """Take the copy that `Copies.send` sends, and put it in the place of the node's database.

    Nobody has the database open meanwhile, and nobody holds its lock. A database that is there is replaced only if
    it is of the same cluster, or empty.

    Args:
        cluster: its name.

    Returns:
        The newest record that the copy has.

    Raises:
        BackupFailed: it did not come, or is no good; the database is as it was.
        StorageError: another relay uses the database, or it cannot be used.
    """
    limiter, began = trio.CapacityLimiter(1), trio.current_time()
    told = _Telling(progress)
    try:
        with locked(path):
            try:
                _check_replaceable(path, cluster)
                await _receive(FrameReader(stream), path, told)
                work = partial(_check, arriving(path), cluster, progress)
                position = await on_modest_thread(work, progress, limiter)
                await trio.to_thread.run_sync(put_in_place, path)
            finally:
                _remove_rest(path)
        size = await trio.to_thread.run_sync(_open_once, path)
    except OSError as error:
        raise BackupFailed(f"the copy cannot be stored: {error.strerror or said(error)}") from error
    took = trio.current_time() - began
    _log.info("this node has a new copy of the database: %s in %.1f s", in_units(size), took)
    return position


class _Telling:
    """Tells how far a copy has come: its progress at once, the log now and then."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._next = trio.current_time() + _LOG_SECONDS

    def begin(self, doing: str, total: int) -> None:
        self._progress.begin(doing, total)

    def move(self, done: int) -> None:
        """Note how far it has come.

        Raises:
            BackupFailed: it was stopped.
        """
        now, one = trio.current_time(), self._progress
        if now >= self._next:
            self._next = now + _LOG_SECONDS
            of = f"{in_units(done)} of {in_units(one.total)}"
            _log.info("a new copy of the database: %s, %s", one.doing, of)
        one.move(done)


async def _receive(frames: FrameReader, path: Path, told: _Telling) -> None:
    """Take a copy into the file beside the database that is named for it; it is on the disk then.

    Raises:
        BackupFailed: it did not come whole.
    """
    told.begin(_MAKING, 0)
    known = 0
    while (frame := await frames.next())[0] == Frame.MAKING:
        done, total = read_sizes(frame[1])
        if total and total != known:
            told.begin(_MAKING, total)
            known = total
        told.move(min(done, known))
    kind, body = frame
    if kind == Frame.REFUSED:
        raise BackupFailed(f"the leader gives no copy: {body.decode(errors='replace')}")
    if kind != Frame.SIZE:
        raise BackupFailed(f"what came from the leader is no copy: a frame of the kind {kind}")
    size, _ = read_sizes(body)
    _require_room(path, size)
    descriptor = os.open(arriving(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        told.begin("copying", size)
        await _fill(frames, descriptor, size, told)
        await trio.to_thread.run_sync(os.fsync, descriptor)
    finally:
        os.close(descriptor)


async def _fill(frames: FrameReader, descriptor: int, size: int, told: _Telling) -> None:
    digest, done, unsynced = blake2b(digest_size=DIGEST), 0, 0

    def write(piece: bytes, *, sync: bool) -> None:
        digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fdatasync(descriptor)

    while (frame := await frames.next())[0] == Frame.BYTES:
        piece = frame[1]
        done += len(piece)
        if done > size:
            break
        unsynced += len(piece)
        sync = unsynced >= _SYNC_BYTES
        await trio.to_thread.run_sync(partial(write, piece, sync=sync))
        unsynced = 0 if sync else unsynced
        told.move(done)
    kind, body = frame
    if kind == Frame.REFUSED:
        raise BackupFailed(f"the leader gives no copy: {body.decode(errors='replace')}")
    if kind != Frame.END or done != size:
        raise BackupFailed(f"the copy has {done:,} bytes, and not the {size:,} that it was said to have")
    if digest.digest() != body:
        raise BackupFailed("the copy was damaged on its way")


def _require_room(path: Path, size: int) -> None:
    free = room(path.parent)
    if free < size + _MARGIN:
        raise BackupFailed(
            f"there is no room for a copy of the cluster's database: it has {in_units(size)}, and on the disk of"
            f" {path.parent} {in_units(free)} are free, of which {in_units(_MARGIN)} are to stay so"
        )


def _check_replaceable(path: Path, cluster: str) -> None:
    """Refuse to replace a database that is not of the cluster: what only it has would be lost.

    Raises:
        BackupFailed: it is not.
        StorageError: the write-ahead log beside it is not its own.
    """
    if not path.stat().st_size:
        return
    check_beside(path)
    try:
        with closing(open_to_read(path, alone=True)) as connection:
            position = read_position(connection)
    except sqlite3.Error as error:
        raise BackupFailed(
            f"{path} cannot be read: {in_words(error, path)}. It is not replaced by a copy of the cluster's"
            " database: move it away, with the files beside it"
        ) from error
    if position is None or position.cluster != cluster:
        whose = "of no cluster" if position is None else f"of the cluster {position.cluster}"
        raise BackupFailed(
            f"{path} is {whose}, and what is in it would be lost: it is not replaced by a copy of the database of"
            f" the cluster {cluster}. Move it away, with the files beside it, if this node is to join"
        )


def _check(part: Path, cluster: str, progress: Progress) -> Position:
    """Check a copy that has come, and return the newest record that it has.

    It may be a newer relay's: this node follows with it all the same.

    Raises:
        BackupFailed: it cannot be used.
    """
    try:
        with closing(open_to_read(part, alone=True)) as connection, progress.on(connection):
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise BackupFailed("the copy is no database of relay's")
            progress.begin("checking", 0)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise BackupFailed(f"the copy is damaged: {found}")
            for table, reason in unrecorded(connection):
                raise BackupFailed(f"the table {table} of the copy cannot be in a cluster: {reason}")
            position = read_position(connection)
    except sqlite3.Error as error:
        if progress.stopped:
            raise BackupFailed("stopped before its end") from None
        raise BackupFailed(f"the copy cannot be read: {in_words(error, part)}") from error
    if position is None or position.cluster != cluster:
        raise BackupFailed(f"the copy is not of the cluster {cluster}")
    return position


def _open_once(path: Path) -> int:
    """Open the new database, and remove the old one; return its bytes.

    Raises:
        BackupFailed: it cannot be opened; the old one is still beside it.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            read_position(connection)
    except sqlite3.Error as error:
        raise BackupFailed(f"{path} cannot be opened: {in_words(error, path)}") from error
    drop_old(path)
    return path.stat().st_size


def _remove_rest(path: Path) -> None:
    """Remove what is left of a copy that was not put in place, and the empty file that the lock has made."""
    arriving(path).unlink(missing_ok=True)
    if path.exists() and not path.stat().st_size:
        path.unlink()
