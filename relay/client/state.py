"""What a client keeps over restarts, in one small SQLite file of its own.

Every write is one short transaction. It survives the process's `kill -9`, not the machine's power cut: the
server's log is what must survive that, and a message resent after one is told apart by its id.
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
    """The contents of a state file: who the client is, where it stands, and what it still has to send."""

    facts: dict[str, Value] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    outbox: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Change:
    """One transaction's worth of news."""

    facts: Mapping[str, Value]
    added: Sequence[Message]
    removed: Sequence[int]
    taken: Sequence[int]
    new_log: bool = False

    def __bool__(self) -> bool:
        return bool(self.facts or self.added or self.removed or self.taken)


class StateFile:
    """One open state file, held by this process alone."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    @classmethod
    def open(cls, where: Path) -> StateFile:
        """Open or create the file, or `relay-client.db` in a directory; readable by its owner only.

        Raises:
            StateError: It is no state file, another process has it open, or it cannot be written.
        """
        path = where / _FILE_NAME if where.is_dir() else where
        with _explained(path):
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
        """Read everything.

        Raises:
            StateError: The file cannot be read.
        """
        with _explained(self.path):
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
        """Write one change, whole or not at all.

        Raises:
            StateError: The file cannot be written.
        """
        run, many = self._database.execute, self._database.executemany
        with _explained(self.path):
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
        """Close the file and let other processes have it."""
        self._database.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        busy = "locked" in str(error)
        raise StateError(f"{path}: {'in use by another process' if busy else error}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(f"{path}: {error}") from error
