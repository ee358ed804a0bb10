"""Lone commits: on a quick disk, a message that shares its commit with no other is committed on the event loop.

To hand it to the writer's thread, and the answer back, costs two wake-ups and the cold caches of another
processor: a sixth of a lone message's time (docs/topics/performance.md). But the event loop serves everybody, so
nothing that could take long may run there:

- Commits were quick lately, on either thread. One that was slow sends those after it to the thread: some ten after
  20 ms, some forty after a second.
- It waits for no lock. Where the thread is at work, or another process writes, the thread takes it.
- It never moves the write-ahead log into the file. The thread does, which is given one commit of 256 at least.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from relay.storage.jobs import BUSY_MILLISECONDS

CHECKPOINT_PAGES: Final = 4000
"""Pages of the write-ahead log from which on a commit of the writer's thread moves them into the file."""

_QUICK_SECONDS: Final = 0.002
"""What a commit may take, on average of the last ones, for the next one to run on the event loop."""

_WEIGHT: Final = 1 / 8
"""The last commit's part in that average."""

_AT_FIRST: Final = 0.1
"""The average before anything is known of the disk: some thirty quick commits bring it down."""

_IN_A_ROW: Final = 255


class LoneCommits:
    """Decides on which thread the next commit runs, and holds the writer for one of the two.

    Args:
        writer: the connection that writes; who holds it may use it, on any thread.
        clock: monotonic seconds, on any thread.
    """

    def __init__(self, writer: sqlite3.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._clock = clock
        self._held = threading.Lock()
        self._average = _AT_FIRST
        self._in_a_row = 0
        self._waits = True

    @contextmanager
    def thread(self) -> Iterator[None]:
        """Hold the writer for the writer's thread, and time what it does."""
        with self._held:
            self._in_a_row = 0
            self._wait_for_locks(waits=True)
            with self._timed():
                yield

    @contextmanager
    def here(self) -> Iterator[bool]:
        """Hold the writer for the event loop, in a transaction that has begun; False if the thread should."""
        quick = self._average <= _QUICK_SECONDS and self._in_a_row < _IN_A_ROW
        if not quick or not self._held.acquire(blocking=False):
            yield False
            return
        try:
            with self._timed():
                begun = self._begin()
                yield begun
        finally:
            self._held.release()

    def _begin(self) -> bool:
        self._in_a_row += 1
        try:
            self._wait_for_locks(waits=False)
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            # Another process writes, or the disk fails: the thread meets that too, and tells of it.
            return False
        return True

    def _wait_for_locks(self, *, waits: bool) -> None:
        if waits is not self._waits:
            self._waits = waits
            self._writer.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS if waits else 0}")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if waits else 0}")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self._average += (self._clock() - began - self._average) * _WEIGHT
