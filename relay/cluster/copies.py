"""Copies of the leader's database for nodes that are new, or whose own does not fit the stream.

The leader makes a copy on its disk while it goes on writing, and sends that; its name there is gone before. While
it is made a frame comes each second, so that a leader that is dead is told from one that is slow. The digest of
all bytes comes last. `relay.cluster.fetching` is the other side.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import trio

from relay.cluster.copy_frames import DIGEST, LONGEST_TEXT, PIECE, Frame, pack_sizes, send_frame
from relay.protocol.errors import said
from relay.services.long_work import on_modest_thread
from relay.storage.cluster import read_position
from relay.storage.copying import Progress, copy, in_units
from relay.storage.errors import BackupFailed
from relay.storage.health import in_words
from relay.storage.identity import end_run
from relay.storage.replacing import outgoing

_log: Final = logging.getLogger("relay.cluster")

_AT_ONCE: Final = 2
"""How many copies one leader makes or sends at once."""

_TELL_SECONDS: Final = 1.0
_LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
"""What sending raises where the other node is gone."""


class Copies:
    """Makes copies of the leader's database and sends them, a few at once.

    Args:
        path: of the database, which is open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free = list(range(_AT_ONCE))
        self._limiter = trio.CapacityLimiter(_AT_ONCE)

    async def send(self, stream: trio.abc.SendStream, node: str) -> None:
        """Send a copy to a node, or why there is none; what became of it is in the log."""
        began = trio.current_time()
        try:
            size = await self._send(stream)
        except BackupFailed as failed:
            _log.error("node %s was sent no copy of the database: %s", node, said(failed))
        except _LOST:
            _log.warning("node %s has not taken the copy of the database that it had asked for", node)
        else:
            took = trio.current_time() - began
            _log.info("sent node %s a copy of the database: %s in %.1f s", node, in_units(size), took)

    async def _send(self, stream: trio.abc.SendStream) -> int:
        try:
            if not self._free:
                raise BackupFailed(f"{_AT_ONCE} other nodes are taking copies; a node asks again by itself")
            number = self._free.pop()
            try:
                descriptor = await self._make(outgoing(self._path, number), stream)
                with open(descriptor, "rb") as file:  # noqa: ASYNC230 - a descriptor is opened already
                    return await _send_file(file, stream)
            finally:
                self._free.append(number)
        except BackupFailed as failed:
            await send_frame(stream, Frame.REFUSED, str(failed).encode()[:LONGEST_TEXT])
            raise

    async def _make(self, target: Path, stream: trio.abc.SendStream) -> int:
        """Make a copy, tell the other node how far it is, and return an open descriptor of it."""
        progress, broken = Progress(), list[Exception]()
        made = trio.Event()

        async def tell() -> None:
            try:
                while not made.is_set():
                    about = pack_sizes(progress.done, progress.total)
                    await send_frame(stream, Frame.MAKING, about)
                    with trio.move_on_after(_TELL_SECONDS):
                        await made.wait()
            except _LOST as error:
                broken.append(error)
                progress.stop()

        failed: BackupFailed | None = None
        found = -1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            try:
                work = partial(_make, self._path, target, progress)
                found = await on_modest_thread(work, progress, self._limiter)
            except BackupFailed as error:  # raised below: the nursery would wrap it
                failed = error
            made.set()
        if failed is None and not broken:
            return found
        if found >= 0:
            os.close(found)
        raise broken[0] if broken else failed or BackupFailed("the copy was not made")


def _make(path: Path, target: Path, progress: Progress) -> int:
    """Copy a database that is open into a file, and return a descriptor of it; its name is gone then.

    Raises:
        BackupFailed: it was not made.
    """

    def finish(part: Path) -> None:
        with closing(sqlite3.connect(part, isolation_level=None)) as connection:
            if read_position(connection) is None:
                raise BackupFailed("the database is no cluster's")
            end_run(connection)  # it is the leader's that runs

    try:
        copy(path, target, progress, alone=False, finish=finish, replace=True)
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        target.unlink()
    except (sqlite3.Error, OSError) as error:
        raise BackupFailed(f"the copy {target} cannot be made: {in_words(error, target)}") from error
    return descriptor


async def _send_file(file: Any, stream: trio.abc.SendStream) -> int:
    """Send a file with its size before it and its digest behind it; return its size."""
    size = os.fstat(file.fileno()).st_size
    digest = blake2b(digest_size=DIGEST)

    def read() -> bytes:
        try:
            piece: bytes = file.read(PIECE)
        except OSError as error:
            raise BackupFailed(f"the copy cannot be read: {error.strerror or said(error)}") from error
        digest.update(piece)
        return piece

    await send_frame(stream, Frame.SIZE, pack_sizes(size, size))
    while piece := await trio.to_thread.run_sync(read):
        await send_frame(stream, Frame.BYTES, piece)
    await send_frame(stream, Frame.END, digest.digest())
    return size
