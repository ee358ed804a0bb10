"""Jobs for the database, and group commit: many jobs in one transaction.

Each job of a group runs in its own savepoint, so that one that raises is rolled back alone. The group commits
once; if that fails, all of its jobs fail. No job has a result before its commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import outcome
import trio

from relay.protocol.errors import said
from relay.storage.errors import StorageBroken, StorageFailed, TransactionEnded
from relay.storage.health import Health, is_the_disks
from relay.storage.observer import TransactionObserver

T = TypeVar("T")
BUSY_MILLISECONDS: Final = 5000
"""How long a statement waits for another process's lock."""

Job = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class Waiting:
    """A job, the task that waits for it, and its result.

    Attributes:
        outside: run it outside of any transaction, as a checkpoint must be.
    """

    job: Job[Any]
    task: trio.lowlevel.Task | None = None
    outside: bool = False
    result: outcome.Outcome[Any] = field(default_factory=lambda: outcome.Value(None))


class Replication(Protocol):
    """A way on for the writer's transactions to other copies of the database, each before its commit."""

    def begin(self, connection: sqlite3.Connection) -> None:
        """Take note of a transaction that has just begun."""

    def seal(self, connection: sqlite3.Connection) -> None:
        """Hand on what the transaction has changed; return once it may be committed.

        Raises:
            StorageFailed: it may not; it is rolled back.
        """

    def committed(self) -> None:
        """Take note that the transaction is committed, which was sealed."""

    def dropped(self) -> None:
        """Take note that the transaction was rolled back."""


class Runner(Protocol):
    """The way from tasks to the connections: threads in a server, inline in a simulation on virtual time."""

    @property
    def health(self) -> Health:
        """The results of the writer's transactions."""

    def observe(self, observer: TransactionObserver) -> None:
        """Set the observer that is called, inside transactions, about every change of messages from now on."""

    def replicate(self, make: Callable[[int], Replication]) -> None:
        """Hand on all transactions from now on; `make` is given the writer's `sqlite3*`.

        Raises:
            ValueError: the database was not opened as one whose changes are recorded.
        """

    async def write(self, job: Job[T], *, lone: bool = False) -> T:
        """Run `job` in a transaction on the writer; return once it is committed.

        Args:
            lone: it is a small job that has no others to share its commit with; see `lone.LoneCommits`.
        """

    async def read(self, job: Job[T], *, inline: bool = False, seconds: float | None = None) -> T:
        """Run `job` on a connection that can only read.

        Args:
            inline: run the job on the event loop; for a lookup of a few rows by their keys.
            seconds: interrupt it after so long, and take a turn of the server's own; for long looks at everything.
        """

    async def between(self, step: Callable[[], None]) -> None:
        """Run `step` on the event loop while no transaction is open: nothing is stored between its lines."""

    async def checkpoint(self) -> bool:
        """Move the write-ahead log into the file and empty it; return False if a reader prevents that."""

    async def scrub(self) -> None:
        """Wipe copies of rows that SQLite left behind in the next pages of the file; see `scrubbing`."""

    async def wait_erased(self) -> None:
        """Wait until something was erased and committed since the last call."""

    async def aclose(self) -> None:
        """Finish the queue, then close every connection."""


def run_group(
    connection: sqlite3.Connection,
    group: list[Waiting],
    on_rollback: Callable[[], None],
    health: Health,
    replication: Replication | None = None,
    *,
    begun: bool = False,
) -> None:
    """Run jobs in one transaction, a new one unless it has `begun`, and set each one's result after the commit."""
    execute = connection.execute
    failure: BaseException | None = None
    committed = True
    try:
        _begin(connection, replication, begun=begun)
        for waiting in group:
            # A savepoint costs as much as a small job; a job alone can roll back the whole transaction.
            alone = len(group) == 1
            if not alone:
                execute("SAVEPOINT job")
            waiting.result = outcome.capture(waiting.job, connection)
            if not connection.in_transaction:
                raise _ended_by(waiting.result)
            if isinstance(waiting.result, outcome.Error):
                if is_the_disks(waiting.result.error):
                    failure = waiting.result.error
                    waiting.result = outcome.Error(health.explained(failure))
                on_rollback()
                execute("ROLLBACK" if alone else "ROLLBACK TO job")
            if not alone:
                execute("RELEASE job")
        # The only job of its group may have failed, which is no commit to count.
        committed = connection.in_transaction
        if committed:
            health.check_place()
            _commit(connection, replication)
    except (sqlite3.Error, StorageBroken, StorageFailed) as error:
        on_rollback()
        if replication is not None:
            replication.dropped()
        with suppress(sqlite3.Error):
            execute("ROLLBACK")
        # The first one is the reason, where the other is that nothing is left to roll back.
        failure = failure or error
        told = health.explained(failure)
        for waiting in group:
            waiting.result = outcome.Error(told)
    if (failure is not None or committed) and not isinstance(failure, StorageBroken):
        health.note(failure)


def _begin(connection: sqlite3.Connection, replication: Replication | None, *, begun: bool) -> None:
    if not begun:
        connection.execute("BEGIN IMMEDIATE")  # takes the write lock now: to ask for it halfway could fail
    if replication is not None:
        replication.begin(connection)


def _ended_by(result: outcome.Outcome[Any]) -> BaseException:
    """Return what ended a transaction inside a job: SQLite does where the disk fails, or a plugin's statement."""
    raised = cause = result.error if isinstance(result, outcome.Error) else None
    while cause is not None:
        if is_the_disks(cause) or isinstance(cause, StorageFailed):
            return cause
        cause = cause.__context__
    ended = TransactionEnded(
        "a statement inside a transaction ended it, so that nothing of it was stored; a plugin may use no COMMIT,"
        " ROLLBACK or OR ROLLBACK, and must not catch an error of the disk"
    )
    ended.__cause__ = raised
    return ended


def _commit(connection: sqlite3.Connection, replication: Replication | None) -> None:
    if replication is None:
        connection.execute("COMMIT")
        return
    replication.seal(connection)
    connection.execute("COMMIT")
    replication.committed()


def empty_wal(connection: sqlite3.Connection) -> bool:
    """Checkpoint and truncate the write-ahead log without waiting; return whether it is empty.

    Raises:
        StorageFailed: the disk did not take it; nothing is lost, as the log has it all.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    except sqlite3.OperationalError as failure:
        if is_the_disks(failure):
            raise StorageFailed(
                f"the write-ahead log did not reach the database file: {said(failure)}"
            ) from failure
        raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
