"""The two runners of database jobs: on threads for a server, and inline for a simulation on virtual time.

There is one writer, and a few readers that can change nothing. One, because SQLite before 3.51.3 can corrupt a WAL
that two connections write and checkpoint at once (sqlite.org/wal.html#walresetbug), and because two writers would
only wait for each other's lock anyway. The writer has a thread of its own and takes all waiting jobs as one group.
A read for a user's request has a time budget, and the readers are shared fairly among users.
"""

from __future__ import annotations

import math
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import outcome
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.changesets import open_with_handle
from relay.storage.errors import StorageError
from relay.storage.health import Health
from relay.storage.identity import end_run
from relay.storage.jobs import BUSY_MILLISECONDS, Job, Replication, T, Waiting, empty_wal, run_group
from relay.storage.lone import CHECKPOINT_PAGES, LoneCommits
from relay.storage.observer import TransactionObserver, Writer
from relay.storage.scrubbing import Scrubber, sliced, wipe
from relay.storage.turns import Turns, current_reader, processors
from relay.wakeup import Wakeup

_LOOK_EVERY: Final = 20_000
"""SQLite's steps between two checks of a read's budget: a millisecond or two."""

_OVERLOADED: Final = "this takes the server too long to read; ask for less of it, or again later"
_RETRY_SECONDS: Final = 1.0
DURABILITY: Final = {"full": "FULL", "normal": "NORMAL"}


def _open_writer(path: Path, synchronous: str, *, recorded: bool) -> Writer:
    """Open the connection that writes; with `recorded`, so that what it changes can be recorded."""
    writer: Writer
    if recorded:
        writer, writer.handle = open_with_handle(partial(_open, path, synchronous=synchronous))
    else:
        writer = _open(path, synchronous=synchronous)
    return writer


def _open(path: Path, *, synchronous: str | None = None) -> Any:
    """Open a reader; or, with a value of `PRAGMA synchronous`, the writer."""
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Writer if synchronous else sqlite3.Connection,
    )
    run = connection.execute
    run(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    run("PRAGMA temp_store = MEMORY")
    run("PRAGMA foreign_keys = ON")
    if synchronous:
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {synchronous}")
        run("PRAGMA journal_size_limit = 67108864")
        run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        run("PRAGMA secure_delete = ON")  # overwrite what is erased, in rows and in free pages
    else:
        run("PRAGMA wal_autocheckpoint = 0")
        run("PRAGMA query_only = ON")
    return connection


class _Reader:
    """A read-only connection that runs one job at a time and interrupts it when its time is over."""

    def __init__(self, path: Path) -> None:
        self.connection: sqlite3.Connection = _open(path)
        self._ends: float | None = None
        self.connection.set_progress_handler(self._is_over, _LOOK_EVERY)

    def _is_over(self) -> bool:
        return self._ends is not None and time.monotonic() > self._ends

    def run(self, job: Job[T], seconds: float | None) -> T:
        """Run a job on one snapshot of the database.

        Args:
            seconds: how long it may take; None for no limit.

        Raises:
            RelayError: `overloaded` when it took longer.
        """
        # Without one snapshot for all statements, a list could count a message that it does not show.
        self.connection.execute("BEGIN")
        self._ends = None if seconds is None else time.monotonic() + seconds
        try:
            return job(self.connection)
        except sqlite3.OperationalError:
            if self._is_over():
                raise too_slow() from None
            raise
        finally:
            self._ends = None
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


def too_slow() -> RelayError:
    """Return the error for a read that takes too long: the caller should ask for less; nothing has failed."""
    return RelayError(ErrorCode.OVERLOADED, _OVERLOADED, retry_after=_RETRY_SECONDS)


class ThreadRunner:
    """Runs jobs on threads: one for the writer, a bounded number for readers.

    Args:
        readers: how many reads of users run at once; the server's own reads have one more.
        read_seconds: how long a user's read may wait and run; 0 for no limit.
    """

    def __init__(
        self,
        path: Path,
        durability: str,
        readers: int,
        read_seconds: float,
        on_rollback: Callable[[], None],
        *,
        recorded: bool = False,
    ) -> None:
        self._scrubber = Scrubber(path)
        self._writer = _open_writer(path, DURABILITY[durability], recorded=recorded)
        self._lone = LoneCommits(self._writer)
        self._replication: Replication | None = None
        self._turns = Turns(readers, processors())
        self._readers = deque(_Reader(path) for _ in range(self._turns.total))
        self._own_reader: sqlite3.Connection = _open(path)
        self._limiter = trio.CapacityLimiter(self._turns.total)
        self._read_seconds = read_seconds
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self.health = Health(path, time.monotonic)
        self._on_rollback = on_rollback
        self._thread = threading.Thread(target=self._work, name="relay-writer", daemon=True)
        self._thread.start()
        self._closed = False
        self._erased = Wakeup()

    def observe(self, observer: TransactionObserver) -> None:
        """Set the observer that is called about each change of messages from now on, on the thread that writes."""
        self._writer.observer = observer

    def replicate(self, make: Callable[[int], Replication]) -> None:
        """Hand on all transactions from now on; `make` is given the writer's `sqlite3*`."""
        self._replication = _replicated(self._writer, make)

    async def write(self, job: Job[T], *, lone: bool = False) -> T:
        """Run `job` on the writer; a cancelled caller gives up the result, never the transaction.

        A lone job is run right here where `LoneCommits` finds that quicker, and then this waits for nothing else.
        """
        result: T
        if lone and self._replication is None:
            with self._lone.here() as begun:
                if begun:
                    one = Waiting(job)
                    run_group(self._writer, [one], self._on_rollback, self.health, begun=True)
                    _note_erased(self._writer, self._erased)
                    result = one.result.unwrap()
                    return result
        result = await self._run(Waiting(job, trio.lowlevel.current_task()))
        return result

    async def between(self, step: Callable[[], None]) -> None:
        """Run `step` on the event loop while the writer's thread stands still between two transactions."""

        def job(_connection: sqlite3.Connection) -> None:
            trio.from_thread.run_sync(step, trio_token=self._token)

        await self._run(Waiting(job, trio.lowlevel.current_task(), outside=True))

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log, unless a reader holds it."""
        done: bool = await self._run(Waiting(empty_wal, trio.lowlevel.current_task(), outside=True))
        return done

    async def scrub(self) -> None:
        """Wipe copies of rows that SQLite left behind in the next pages."""
        for pages in sliced(await trio.to_thread.run_sync(self._scrubber.look)):
            await self._run(
                Waiting(partial(wipe, self._scrubber, pages), trio.lowlevel.current_task(), outside=True)
            )

    async def wait_erased(self) -> None:
        """Wait until something was erased and committed since the last call."""
        await self._erased.wait()

    async def _run(self, waiting: Waiting) -> Any:
        if self._closed:
            raise StorageError("the database is closed")
        self._queue.put(waiting)

        # The job stays in the queue: its transaction may be running already, and cannot be taken back from here.
        def abandon(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            waiting.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abandon)

    async def read(self, job: Job[T], *, inline: bool = False, seconds: float | None = None) -> T:
        """Run `job` on a reader, on one snapshot: on one of trio's threads, or here when it is inline.

        Raises:
            RelayError: `overloaded` when a user's read waited and ran for too long, or one that has `seconds`.
            StorageBroken: it met damage in the file, which ends the server.
        """
        if inline:
            try:
                return job(self._own_reader)
            except sqlite3.DatabaseError as error:
                self.health.check_damage(error)
                raise
        if seconds is not None:
            async with self._turns.turn(None):
                return await self._on_reader(job, seconds)
        user_id = current_reader()
        if user_id is None or not self._read_seconds:
            async with self._turns.turn(user_id):
                return await self._on_reader(job, None)
        waits = trio.CancelScope(deadline=trio.current_time() + self._read_seconds)
        with waits:
            async with self._turns.turn(user_id):
                left, waits.deadline = waits.deadline - trio.current_time(), math.inf
                return await self._on_reader(job, left)
        raise too_slow()

    async def _on_reader(self, job: Job[T], seconds: float | None) -> T:
        def run() -> T:
            # Needs no lock: a deque's pop and append are atomic, and there are as many readers as turns.
            reader = self._readers.pop()
            try:
                return reader.run(job, seconds)
            except sqlite3.DatabaseError as error:
                self.health.check_damage(error)
                raise
            finally:
                self._readers.append(reader)

        return await trio.to_thread.run_sync(run, limiter=self._limiter)

    def _work(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._gather()
            if group:
                inside = [waiting for waiting in group if not waiting.outside]
                with self._lone.thread():
                    if inside:
                        run_group(self._writer, inside, self._on_rollback, self.health, self._replication)
                    if len(inside) < len(group):
                        _run_outside(self._writer, group)
                    _note_erased(self._writer, self._erased)
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(_deliver, group)

    def _gather(self) -> tuple[list[Waiting], bool]:
        """Wait for a job, then take every one that is waiting; the flag is True when the end was asked for."""
        group: list[Waiting] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    async def aclose(self) -> None:
        """Let the writer finish its queue, then checkpoint and close."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)
        for reader in self._readers:
            reader.connection.close()
        self._own_reader.close()
        _end(self._writer, self.health)
        self._scrubber.close()


def _replicated(writer: Writer, make: Callable[[int], Replication]) -> Replication:
    if writer.handle is None:
        raise ValueError("the database was not opened as one whose changes are recorded")
    return make(writer.handle)


def _end(writer: Writer, health: Health) -> None:
    """Note that the database is closed in good order, empty its log and close it."""
    with suppress(sqlite3.Error):
        if health.broken is None:
            end_run(writer)
        # Checkpoint before closing: if the file was renamed meanwhile, SQLite would leave the WAL behind, and
        # beside a backup put in its place it would destroy both.
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    writer.close()


def _note_erased(writer: Writer, erased: Wakeup) -> None:
    if writer.erased:
        writer.erased = False
        erased.set()


def _run_outside(connection: sqlite3.Connection, group: list[Waiting]) -> None:
    for waiting in group:
        if waiting.outside:
            waiting.result = outcome.capture(waiting.job, connection)


def _deliver(group: list[Waiting]) -> None:
    for waiting in group:
        if (task := waiting.task) is not None:
            waiting.task = None
            trio.lowlevel.reschedule(task, waiting.result)


class InlineRunner:
    """Runs jobs at once on the event loop: deterministic, for a server in memory on a virtual clock.

    It never waits for the disk: no power is cut in a simulation, and what a killed process wrote is there.
    """

    def __init__(self, path: Path, on_rollback: Callable[[], None], *, recorded: bool = False) -> None:
        self._scrubber = Scrubber(path)
        self._writer = _open_writer(path, "OFF", recorded=recorded)
        self._replication: Replication | None = None
        self._reader: sqlite3.Connection = _open(path)
        self._on_rollback = on_rollback
        self.health = Health(path, trio.current_time)
        self._erased = Wakeup()

    def observe(self, observer: TransactionObserver) -> None:
        """Set the observer that is called about every change of messages from now on."""
        self._writer.observer = observer

    def replicate(self, make: Callable[[int], Replication]) -> None:
        """Hand on all transactions from now on; `make` is given the writer's `sqlite3*`."""
        self._replication = _replicated(self._writer, make)

    async def write(self, job: Job[T], *, lone: bool = False) -> T:
        """Run `job` in a transaction of its own; here every job is."""
        await trio.lowlevel.checkpoint()
        waiting = Waiting(job)
        run_group(self._writer, [waiting], self._on_rollback, self.health, self._replication)
        _note_erased(self._writer, self._erased)
        result: T = waiting.result.unwrap()
        return result

    async def between(self, step: Callable[[], None]) -> None:
        """Run `step`: there is no transaction, as each begins and ends within one step of the event loop."""
        await trio.lowlevel.checkpoint()
        step()

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log."""
        await trio.lowlevel.checkpoint()
        return empty_wal(self._writer)

    async def scrub(self) -> None:
        """Wipe copies of rows that SQLite left behind in the next pages."""
        await trio.lowlevel.checkpoint()
        wipe(self._scrubber, self._scrubber.look(), self._writer)

    async def wait_erased(self) -> None:
        """Wait until something was erased and committed since the last call."""
        await self._erased.wait()

    async def read(self, job: Job[T], *, inline: bool = False, seconds: float | None = None) -> T:
        """Run `job` on the reader."""
        await trio.lowlevel.checkpoint()
        return job(self._reader)

    async def aclose(self) -> None:
        """Close both connections."""
        self._reader.close()
        _end(self._writer, self.health)
        self._scrubber.close()
