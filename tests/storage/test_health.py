"""How commits fare: counted, and said once when they fail and once when they stand again."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from relay.storage.errors import StorageBroken, StorageFailed
from relay.storage.health import Health, in_words, is_broken, is_the_disks


def failure(code: int, text: str = "the text") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(tmp_path: Path, clock: Clock) -> Health:
    return Health(tmp_path / "relay.db", clock)


def test_a_failing_disk_is_one_line_and_its_recovery_another(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    health.note(None)
    for _ in range(5):
        health.note(failure(sqlite3.SQLITE_IOERR_WRITE))
    assert (health.stood, health.failed, health.reason) == (1, 5, "the text")
    clock.now += 30
    health.note(None)
    assert health.reason is None
    assert [record.getMessage() for record in caplog.records] == [
        "the disk does not take what is written: the text; what comes is refused until it does",
        "the disk takes what is written again, after 30 s and 5 failed commits",
    ]


def test_a_small_commit_that_still_fits_is_no_recovery(health: Health, clock: Clock) -> None:
    for _ in range(10):
        health.note(failure(sqlite3.SQLITE_FULL))
        clock.now += 1
        health.note(None)
        assert health.reason is not None
    clock.now += 5
    health.note(None)
    assert health.reason is None


@pytest.mark.parametrize(
    ("code", "disks", "broken"),
    [
        (sqlite3.SQLITE_ERROR, False, False),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, False, False),
        (sqlite3.SQLITE_INTERRUPT, False, False),
        (sqlite3.SQLITE_FULL, True, False),
        (sqlite3.SQLITE_IOERR_FSYNC, True, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, True, False),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, False, False),
        (sqlite3.SQLITE_CANTOPEN, False, False),
        (sqlite3.SQLITE_CORRUPT_VTAB, True, True),
        (sqlite3.SQLITE_NOTADB, True, True),
    ],
)
def test_what_is_the_disks_and_what_is_a_mistake_in_a_statement(code: int, disks: bool, broken: bool) -> None:
    assert (is_the_disks(failure(code)), is_broken(failure(code))) == (disks, broken)
    assert not is_the_disks(ValueError("no"))


def test_a_damaged_file_is_told_apart_with_what_to_do(health: Health) -> None:
    assert isinstance(health.explained(failure(sqlite3.SQLITE_FULL)), StorageFailed)
    assert health.broken is None
    told = health.explained(failure(sqlite3.SQLITE_CORRUPT, "malformed"))
    assert isinstance(told, StorageBroken)
    assert "docs/operate/backup.md" in str(told)
    assert health.broken is told


def test_damage_that_a_read_meets_ends_the_server_and_a_plugins_broken_index_does_not(health: Health) -> None:
    for code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CORRUPT_VTAB):
        health.check_damage(failure(code))
        assert health.broken is None
    with pytest.raises(StorageBroken) as told:
        health.check_damage(failure(sqlite3.SQLITE_CORRUPT, "malformed"))
    assert health.broken is told.value


def test_a_failure_without_a_text_has_its_name(tmp_path: Path) -> None:
    assert in_words(failure(sqlite3.SQLITE_BUSY, ""), tmp_path / "relay.db") == "OperationalError"
    assert "is a folder" in in_words(failure(sqlite3.SQLITE_CANTOPEN), tmp_path)
