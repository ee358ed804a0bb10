"""The simulated disk: a database whose commits are slow, fail, or are the last thing that a process does.

The runner does what the one on threads does, in tasks: the writer takes all waiting jobs as one group, a caller
who is cancelled gives up the result and not the transaction, reads run beside it on snapshots of their own.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import outcome
import trio

from relay.storage import runners
from relay.storage.errors import StorageBroken, StorageError
from relay.storage.jobs import Job, T, Waiting, empty_wal, run_group
from relay.storage.observer import Writer
from relay.storage.scrubbing import wipe
from relay.storage.write_ahead import log_of
from relay.wakeup import Wakeup
from tests.simulation.network import Trace
from tests.simulation.replica import Replica

Manner = Literal["before", "torn", "after"]
"""When a process dies around a commit: before it begins, half written, or done and told to nobody."""

DATABASE = "relay.db"
_GONE = StorageBroken("this process is dead")
PAUSES = (0.0, 0.0, 0.0, 0.0004, 0.002, 0.01)


class FaultyWriter(Writer):
    """The connection that writes; one of its next statements may fail as a disk's does.

    Attributes:
        fails_in: the number of statements until one fails; 0 for none.
        code: what it fails with.
        undoes: whether SQLite rolls the whole transaction back by itself then. It does for most failures of a
            disk, and not for a statement that has a journal of its own.
    """

    fails_in = 0
    code = sqlite3.SQLITE_IOERR
    undoes = True

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, unless its time has come."""
        if self.fails_in:
            self.fails_in -= 1
            if not self.fails_in:
                if self.undoes and self.in_transaction:
                    super().execute("ROLLBACK")
                failure = sqlite3.OperationalError("the simulated disk fails")
                failure.sqlite_errorcode = self.code
                raise failure
        return super().execute(sql, *parameters)


class Disk:
    """The folders of one database's lives, and what is to go wrong with it.

    Args:
        folder: of all lives; each crash begins a new one with what the last one had synced.
        on_commit: called after each commit that stands, with a connection that reads.
        on_crash: called where a process has died, once the files of the next life are there.
        replica: a second copy, which is told of each commit.

    Attributes:
        folder: of all lives.
        slowness: what pauses are multiplied by.
        commits: how many there were.
        faults: how many statements have failed by order.
    """

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        trace: Trace,
        on_commit: Callable[[sqlite3.Connection], None],
        on_crash: Callable[[], None],
        replica: Replica | None = None,
    ) -> None:
        self.folder = folder
        self.replica = replica
        self._rng = rng
        self._trace = trace
        self._on_commit = on_commit
        self._on_crash = on_crash
        self._life = 0
        self._crash: tuple[int, Manner, float] | None = None
        self.slowness = 1.0
        self.commits = self.faults = 0
        self.nursery: trio.Nursery
        self.runner: SimulatedRunner | None = None
        self.database.parent.mkdir(parents=True)

    @property
    def database(self) -> Path:
        """The path of the database's present life."""
        return self.folder / f"life-{self._life}" / DATABASE

    def open(self, path: Path, on_rollback: Callable[[], None], *, recorded: bool) -> SimulatedRunner:
        """Open the database: what relay calls in place of its own runner."""
        if self.replica is not None:
            recorded = True
            self.replica.follow(path)
        self.runner = SimulatedRunner(self, path, on_rollback, recorded=recorded)
        if self.replica is not None:
            self.runner.replicate(self.replica.record)
        self.nursery.start_soon(self.runner.work)
        return self.runner

    async def pause(self) -> None:
        """Let a disk's time pass."""
        seconds = self._rng.choice(PAUSES) * self.slowness
        await trio.sleep(seconds)

    def fail(self, statements: int, *, full: bool, undoes: bool) -> None:
        """Have a statement of the next transactions fail: the disk is full, or broken."""
        if self.runner is not None:
            self.faults += 1
            writer = self.runner._writer
            writer.code = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
            writer.fails_in, writer.undoes = statements, undoes or not full

    def heal(self) -> None:
        """Fail no more, and be quick."""
        self.slowness = 1.0
        self._crash = None
        if self.runner is not None:
            self.runner._writer.fails_in = 0

    def takes_lone(self) -> bool:
        """Return whether a lone job is committed at once, as on the event loop: every other time on a quick disk."""
        return self.slowness == 1.0 and self.commits % 2 == 0

    def crash_at(self, commits: int, manner: Manner, share: float) -> None:
        """Have the process die at one of its next commits.

        Args:
            share: how much of a torn commit is on the disk, from 0 to 1.
        """
        self._crash = self._crash or (self.commits + commits, manner, share)

    def crash_now(self) -> None:
        """Have the process die between two commits."""
        runner, self._crash = self.runner, None
        if runner is not None and not runner.dead:
            self._die(runner, self._files())

    def commit(self, runner: SimulatedRunner, group: list[Waiting]) -> bool:
        """Run a group of jobs in one transaction; return False if the process died of it."""
        self.commits += 1
        due = self._crash is not None and self._crash[0] <= self.commits
        before = self._files() if due else {}
        run_group(runner._writer, group, runner._on_rollback, runner.health, runner._replication)
        self._trace.note(f"commit {self.commits} of {len(group)}")
        if not due or self._crash is None:
            self._on_commit(runner._own_reader)
            return True
        _, manner, share = self._crash
        self._crash = None
        after = self._files()
        if manner == "after":
            self._on_commit(runner._own_reader)
        kept = {"before": before, "after": after, "torn": torn(before, after, share)}[manner]
        self._die(runner, kept)
        return False

    def _files(self) -> dict[str, bytes]:
        path = self.database
        return {one.name: one.read_bytes() for one in (path, log_of(path)) if one.exists()}

    def _die(self, runner: SimulatedRunner | None, files: dict[str, bytes]) -> None:
        if runner is not None:
            runner.dies()
        self._life += 1
        self.database.parent.mkdir()
        for name, data in files.items():
            (self.database.parent / name).write_bytes(data)
        self._trace.note("crash")
        self._on_crash()


def torn(before: dict[str, bytes], after: dict[str, bytes], share: float) -> dict[str, bytes]:
    """Return the files of a commit that was cut off: its part of the log is there up to some byte."""
    log = f"{DATABASE}-wal"
    old, new = before.get(log, b""), after.get(log, b"")
    same = _same(old, new)
    cut = same + int((len(new) - same) * share)
    return before | {log: new[:cut] + old[cut:]}


def _same(old: bytes, new: bytes) -> int:
    """Return how many bytes both begin with; all of the old ones where the shorter is the beginning of the longer."""
    low, high = 0, min(len(old), len(new))
    if old[:high] == new[:high]:
        return len(old)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if old[:middle] == new[:middle] else (low, middle)
    return low


class SimulatedRunner(runners.InlineRunner):
    """Runs jobs in tasks of the simulation, at times that the seed decides.

    Attributes:
        dead: whether its process is; then nothing of it gets anywhere.
    """

    def __init__(self, disk: Disk, path: Path, on_rollback: Callable[[], None], *, recorded: bool = False) -> None:
        super().__init__(path, on_rollback, recorded=recorded)
        self._writer: FaultyWriter
        self._disk = disk
        self._waiting: list[Waiting] = []
        self._group: list[Waiting] = []
        self._wakeup = Wakeup()
        self._closed = False
        self._done = trio.Event()
        self._own_reader = runners._open(path)
        self.dead = False

    async def write(self, job: Job[T], *, lone: bool = False) -> T:
        """Run `job` in the writer's next transaction; a lone one at once, every other time, while the disk is quick."""
        result: T
        if lone and self._replication is None and not (self.dead or self._closed) and self._disk.takes_lone():
            one = Waiting(job)
            if not self._disk.commit(self, [one]):
                raise _GONE
            runners._note_erased(self._writer, self._erased)
            result = one.result.unwrap()
        else:
            result = await self._queued(Waiting(job, trio.lowlevel.current_task()))
        return result

    async def between(self, step: Callable[[], None]) -> None:
        """Run `step` between two transactions."""
        await self._queued(Waiting(lambda _connection: step(), trio.lowlevel.current_task(), outside=True))

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log, between two transactions."""
        done: bool = await self._queued(Waiting(empty_wal, trio.lowlevel.current_task(), outside=True))
        return done

    async def scrub(self) -> None:
        """Wipe copies of rows that SQLite left behind in the next pages."""
        await self._disk.pause()
        if self.dead or self._closed:
            return
        job = partial(wipe, self._scrubber, self._scrubber.look())
        await self._queued(Waiting(job, trio.lowlevel.current_task(), outside=True))

    def dies(self) -> None:
        """Do nothing more: what its process still does is nothing that a process that is gone would do."""
        self.dead = True
        self.health.broken = _GONE
        self._wakeup.set()

    async def _queued(self, waiting: Waiting) -> Any:
        if self.dead:
            raise _GONE
        if self._closed:
            raise StorageError("the database is closed")
        self._waiting.append(waiting)
        self._wakeup.set()

        def abandon(_raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            waiting.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abandon)

    async def read(self, job: Job[T], *, inline: bool = False, seconds: float | None = None) -> T:
        """Run `job` on a snapshot, after a while, and return its result a while later; at once if it is inline."""
        if inline:
            return job(self._own_reader)
        await self._disk.pause()
        if self.dead:
            raise _GONE
        self._reader.execute("BEGIN")
        try:
            result = job(self._reader)
        finally:
            if self._reader.in_transaction:
                self._reader.execute("ROLLBACK")
        await self._disk.pause()
        return result

    async def work(self) -> None:
        """Run what is waiting, one group after the other, until the database is closed."""
        try:
            await self._work()
        finally:
            for waiting in (*self._group, *self._waiting):  # of a process that died
                waiting.result = outcome.Error(_GONE)
            runners._deliver([*self._group, *self._waiting])
            self._done.set()

    async def _work(self) -> None:
        while not (self._closed and not self._waiting):
            await self._wakeup.wait()
            await self._disk.pause()
            group = self._group = self._waiting
            self._waiting = []
            inside = [waiting for waiting in group if not waiting.outside]
            if self.dead or (inside and not self._disk.commit(self, inside)):
                break
            if group:
                runners._run_outside(self._writer, group)
            runners._note_erased(self._writer, self._erased)
            await self._disk.pause()
            if self.dead:
                break
            runners._deliver(group)
            self._group = []

    async def aclose(self) -> None:
        """Let the writer finish, then close; of a dead process only the files are let go."""
        self._closed = True
        if not self.dead:
            self._wakeup.set()
            with trio.CancelScope(shield=True):
                await self._done.wait()
        self._own_reader.close()
        self._reader.close()
        if self.dead:
            with suppress(sqlite3.Error):
                self._writer.close()
            self._scrubber.close()
        else:
            self._writer.fails_in = 0
            await self._end()

    async def _end(self) -> None:
        runners._end(self._writer, self.health)
        self._scrubber.close()
        if self._disk.replica is not None:
            self._disk.replica.compare()
        await trio.lowlevel.checkpoint()
