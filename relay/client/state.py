"""The state file: one small SQLite file that holds what a client needs after a restart.

Every write is one short transaction. It survives `kill -9`, not a power cut: that is for the server's log, which
recognizes a message that is sent again by its id.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from relay.client.errors import StateError
from relay.client.outbox import Message
from relay.protocol.errors import said

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = str | int | None

_FILE_NAME = "relay-client.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, target_id TEXT, frame TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS taken (message_id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value ANY) STRICT;
"""


@dataclass(slots=True)
class Saved:
    """The contents of a state file: ids and cursor, messages taken ahead of the cursor, unanswered messages."""

    facts: dict[str, Value] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    outbox: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Change:
    """The changes of one transaction."""

    facts: Mapping[str, Value]
    added: Sequence[Message]
    removed: Sequence[int]
    taken: Sequence[int]
    new_log: bool = False

    def __bool__(self) -> bool:
        return bool(self.facts or self.added or self.removed or self.taken)


class StateFile:
    """An open state file, locked by this process."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    @classmethod
    def open(cls, where: Path) -> StateFile:
        """Open or create the file, or `relay-client.db` in a directory; readable by its owner only.

        Raises:
            StateError: It is not a state file, another process has it open, or it cannot be written.
        """
        path = where / _FILE_NAME if where.is_dir() else where
        with _as_state_error(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            try:
                # Exclusive: two processes with one outbox would send each other's messages.
                database.execute("PRAGMA locking_mode=EXCLUSIVE")
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute("BEGIN EXCLUSIVE")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    database.execute(statement)
                database.execute("COMMIT")
            except BaseException:
                database.close()
                raise
        return cls(path, database)

    def load(self) -> Saved:
        """Return everything that the file holds.

        Raises:
            StateError: The file cannot be read.
        """
        with _as_state_error(self.path):
            run = self._database.execute
            return Saved(
                dict(run("SELECT name, value FROM facts").fetchall()),
                [row[0] for row in run("SELECT message_id FROM taken ORDER BY message_id")],
                [
                    Message(number, id, frame, target)
                    for number, id, frame, target in run(
                        "SELECT number, id, frame, target_id FROM outbox ORDER BY number"
                    )
                ],
            )

    def write(self, change: Change) -> None:
        """Write one change in one transaction.

        Raises:
            StateError: The file cannot be written.
        """
        run, many = self._database.execute, self._database.executemany
        with _as_state_error(self.path):
            run("BEGIN IMMEDIATE")
            try:
                if change.new_log:
                    run("DELETE FROM taken")
                rows = [(m.number, m.id, m.target_id, m.frame) for m in change.added]
                many("INSERT OR REPLACE INTO outbox (number, id, target_id, frame) VALUES (?, ?, ?, ?)", rows)
                many("DELETE FROM outbox WHERE number = ?", [(number,) for number in change.removed])
                many("INSERT OR IGNORE INTO taken VALUES (?)", [(id,) for id in change.taken])
                many("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(change.facts.items()))
                cursor = change.facts.get("cursor")
                if cursor is not None:
                    run("DELETE FROM taken WHERE message_id <= ?", (cursor,))
                run("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    run("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, which other processes may then open."""
        self._database.close()


@contextmanager
def _as_state_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        busy = "locked" in str(error)
        raise StateError(f"{path}: {'in use by another process' if busy else error}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(f"{path}: {said(error)}") from error
