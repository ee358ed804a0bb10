"""A write-ahead log that is not the database's own: told apart before SQLite mixes the two."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from relay.storage.errors import StorageError
from relay.storage.write_ahead import check_beside
from tests.storage.opening import note, notes, opened

pytestmark = pytest.mark.real_time

FILES: Final = ("relay.db", "relay.db-wal")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


async def refused(folder: Path, why: str) -> None:
    before = contents(folder)
    with pytest.raises(StorageError, match=why):
        async with opened(folder):
            pytest.fail("opened the two")
    assert contents(folder) == before


async def crashed(folder: Path, target: Path, *, backups: dict[str, str] | None = None, later: int = 300) -> None:
    """Leave in `target` what a server that was killed leaves; take backups halfway, each its own way."""
    target.mkdir()
    async with opened(folder) as runner:
        for number in range(50):
            await runner.write(note(f"early {number} " + "x" * 500))
        for name, way in (backups or {}).items():
            with closing(sqlite3.connect(f"file:{folder / 'relay.db'}?mode=ro", uri=True)) as connection:
                if way == "VACUUM INTO":
                    connection.execute("VACUUM INTO ?", (str(folder / name),))
                else:
                    with closing(sqlite3.connect(folder / name)) as copy:
                        connection.backup(copy)
        await runner.checkpoint()
        for number in range(later):
            await runner.write(note(f"late {number} " + "y" * 500))
        for name in FILES:
            shutil.copy(folder / name, target)


@pytest.mark.parametrize("way", ["VACUUM INTO", "backup"])
async def test_the_old_log_beside_a_backup_that_was_copied_over_a_killed_servers_file_is_refused(
    tmp_path: Path, way: str
) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place, backups={"backup.db": way})
    time.sleep(0.1)
    shutil.copyfile(tmp_path / "backup.db", place / "relay.db")  # the same inode: nothing but what is in it tells
    await refused(
        place, r"relay.db-wal is not the write-ahead log of .*; move .*relay.db-wal and .*relay.db-shm away"
    )
    (place / "relay.db-wal").unlink()
    async with opened(place) as runner:
        found = await notes(runner)
        assert any(one.startswith("early 49") for one in found)
        assert not any(one.startswith("late") for one in found)


async def test_the_old_log_beside_a_backup_that_was_moved_there_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place, backups={"backup.db": "backup"})
    time.sleep(0.1)
    (tmp_path / "backup.db").rename(place / "relay.db")
    await refused(place, "was it restored from a backup")


async def test_what_a_killed_server_left_is_opened_with_all_that_was_stored(tmp_path: Path) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place)
    async with opened(place) as runner:
        assert any(one.startswith("late 299") for one in await notes(runner))


async def test_a_server_that_was_killed_in_a_checkpoint_is_no_restore(tmp_path: Path) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place)
    log = (place / "relay.db-wal").read_bytes()
    size = int.from_bytes(log[8:12])
    number, page = int.from_bytes(log[32:36]), log[56 : 56 + size]
    time.sleep(0.1)
    with (place / "relay.db").open("r+b") as database:  # as a checkpoint does, which ends after its first page
        database.seek((number - 1) * size)
        database.write(page)
    async with opened(place) as runner:
        assert any(one.startswith("late 299") for one in await notes(runner))


async def test_a_pair_that_was_moved_in_the_wrong_order_is_let_in_after_a_touch(tmp_path: Path) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place)
    time.sleep(0.1)
    (place / "relay.db").chmod(0o600)
    await refused(place, "If they belong together all the same, .*: touch .*relay.db-wal")
    os.utime(place / "relay.db-wal")
    async with opened(place) as runner:
        assert any(one.startswith("late 299") for one in await notes(runner))


async def test_a_log_without_its_database_is_kept_and_told(tmp_path: Path) -> None:
    place = tmp_path / "place"
    await crashed(tmp_path, place)
    (place / "relay.db").unlink()
    with pytest.raises(StorageError, match="that database is not there; put the database back"):
        async with opened(place):
            pytest.fail("made an empty database, and SQLite deleted the log")
    assert [*contents(place)] == ["relay.db-wal"]
    (place / "relay.db").touch()
    await refused(place, "that file is empty")


async def test_a_log_that_grew_under_a_long_read_is_cut_once_that_is_over(tmp_path: Path) -> None:
    def smaller(connection: sqlite3.Connection) -> int:
        """Set bounds that a test reaches soon in the place of the writer's own, and return that on the log."""
        (bound,) = connection.execute("PRAGMA journal_size_limit").fetchone()
        connection.execute(f"PRAGMA journal_size_limit = {1 << 16}")
        connection.execute("PRAGMA wal_autocheckpoint = 16")
        return int(bound)

    log = tmp_path / "relay.db-wal"
    async with opened(tmp_path) as runner:
        assert await runner.write(smaller) == 1 << 26
        with closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM facts").fetchone()
            for number in range(40):
                await runner.write(note(f"{number} " + "x" * 20_000))
            assert log.stat().st_size > 10 << 16
        for number in range(3):
            await runner.write(note(f"{number} after it"))
        assert log.stat().st_size <= 1 << 16


def test_an_empty_log_or_none_is_no_matter(tmp_path: Path) -> None:
    check_beside(tmp_path / "relay.db")
    (tmp_path / "relay.db-wal").touch()
    check_beside(tmp_path / "relay.db")
    (tmp_path / "relay.db-wal").write_bytes(b"\0" * 5000)
    check_beside(tmp_path / "relay.db")


def test_a_log_with_pages_of_another_size_is_refused(tmp_path: Path) -> None:
    for folder, size in (("a", 4096), ("b", 8192)):
        (tmp_path / folder).mkdir()
        with closing(sqlite3.connect(tmp_path / folder / "relay.db", isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {size}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (x)")
            shutil.copy(tmp_path / folder / "relay.db-wal", tmp_path / folder / "kept")
    shutil.copy(tmp_path / "a" / "kept", tmp_path / "b" / "relay.db-wal")
    with pytest.raises(StorageError, match="their pages differ in size"):
        check_beside(tmp_path / "b" / "relay.db")
