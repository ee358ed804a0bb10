"""The check of a backup: what is in it, what is wrong with it, and files that are none."""

from __future__ import annotations

import gzip
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage.checking import Contents, check
from relay.storage.copying import Progress
from relay.storage.errors import BackupFailed
from relay.storage.first_migrations import migrations
from tests.storage.filled import FILE, backup, change, fill


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return backup(fill(tmp_path / "relay.db"))


def checked(path: Path) -> Contents:
    return check(path, Progress())


def test_a_good_one_says_what_is_in_it(good: Path) -> None:
    found = checked(good)
    assert (found.problems, found.steps_behind) == ([], 0)
    assert (found.users, found.messages, found.files, found.file_bytes) == (2, 10, 1, len(FILE))
    assert found.newest_at == 1700000010
    assert found.bytes == good.stat().st_size


def test_a_check_leaves_nothing_beside_the_file(good: Path) -> None:
    before = set(good.parent.iterdir())
    good.chmod(0o400)
    checked(good)
    assert set(good.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM chunks WHERE chunk_id & 1", "a file of 380,000 bytes has 248,928: attachment cat"),
        (
            "UPDATE chunks SET data = zeroblob(length(data))",
            "the bytes of a file are not those that were uploaded: attachment cat",
        ),
        ("DELETE FROM blobs", "1 files have no content"),
        (
            "INSERT INTO holds (attachment_id, message_id) VALUES ('dog', 1)",
            "1 files that messages hold are missing",
        ),
        ("UPDATE log SET channel_id = 99 WHERE seq < 4", "3 messages are in no conversation"),
        ("DELETE FROM facts WHERE name = 'epoch'", "the fact 'epoch' is missing"),
    ],
)
def test_what_does_not_fit_together_is_named(good: Path, statement: str, problem: str) -> None:
    change(good, statement)
    if "epoch" in statement:
        with pytest.raises(BackupFailed, match="the fact 'epoch' is missing"):
            raise BackupFailed("; ".join(checked(good).problems))
    else:
        assert checked(good).problems == [problem]


def test_a_damaged_page_is_found(good: Path) -> None:
    with good.open("r+b") as file:
        file.seek(good.stat().st_size // 2)
        file.write(os.urandom(100_000))
    try:
        problems = checked(good).problems
    except BackupFailed as failed:
        problems = [str(failed)]
    assert problems


def test_a_cut_file_is_found(good: Path) -> None:
    with good.open("r+b") as file:
        file.truncate(good.stat().st_size // 2 // 4096 * 4096)
    try:
        problems = checked(good).problems
    except BackupFailed as failed:
        problems = [str(failed)]
    assert problems


def test_files_that_are_no_backups_are_named(good: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.db"
    packed.write_bytes(gzip.compress(good.read_bytes()))
    letter, empty, other = tmp_path / "letter", tmp_path / "empty", tmp_path / "other.db"
    letter.write_text("dear grandmother")
    empty.touch()
    change(other, "CREATE TABLE songs (title TEXT)")
    for path, words in (
        (packed, "is not a database; it looks packed: unpack it first"),
        (letter, "is not a database; a backup is a SQLite file"),
        (empty, "is empty"),
        (other, r"is the database of another program \(it has the tables songs\)"),
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(BackupFailed, match=words):
            checked(path)


def test_a_backup_of_a_newer_relay_is_named(good: Path) -> None:
    change(good, f"INSERT INTO {migrations.migrations_table} VALUES (999, 'relay', 'wings', '2030-01-01')")
    with pytest.raises(BackupFailed, match="was written by a newer relay"):
        checked(good)


def test_a_backup_of_an_older_relay_is_good(good: Path) -> None:
    steps = migrations.migrations_table
    change(good, "DROP TABLE backups", f"DELETE FROM {steps} WHERE name = 'backups'")
    found = checked(good)
    assert (found.problems, found.steps_behind) == ([], 1)


def test_a_log_beside_a_backup_is_not_its_own(good: Path) -> None:
    database = good.with_name("relay.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE log SET payload = NULL")
        log = Path(f"{database}-wal").read_bytes()
    Path(f"{good}-wal").write_bytes(log)
    with pytest.raises(BackupFailed, match=r"backup\.db-wal"):
        checked(good)
    assert Path(f"{good}-wal").read_bytes() == log


def test_a_check_is_stopped(good: Path) -> None:
    progress = Progress(lambda one: one.stop())
    with pytest.raises(BackupFailed, match="stopped before its end"):
        check(good, progress)


def test_a_database_beside_its_log_is_read_with_it(good: Path) -> None:
    with closing(sqlite3.connect(good, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM log WHERE seq > 5")
        assert checked(good).messages == 5
