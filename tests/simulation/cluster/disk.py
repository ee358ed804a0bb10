"""A node's disk: commits of a leader and applies of a follower are slow, fail, or are the last thing of a process."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import trio

from relay.cluster import roles
from relay.storage.errors import StorageBroken
from relay.storage.jobs import Waiting
from relay.storage.replica import open_replica
from tests.simulation.cluster.broker import Line
from tests.simulation.disk import Disk, SimulatedRunner, torn
from tests.simulation.network import Trace

_DEAD: Final = StorageBroken("this process is dead")


class FaultyReplica:
    """The connection that applies; one of its next statements may fail as a disk's does.

    Attributes:
        fails_in: the number of statements until one fails; 0 for none.
        code: what it fails with.
        undoes: whether SQLite rolls the whole transaction back by itself then.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fails_in = 0
        self.code = sqlite3.SQLITE_IOERR
        self.undoes = True

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a statement, unless its time has come."""
        if self.fails_in:
            self.fails_in -= 1
            if not self.fails_in:
                if self.undoes and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                failure = sqlite3.OperationalError("the simulated disk fails")
                failure.sqlite_errorcode = self.code
                raise failure
        return self._connection.execute(sql, *parameters)


class NodeDisk(Disk):
    """The folders of a node's lives.

    Args:
        line: of the node; while its process is stopped, nothing is written.
        on_apply: called after each apply that stands, with a connection that reads.

    Attributes:
        connection: what a follower applies on; None while the node does not follow.
        dead: whether its process is.
        freezes: for how many seconds the process is stopped once a leader's next commit stands; 0 for not at all.
    """

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        trace: Trace,
        line: Line,
        on_commit: Callable[[sqlite3.Connection], None],
        on_apply: Callable[[sqlite3.Connection], None],
        on_crash: Callable[[], None],
    ) -> None:
        super().__init__(folder, rng, trace, on_commit, on_crash)
        self._line = line
        self._on_apply = on_apply
        self.connection: FaultyReplica | None = None
        self.dead = False
        self.freezes = 0.0

    def commit(self, runner: SimulatedRunner, group: list[Waiting]) -> bool:
        """Run a group of jobs; nobody may be told of it for a while."""
        lives = super().commit(runner, group)
        if lives and self.freezes:
            self._line.frozen = True
            self.nursery.start_soon(self._thaw, self.freezes)
            self.freezes = 0.0
        return lives

    async def _thaw(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self._line.thaw()

    async def pause(self) -> None:
        """Let a disk's time pass, and that for which the process is stopped."""
        await super().pause()
        await self._line.running()

    @contextmanager
    def open_replica(self, path: Path, durability: str) -> Iterator[tuple[Any, int]]:
        """Open the database to apply changes: what relay calls in place of its own function."""
        with open_replica(path, durability) as (connection, handle):
            self.connection = FaultyReplica(connection)
            try:
                yield self.connection, handle
            finally:
                self.connection.fails_in = 0
                self.connection = None

    async def run(self, step: Callable[[], int]) -> int:
        """Run a step of a follower's, as a thread does that cannot be cancelled; the process may die of it."""
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await self.pause()
        if self.dead:
            raise _DEAD
        done = self._run(step)
        with trio.CancelScope(shield=True):
            await self.pause()
        return done

    def _run(self, step: Callable[[], int]) -> int:
        self.commits += 1
        due = self._crash is not None and self._crash[0] <= self.commits
        before = self._files() if due else {}
        try:
            done = step()
        finally:
            if due and self._crash is not None:
                _, manner, share = self._crash
                self._crash = None
                after = self._files()
                kept = {"before": before, "after": after, "torn": torn(before, after, share)}[manner]
                self._die(None, kept)
        if self.dead:
            raise _DEAD
        if self.connection is not None:
            self._on_apply(self.connection._connection)
        return done

    def fail(self, statements: int, *, full: bool, undoes: bool) -> None:
        """Have a statement of the next transactions fail, of the leader's or of the follower's."""
        self.faults += 1
        writing: Any = self.connection
        if writing is None and self.runner is not None and not self.runner.dead:
            writing = self.runner._writer
        if writing is not None:
            writing.code = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
            writing.fails_in, writing.undoes = statements, undoes or not full

    def heal(self) -> None:
        """Fail no more, and be quick."""
        super().heal()
        self.freezes = 0.0
        if self.connection is not None:
            self.connection.fails_in = 0

    def crash_now(self) -> None:
        """Have the process die now."""
        self._crash = None
        if not self.dead:
            self._die(None, self._files())

    def begin(self) -> None:
        """Begin the life of a new process."""
        self.dead, self.runner, self.freezes = False, None, 0.0

    def _die(self, runner: SimulatedRunner | None, files: dict[str, bytes]) -> None:
        self.dead = True
        super()._die(runner or self.runner, files)


@contextmanager
def on_disks(disks: list[NodeDisk], followers: Callable[..., Any]) -> Iterator[Any]:
    """Have relay open the nodes' databases on their disks, and have their followers work on them."""
    by_folder = {disk.folder: disk for disk in disks}

    def open_one(path: Path, durability: str) -> Any:
        return by_folder[path.parent.parent].open_replica(path, durability)

    def open_runner(path: Path, on_rollback: Callable[[], None], *, recorded: bool) -> SimulatedRunner:
        return by_folder[path.parent.parent].open(path, on_rollback, recorded=recorded)

    with (
        mock.patch.object(roles, "open_replica", open_one),
        mock.patch.object(roles, "Follower", followers),
    ):
        yield open_runner
