"""A writer that gathers small writes for 10 ms and commits them together."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

import outcome
import trio

from relay.storage.errors import StorageError
from relay.storage.health import is_the_disks
from relay.storage.jobs import Job, Runner, T, Waiting
from relay.wakeup import Wakeup

_WAIT_SECONDS: Final = 0.01
"""How long a job waits for others to share its commit."""


class BatchingWriter:
    """Batches small jobs that can wait a few milliseconds into one transaction and one thread hop.

    A thousand clients that connect within a second cost a hundred commits this way, not a thousand.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._waiting: list[tuple[Waiting, trio.Event]] = []
        self._wakeup = Wakeup()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction with others; return once it is committed. A job that raises fails alone."""
        waiting, done = Waiting(job), trio.Event()
        self._waiting.append((waiting, done))
        self._wakeup.set()
        await done.wait()
        result: T = waiting.result.unwrap()
        return result

    async def run(self) -> None:
        """Commit what has gathered, in a loop that never ends."""
        while True:
            await self._wakeup.wait()
            await trio.sleep(_WAIT_SECONDS)
            self._wakeup.clear()  # what came meanwhile is written now
            gathered, self._waiting = self._waiting, []
            group = [waiting for waiting, _ in gathered]
            try:
                await self._runner.write(partial(_run_all, group=group))
            except StorageError as error:
                for waiting in group:
                    waiting.result = outcome.Error(error)
            for _, done in gathered:
                done.set()


def _run_all(connection: sqlite3.Connection, group: list[Waiting]) -> None:
    """Run jobs together; if one raises, run all again one by one: a savepoint each costs more than the job."""
    connection.execute("SAVEPOINT together")
    for waiting in group:
        waiting.result = outcome.capture(waiting.job, connection)
        if isinstance(waiting.result, outcome.Error):
            _refuse_the_disks(waiting.result.error)
            connection.execute("ROLLBACK TO together")
            _run_apart(connection, group)
            break
    connection.execute("RELEASE together")


def _run_apart(connection: sqlite3.Connection, group: list[Waiting]) -> None:
    for waiting in group:
        connection.execute("SAVEPOINT apart")
        waiting.result = outcome.capture(waiting.job, connection)
        if isinstance(waiting.result, outcome.Error):
            _refuse_the_disks(waiting.result.error)
            connection.execute("ROLLBACK TO apart")
        connection.execute("RELEASE apart")


def _refuse_the_disks(failure: BaseException) -> None:
    """Raise a failure of the disk's again: SQLite may have rolled the transaction back, with all that is in it."""
    if is_the_disks(failure):
        raise failure
