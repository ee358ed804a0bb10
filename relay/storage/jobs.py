"""Jobs for the database, and running a group of them in one transaction: group commit.

Each job of a group runs in a savepoint of its own, so that one that raises is rolled back alone. The group
commits once; a commit that fails fails all of its jobs. Nobody is told of a job before its commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio

from relay.storage.health import Health, is_the_disks
from relay.storage.observer import TransactionObserver

T = TypeVar("T")
BUSY_MILLISECONDS: Final = 5000
"""How long a statement waits for another process's lock."""

Job = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class Waiting:
    """A job, who waits for it, and what became of it.

    Attributes:
        outside: it is run outside of any transaction, as a checkpoint must be.
    """

    job: Job[Any]
    task: trio.lowlevel.Task | None = None
    outside: bool = False
    result: outcome.Outcome[Any] = field(default_factory=lambda: outcome.Value(None))


class Runner(Protocol):
    """How jobs reach the connections: threads in a server, inline in a simulation on virtual time."""

    moved: Callable[[], bool]
    """Whether the path names another file than the one that is written to."""

    @property
    def health(self) -> Health:
        """How the writer's transactions fared."""

    def observe(self, observer: TransactionObserver) -> None:
        """Have `observer` told, inside transactions, what becomes of messages from now on."""

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a transaction on the writer; return once it is committed."""

    async def read(self, job: Job[T], *, inline: bool = False) -> T:
        """Run `job` on a connection that can only read.

        Args:
            inline: it looks up a few rows by their keys; it may be run where it stands.
        """

    async def checkpoint(self) -> bool:
        """Empty the write-ahead log, into the file; tell whether that was done: a reader may hold it."""

    async def scrub(self) -> None:
        """Wipe copies of rows that SQLite moved out of the next pages of the file; see `scrubbing`."""

    async def wait_erased(self) -> None:
        """Wait until something was erased, and committed, since this was last asked."""

    async def aclose(self) -> None:
        """Finish what was queued, then close every connection."""


def run_group(
    connection: sqlite3.Connection, group: list[Waiting], on_rollback: Callable[[], None], health: Health
) -> None:
    """Run jobs in one transaction, each in its own savepoint, and give each its result after the commit."""
    execute = connection.execute
    failure: BaseException | None = None
    committed = True
    try:
        execute("BEGIN IMMEDIATE")
        for waiting in group:
            alone = len(group) == 1
            if not alone:
                execute("SAVEPOINT job")
            waiting.result = outcome.capture(waiting.job, connection)
            if isinstance(waiting.result, outcome.Error):
                if is_the_disks(waiting.result.error):
                    failure = waiting.result.error
                    waiting.result = outcome.Error(health.explained(failure))
                on_rollback()
                execute("ROLLBACK" if alone else "ROLLBACK TO job")
            if not alone:
                execute("RELEASE job")
        committed = connection.in_transaction
        if committed:
            execute("COMMIT")
    except sqlite3.Error as error:
        on_rollback()
        with suppress(sqlite3.Error):
            execute("ROLLBACK")
        failure = error
        told = health.explained(failure)
        for waiting in group:
            waiting.result = outcome.Error(told)
    if failure is not None or committed:
        health.note(failure)


def empty_wal(connection: sqlite3.Connection) -> bool:
    """Checkpoint and truncate the write-ahead log; waits for nobody, and tells whether it is empty."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
