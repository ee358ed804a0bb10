"""Observers of the write transaction: they see every change of messages, so plugins' tables commit with the log.

The writer's connection carries one observer. The functions that store, rewrite or erase a message call it, so that
no path into the log can forget to; what the observer writes is committed with the message or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from relay.storage.entry import Entry

_NOT_YOURS: Final = "this transaction has others' messages in it: relay commits it, or undoes your part"


class Edited(NamedTuple):
    """A stored message that got another payload.

    Attributes:
        payload: the new payload, as JSON.
        at: when, Unix seconds.
    """

    message_id: int
    channel_id: int
    seq: int
    type: str
    sender_id: str
    payload: str
    at: float


class TransactionObserver(Protocol):
    """An object that is called inside the write transaction; it must not raise."""

    def stored(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Handle messages that were stored, in the order of their positions."""

    def edited(self, connection: sqlite3.Connection, message: Edited) -> None:
        """Handle a message's new payload."""

    def kept(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> Collection[int]:
        """Return which of the messages that are about to become tombstones must stay as they are."""

    def erased(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
        """Handle stream messages that became tombstones: deleted, expired or replaced."""

    def left(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Handle an account that is being erased."""


class Writer(sqlite3.Connection):
    """The connection that writes, with its observer.

    Its transactions hold many messages, so code that handles one of them may not end the transaction.

    Attributes:
        erased: whether something was erased whose bytes are still to be purged.
        handle: its `sqlite3*`, where what it changes is recorded.
    """

    observer: TransactionObserver | None = None
    erased: bool = False
    handle: int | None = None

    def commit(self) -> None:
        """Refuse to commit a transaction that has others' messages in it.

        Raises:
            sqlite3.ProgrammingError: always.
        """
        raise sqlite3.ProgrammingError(_NOT_YOURS)

    def rollback(self) -> None:
        """Refuse to roll such a transaction back."""
        raise sqlite3.ProgrammingError(_NOT_YOURS)

    def executescript(self, _script: str, /) -> sqlite3.Cursor:
        """Refuse, since it would commit before it begins."""
        raise sqlite3.ProgrammingError(f"{_NOT_YOURS}; executescript would: use execute for each statement")

    def __exit__(self, *_raised: object) -> Literal[False]:
        """Refuse `with connection:`, which commits at its end."""
        raise sqlite3.ProgrammingError(f"{_NOT_YOURS}; `with connection:` would")


def observer_of(connection: sqlite3.Connection) -> TransactionObserver | None:
    """Return the observer of a connection, or None."""
    return connection.observer if isinstance(connection, Writer) else None


def note_erased(connection: sqlite3.Connection) -> None:
    """Record, in the transaction that erased something, that its bytes must be purged; see `purging`."""
    connection.execute(
        "INSERT INTO facts (name, value) VALUES ('unpurged', 1) ON CONFLICT DO UPDATE SET value = value + 1"
    )
    if isinstance(connection, Writer):
        connection.erased = True


def unpurged_erasures(connection: sqlite3.Connection) -> int | None:
    """Return how often something was erased since the last purge; None for never."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'unpurged'").fetchone()
    return None if row is None else int(row[0])


def note_purged(connection: sqlite3.Connection, erasures: int) -> None:
    """Note that a purge is done which began when there were `erasures`; with more by now, another one is due."""
    connection.execute("DELETE FROM facts WHERE name = 'unpurged' AND value = ?", (erasures,))
