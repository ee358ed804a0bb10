"""A database with two users, some messages and a file, as a server leaves it."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from relay.storage import attachments
from relay.storage.attachments import Attachment
from relay.storage.copying import Progress, copy
from relay.testing.world import make_database

FILE: Final = b"a picture of a cat " * 20_000  # more than one chunk


def fill(path: Path, messages: int = 10) -> Path:
    """Make a database, and store messages of alice's and a file in it."""
    make_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO users (user_id, display_name, created_at) VALUES (?, ?, 0)",
            [("alice", "A"), ("bob", "B")],
        )
        say(connection, messages)
        blob_id = attachments.begin(connection, 0)
        size = attachments.CHUNK_BYTES
        for number, start in enumerate(range(0, len(FILE), size)):
            attachments.put_chunk(connection, blob_id, number, FILE[start : start + size])
        digest = hashlib.sha256(FILE).digest()
        new = Attachment("cat", blob_id, "alice", "cat.txt", "text/plain", len(FILE), digest)
        attachments.finish(connection, new, 0)
        connection.execute("COMMIT")
    return path


def say(connection: sqlite3.Connection, count: int) -> None:
    """Store messages after those that are there."""
    (last,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    connection.executemany(
        "INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, payload, timestamp)"
        " VALUES (?1, 1, ?1, 'chat_message', 'alice', '*', '{\"content\": \"hello\"}', 1700000000 + ?1)",
        [(last + number + 1,) for number in range(count)],
    )


def backup(path: Path, name: str = "backup.db") -> Path:
    """Return a backup of a database, beside it."""
    target = path.with_name(name)
    copy(path, target, Progress(), alone=True)
    return target


def kill_after(path: Path, messages: int) -> Path:
    """Return a database as a server leaves it that is killed after some more messages: they are in its log alone."""
    killed = path.parent / "killed" / path.name
    killed.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        say(connection, messages)
        for suffix in ("", "-wal"):
            Path(f"{killed}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    return killed


def change(path: Path, *statements: str) -> None:
    """Change a database by hand."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def messages_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM log").fetchone()[0])
