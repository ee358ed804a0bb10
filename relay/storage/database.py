"""The database file: one connection that writes and checkpoints, a few that can only read.

SQLite before 3.51.3 can corrupt a WAL that two connections write and checkpoint at once
(sqlite.org/wal.html#walresetbug), and two writers would only wait for each other anyway. So there is
one writer, in a thread of its own. It takes every job that waits, runs them in one transaction, each
in a savepoint of its own, commits once, and only then are the jobs' callers told: group commit. A job
that raises is rolled back alone; a commit that fails fails all of its jobs, and none was acknowledged.
"""

from __future__ import annotations

import fcntl
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio

from relay.storage.migrations import migrate

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

_PATIENCE_SECONDS: Final = 0.01
"""How long a patient job waits for others to share its commit."""

DURABILITY: Final = {"full": "FULL", "normal": "NORMAL"}


class StorageError(Exception):
    """The database cannot be used; the message says which file and why."""


class StorageInUse(StorageError):
    """Another relay is using the database."""


class StorageFailed(StorageError):
    """A commit did not reach the disk (full, or failing); nothing of it was stored."""


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    task: trio.lowlevel.Task | None = None
    result: outcome.Outcome[Any] = field(default_factory=lambda: outcome.Value(None))


class Runner(Protocol):
    """How jobs reach the connections: threads in a server, inline in a simulation on virtual time."""

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction on the writer; return once it is committed."""

    async def read(self, job: Job[T], *, brief: bool = False) -> T:
        """Run `job` on a connection that can only read.

        Args:
            brief: it looks up a few rows by their keys; it may be run where it stands.
        """

    async def aclose(self) -> None:
        """Finish what was queued, then close every connection."""


def _open(path: Path, durability: str, *, writer: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    run = connection.execute
    run("PRAGMA busy_timeout = 5000")
    run("PRAGMA temp_store = MEMORY")
    run("PRAGMA foreign_keys = ON")
    run("PRAGMA mmap_size = 268435456")
    if writer:
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {DURABILITY[durability]}")
        run("PRAGMA journal_size_limit = 67108864")
        run("PRAGMA wal_autocheckpoint = 4000")
    else:
        run("PRAGMA wal_autocheckpoint = 0")
        run("PRAGMA query_only = ON")
    return connection


def run_group(connection: sqlite3.Connection, group: list[_Waiting], on_rollback: Callable[[], None]) -> None:
    """Run jobs in one transaction, each in its own savepoint, and give each its result after the commit."""
    execute = connection.execute
    try:
        execute("BEGIN IMMEDIATE")
        for waiting in group:
            alone = len(group) == 1
            if not alone:
                execute("SAVEPOINT job")
            waiting.result = outcome.capture(waiting.job, connection)
            if isinstance(waiting.result, outcome.Error):
                waiting.result = _explain(waiting.result)
                on_rollback()
                execute("ROLLBACK" if alone else "ROLLBACK TO job")
            if not alone:
                execute("RELEASE job")
        if connection.in_transaction:
            execute("COMMIT")
    except sqlite3.Error as error:
        on_rollback()
        with suppress(sqlite3.Error):
            execute("ROLLBACK")
        failed = StorageFailed(f"the commit did not reach the disk: {error}")
        for waiting in group:
            waiting.result = outcome.Error(failed)


def _explain(failure: outcome.Error) -> outcome.Error:
    """Name a job's failure that is the disk's and not the job's."""
    if isinstance(failure.error, sqlite3.OperationalError):
        return outcome.Error(StorageFailed(f"the disk did not take it: {failure.error}"))
    return failure


class ThreadRunner:
    """Runs jobs on real threads: one for the writer, a bounded few for readers."""

    def __init__(self, path: Path, durability: str, readers: int, on_rollback: Callable[[], None]) -> None:
        self._writer = _open(path, durability, writer=True)
        self._readers = deque(_open(path, durability, writer=False) for _ in range(readers))
        self._own_reader = _open(path, durability, writer=False)
        self._limiter = trio.CapacityLimiter(readers)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._on_rollback = on_rollback
        self._thread = threading.Thread(target=self._work, name="relay-writer", daemon=True)
        self._thread.start()
        self._closed = False

    async def write(self, job: Job[T]) -> T:
        """Run `job` on the writer; a cancelled caller abandons the answer, never the transaction."""
        if self._closed:
            raise StorageError("the database is closed")
        waiting = _Waiting(job, trio.lowlevel.current_task())
        self._queue.put(waiting)

        def abandon(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            waiting.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        result: T = await trio.lowlevel.wait_task_rescheduled(abandon)
        return result

    async def read(self, job: Job[T], *, brief: bool = False) -> T:
        """Run `job` on a reader: in a thread of trio's, or here when it is brief."""
        if brief:
            return job(self._own_reader)

        def run() -> T:
            connection = self._readers.pop()
            try:
                return job(connection)
            finally:
                self._readers.append(connection)

        return await trio.to_thread.run_sync(run, limiter=self._limiter)

    def _work(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._gather()
            if group:
                run_group(self._writer, group, self._on_rollback)
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(_deliver, group)

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """Wait for a job, then take every one that waits; True where the end was asked for."""
        group: list[_Waiting] = []
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
        for connection in (*self._readers, self._own_reader):
            connection.close()
        self._writer.close()


def _deliver(group: list[_Waiting]) -> None:
    for waiting in group:
        if (task := waiting.task) is not None:
            waiting.task = None
            trio.lowlevel.reschedule(task, waiting.result)


class PatientWriter:
    """Gathers small jobs that can wait a few milliseconds, so that many share one transaction and one thread hop.

    A thousand clients that connect in a second are a hundred commits this way, and not a thousand.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._waiting: list[tuple[_Waiting, trio.Event]] = []
        self._wake = trio.Event()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction with others; return once it is committed. A job that raises fails alone."""
        waiting, done = _Waiting(job), trio.Event()
        self._waiting.append((waiting, done))
        self._wake.set()
        await done.wait()
        result: T = waiting.result.unwrap()
        return result

    async def run(self) -> None:
        """Write what gathers, for ever."""
        while True:
            await self._wake.wait()
            await trio.sleep(_PATIENCE_SECONDS)
            self._wake = trio.Event()
            gathered, self._waiting = self._waiting, []
            group = [waiting for waiting, _ in gathered]
            try:
                await self._runner.write(partial(_run_all, group=group))
            except StorageError as error:
                for waiting in group:
                    waiting.result = outcome.Error(error)
            for _, done in gathered:
                done.set()


def _run_all(connection: sqlite3.Connection, group: list[_Waiting]) -> None:
    for waiting in group:
        connection.execute("SAVEPOINT patient")
        waiting.result = outcome.capture(waiting.job, connection)
        if isinstance(waiting.result, outcome.Error):
            connection.execute("ROLLBACK TO patient")
        connection.execute("RELEASE patient")


class InlineRunner:
    """Runs jobs where they are asked for: deterministic, for a server in memory on a virtual clock."""

    def __init__(self, path: Path, durability: str, on_rollback: Callable[[], None]) -> None:
        self._writer = _open(path, durability, writer=True)
        self._reader = _open(path, durability, writer=False)
        self._on_rollback = on_rollback

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction of its own."""
        await trio.lowlevel.checkpoint()
        waiting = _Waiting(job)
        run_group(self._writer, [waiting], self._on_rollback)
        result: T = waiting.result.unwrap()
        return result

    async def read(self, job: Job[T], *, brief: bool = False) -> T:
        """Run `job` on the reader."""
        await trio.lowlevel.checkpoint()
        return job(self._reader)

    async def aclose(self) -> None:
        """Close both connections."""
        self._reader.close()
        self._writer.close()


def read_epoch(connection: sqlite3.Connection) -> str:
    """Return the name of this database's life; docs/operate/backup.md tells how a restore gives it a new one."""
    return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


class Lock:
    """The claim of one process on one database: `NAME.lock` beside it, held while the process lives."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StorageInUse(
                f"{path} is in use by another relay; stop it, or give this one another [storage] path"
            ) from None

    def release(self) -> None:
        """Give the claim up."""
        os.close(self._descriptor)


@asynccontextmanager
async def open_runner(
    path: Path,
    *,
    durability: str = "full",
    readers: int = 4,
    inline: bool = False,
    on_rollback: Callable[[], None],
) -> AsyncIterator[Runner]:
    """Open (and create, mode 0600, and migrate) the database; close it after everything queued is done.

    Raises:
        StorageError: the file cannot be opened, is no relay database, or another relay is using it.
    """
    previous = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path)
        try:
            migrate(path)
        except BaseException:
            lock.release()
            raise
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"cannot open the database {path}: {error}") from error
    finally:
        os.umask(previous)
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).chmod(0o600)
    runner: Runner = (
        InlineRunner(path, durability, on_rollback)
        if inline
        else ThreadRunner(path, durability, readers, on_rollback)
    )
    try:
        yield runner
    finally:
        await runner.aclose()
        lock.release()
