"""Writes that can wait a few milliseconds for company."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Final

import outcome
import trio

from relay.storage.errors import StorageError
from relay.storage.jobs import Job, Runner, T, Waiting

_WAIT_SECONDS: Final = 0.01
"""How long a patient job waits for others to share its commit."""


class BatchingWriter:
    """Gathers small jobs that can wait a few milliseconds, so that many share one transaction and one thread hop.

    A thousand clients that connect in a second are a hundred commits this way, and not a thousand.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._waiting: list[tuple[Waiting, trio.Event]] = []
        self._wake = trio.Event()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction with others; return once it is committed. A job that raises fails alone."""
        waiting, done = Waiting(job), trio.Event()
        self._waiting.append((waiting, done))
        self._wake.set()
        await done.wait()
        result: T = waiting.result.unwrap()
        return result

    async def run(self) -> None:
        """Write what gathers, for ever."""
        while True:
            await self._wake.wait()
            await trio.sleep(_WAIT_SECONDS)
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


def _run_all(connection: sqlite3.Connection, group: list[Waiting]) -> None:
    """Run jobs together, and anew one by one where one raises: a savepoint each costs more than the job."""
    connection.execute("SAVEPOINT together")
    for waiting in group:
        waiting.result = outcome.capture(waiting.job, connection)
        if isinstance(waiting.result, outcome.Error):
            connection.execute("ROLLBACK TO together")
            _run_apart(connection, group)
            break
    connection.execute("RELEASE together")


def _run_apart(connection: sqlite3.Connection, group: list[Waiting]) -> None:
    for waiting in group:
        connection.execute("SAVEPOINT patient")
        waiting.result = outcome.capture(waiting.job, connection)
        if isinstance(waiting.result, outcome.Error):
            connection.execute("ROLLBACK TO patient")
        connection.execute("RELEASE patient")
