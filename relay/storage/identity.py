"""The marks in a database file: that it is relay's, its schema's version, its epoch, and that it is in use.

The first two stand in the file's header, where `file` and every SQLite tool show them. The others are facts.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from relay.storage import migrations
from relay.storage.errors import StorageError

APPLICATION_ID: Final = 0x72656C79
"""The letters "rely": the `application_id` of every relay database (https://sqlite.org/pragma.html)."""

_RUNNING: Final = "running"
"""The fact that is there from a start to a clean stop."""

_OTHERS_TABLES: Final = frozenset({"_sqlite_migrations", "sqlite_sequence"})
"""Tables of a database whose first start ended before its first step."""


def schema_version() -> int:
    """Return the newest version of the schema that this relay knows: the number of its steps."""
    return len(migrations.steps())


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Check that the database is relay's and not newer, before anything is written to it.

    Raises:
        StorageError: it is another program's, or a newer relay's.
    """
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if mark not in (0, APPLICATION_ID):
        raise _another_programs(path, f"its application_id is {mark}")
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables <= _OTHERS_TABLES:
        return
    done = migrations.applied(connection)
    if not done:
        raise _another_programs(path, f"it has the tables {', '.join(sorted(tables)[:5])}")
    version, newest = int(connection.execute("PRAGMA user_version").fetchone()[0]), schema_version()
    unknown = done - set(migrations.steps())
    if unknown or version > newest:
        found = f"has the step {min(unknown)!r}" if unknown else f"is version {version}, this one knows {newest}"
        raise StorageError(
            f"{path} was written by a newer relay (its schema {found}); nothing was changed in it;"
            " run that version, or go back to a backup from before the upgrade"
        )


def _another_programs(path: Path, told_by: str) -> StorageError:
    return StorageError(
        f"{path} is the database of another program ({told_by}); nothing was changed in it;"
        " give [storage] path another name"
    )


def stamp(connection: sqlite3.Connection) -> None:
    """Write into the header whose the database is, and its schema's version."""
    for name, value in (("application_id", APPLICATION_ID), ("user_version", schema_version())):
        if connection.execute(f"PRAGMA {name}").fetchone()[0] != value:
            connection.execute(f"PRAGMA {name} = {value}")


def read_epoch(connection: sqlite3.Connection) -> str:
    """Return the epoch, the name of this database's life; a restored database gets a new one."""
    return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


def make_epoch() -> str:
    """Return the name of a new epoch; all are equally long."""
    return secrets.token_hex(8)


def new_epoch(connection: sqlite3.Connection) -> str:
    """Give the database a new epoch, and return it: what clients know of positions no longer holds."""
    epoch = make_epoch()
    connection.execute("UPDATE facts SET value = ? WHERE name = 'epoch'", (epoch,))
    return epoch


def begin_run(connection: sqlite3.Connection, *, log_is_gone: bool) -> bool:
    """Note that the database is in use from now on; return whether it needed a new epoch.

    A database that was in use, and whose write-ahead log is gone, is older than what was acknowledged: it is a
    copy of a running server's, or its log was deleted.
    """
    was_running = connection.execute("SELECT 1 FROM facts WHERE name = ?", (_RUNNING,)).fetchone() is not None
    if not was_running:
        connection.execute("INSERT INTO facts (name, value) VALUES (?, 1)", (_RUNNING,))
    if was_running and log_is_gone:
        new_epoch(connection)
        return True
    return False


def end_run(connection: sqlite3.Connection) -> None:
    """Note that the database was closed in good order."""
    connection.execute("DELETE FROM facts WHERE name = ?", (_RUNNING,))
