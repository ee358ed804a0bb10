"""The check of a database file that nobody writes to: SQLite's own, and whether relay's parts fit together."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from relay.protocol.errors import said
from relay.storage import migrations
from relay.storage.attachments import chunks_of
from relay.storage.copying import Progress, open_to_read
from relay.storage.errors import BackupFailed, StorageError
from relay.storage.health import in_words
from relay.storage.identity import check_ours
from relay.storage.write_ahead import check_beside

_MOST: Final = 20
"""The most problems that are told; a broken file may have millions."""

_HEADER: Final = b"SQLite format 3\0"

_LAWS: Final = (
    (
        ("log", "channels"),
        "SELECT count(*) FROM log WHERE channel_id NOT IN (SELECT channel_id FROM channels)",
        "{} messages are in no conversation",
    ),
    (
        ("members", "channels"),
        "SELECT count(*) FROM members WHERE channel_id NOT IN (SELECT channel_id FROM channels)",
        "{} memberships are of no conversation",
    ),
    (
        ("attachments", "blobs"),
        "SELECT count(*) FROM attachments WHERE blob_id NOT IN (SELECT blob_id FROM blobs)",
        "{} files have no content",
    ),
    (
        ("holds", "attachments"),
        "SELECT count(*) FROM holds WHERE attachment_id NOT IN (SELECT attachment_id FROM attachments)",
        "{} files that messages hold are missing",
    ),
    (
        ("tokens", "users"),
        "SELECT count(*) FROM tokens WHERE user_id NOT IN (SELECT user_id FROM users)",
        "{} tokens are of no user",
    ),
)
"""Each law: the tables that it is about, what counts what breaks it, and its words."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a database; `problems` is empty for one that can be used.

    `steps_behind` is how many steps its schema lacks, which the next start adds. `newest_at` is when its newest
    message was stored, in Unix seconds.
    """

    bytes: int
    users: int
    groups: int
    messages: int
    files: int
    file_bytes: int
    newest_at: float | None
    epoch: str
    steps_behind: int
    problems: list[str]


def check(path: Path, progress: Progress) -> Contents:
    """Read a whole database and tell what is in it, and what is wrong with it.

    Raises:
        BackupFailed: it is no database of relay's, or a newer one's; or the check was stopped.
    """
    _require_database(path)
    try:
        check_beside(path)
        with closing(open_to_read(path, alone=True)) as connection, progress.on(connection):
            check_ours(connection, path)
            progress.begin("checking", 0)  # SQLite does not tell how far it is
            problems = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST})") if row[0] != "ok"]
            if problems:
                return _told(connection, path, problems)
            problems += _broken_laws(connection)
            problems += _broken_files(connection, progress)
            return _told(connection, path, problems[:_MOST])
    except BackupFailed:
        raise
    except StorageError as error:
        raise BackupFailed(str(error)) from None
    except (sqlite3.Error, OSError) as error:
        if progress.stopped:
            raise BackupFailed("stopped before its end") from None
        raise BackupFailed(f"{path} cannot be used: {in_words(error, path)}") from error


def _require_database(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEADER))
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror or said(error)}") from None
    if not head:
        raise BackupFailed(f"{path} is empty; a backup is a SQLite file that relay backup has made")
    if head != _HEADER:
        packed = head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK", b"\xfd7zXZ", b"BZh"))
        why = (
            "it looks packed: unpack it first"
            if packed
            else "a backup is a SQLite file that relay backup has made"
        )
        raise BackupFailed(f"{path} is not a database; {why}")


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _broken_laws(connection: sqlite3.Connection) -> Iterator[str]:
    there = _tables(connection)
    for needed, sql, words in _LAWS:
        if there.issuperset(needed) and (count := connection.execute(sql).fetchone()[0]):
            yield words.format(f"{count:,}")
    facts = dict(connection.execute("SELECT name, value FROM facts"))
    yield from (f"the fact {name!r} is missing" for name in ("epoch", "high_water") if name not in facts)


def _broken_files(connection: sqlite3.Connection, progress: Progress) -> Iterator[str]:
    """Yield the problem of each file whose bytes are not those that were uploaded."""
    if "blobs" not in _tables(connection):
        return
    done, total = 0, connection.execute("SELECT coalesce(sum(size), 0) FROM blobs").fetchone()[0]
    progress.begin("checking files", total)
    whole = connection.execute("SELECT blob_id, sha256, size FROM blobs WHERE sha256 IS NOT NULL ORDER BY blob_id")
    for blob_id, sha256, size in whole:
        digest, found = hashlib.sha256(), 0
        for chunk in chunks_of(connection, blob_id):
            digest.update(chunk)
            found += len(chunk)
            progress.move(done + found)
        if found != size:
            yield f"a file of {size:,} bytes has {found:,}: {_name_of(connection, blob_id)}"
        elif digest.digest() != sha256:
            yield f"the bytes of a file are not those that were uploaded: {_name_of(connection, blob_id)}"
        done += size


def _name_of(connection: sqlite3.Connection, blob_id: int) -> str:
    row = connection.execute(
        "SELECT attachment_id FROM attachments WHERE blob_id = ? ORDER BY 1", (blob_id,)
    ).fetchone()
    return "no attachment has it" if row is None else f"attachment {row[0]}"


def _told(connection: sqlite3.Connection, path: Path, problems: list[str]) -> Contents:
    there = _tables(connection)

    def one(sql: str, *tables: str) -> int:
        if not there.issuperset(tables):
            return 0
        try:
            return int(connection.execute(sql).fetchone()[0] or 0)
        except sqlite3.DatabaseError:
            if problems:
                return 0  # of a damaged file, what can be read is told
            raise

    newest = one("SELECT max(timestamp) FROM log", "log") or None
    epoch = (
        "" if problems else str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])
    )
    return Contents(
        bytes=path.stat().st_size,
        users=one("SELECT count(*) FROM users", "users"),
        groups=one("SELECT count(*) FROM groups WHERE deleted_at IS NULL", "groups"),
        messages=one("SELECT count(*) FROM log WHERE type <> 'audit_event'", "log"),
        files=one("SELECT count(*) FROM attachments", "attachments"),
        file_bytes=one("SELECT sum(size) FROM blobs", "blobs"),
        newest_at=newest,
        epoch=epoch,
        steps_behind=len(set(migrations.steps()) - migrations.applied(connection)),
        problems=problems,
    )
