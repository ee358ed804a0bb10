"""Who is told, inside the writer's transaction, what becomes of messages: how plugins' tables keep step.

The writer's connection carries one observer. What stores, rewrites or erases a message tells it there, so that no
path into the log can forget to; what the observer writes commits with the message or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from relay.storage.log import Entry


_NOT_YOURS: Final = "this transaction has others' messages in it: relay commits it, or undoes your part"


class Edited(NamedTuple):
    """A stored message that was given another payload.

    Attributes:
        payload: its JSON as it is from now on.
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
    """Something that wants to know in the transaction; it must not raise."""

    def stored(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Take note of messages that were stored, in the order of their positions."""

    def edited(self, connection: sqlite3.Connection, message: Edited) -> None:
        """Take note of a message's new payload."""

    def kept(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> Collection[int]:
        """Return which of the messages that are to become tombstones must stay as they are."""

    def erased(self, connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
        """Take note of stream messages that became tombstones: deleted, expired, replaced."""

    def left(self, connection: sqlite3.Connection, user_id: str) -> None:
        """Take note of an account that is being erased."""


class Writer(sqlite3.Connection):
    """The connection that changes things, with the observer of what it changes.

    Its transactions are many messages' together: whoever is given it for their part may not end them.

    Attributes:
        erased: whether something was erased whose bytes are still to be purged.
    """

    observer: TransactionObserver | None = None
    erased: bool = False

    def commit(self) -> None:
        """Refuse to end a transaction that is others' as well.

        Raises:
            sqlite3.ProgrammingError: always.
        """
        raise sqlite3.ProgrammingError(_NOT_YOURS)

    def rollback(self) -> None:
        """Refuse the same."""
        raise sqlite3.ProgrammingError(_NOT_YOURS)

    def executescript(self, _script: str, /) -> sqlite3.Cursor:
        """Refuse what would commit before it begins."""
        raise sqlite3.ProgrammingError(f"{_NOT_YOURS}; executescript would: use execute for each statement")

    def __exit__(self, *_raised: object) -> Literal[False]:
        """Refuse `with connection:`, which commits at its end."""
        raise sqlite3.ProgrammingError(f"{_NOT_YOURS}; `with connection:` would")


def observer_of(connection: sqlite3.Connection) -> TransactionObserver | None:
    """Return who wants to know of changes made on a connection, if anybody does."""
    return connection.observer if isinstance(connection, Writer) else None


def note_erased(connection: sqlite3.Connection) -> None:
    """Note, in the transaction that erased something, that its bytes are to be purged; see `purging`."""
    connection.execute(
        "INSERT INTO facts (name, value) VALUES ('unpurged', 1) ON CONFLICT DO UPDATE SET value = value + 1"
    )
    if isinstance(connection, Writer):
        connection.erased = True
