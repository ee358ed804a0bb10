"""The marks in the file: whose it is, its schema's version, and that a server has it open."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.storage.database import open_runner, read_epoch
from relay.storage.errors import StorageBroken, StorageError
from relay.storage.identity import APPLICATION_ID, new_epoch, schema_version
from tests.storage.opening import note, notes, opened

pytestmark = pytest.mark.real_time


def pragma(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def refused(folder: Path, why: str) -> None:
    before = (folder / "relay.db").read_bytes()
    with pytest.raises(StorageError, match=why):
        async with opened(folder):
            pytest.fail("opened it")
    assert (folder / "relay.db").read_bytes() == before


async def test_a_database_says_in_its_header_whose_it_is_and_what_version_its_schema_has(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    async with opened(tmp_path):
        pass
    assert (pragma(path, "application_id"), pragma(path, "user_version")) == (APPLICATION_ID, schema_version())
    for name in ("application_id", "user_version"):  # as relay made them before it had marks
        change(path, f"PRAGMA {name} = 0")
    async with opened(tmp_path):
        pass
    assert (pragma(path, "application_id"), pragma(path, "user_version")) == (APPLICATION_ID, schema_version())


async def test_a_file_with_the_mark_of_another_program_is_refused(tmp_path: Path) -> None:
    change(tmp_path / "relay.db", "PRAGMA application_id = 252006674")
    await refused(tmp_path, r"of another program \(its application_id is 252006674\); nothing was changed")


async def test_a_newer_version_of_the_schema_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    change(tmp_path / "relay.db", f"PRAGMA user_version = {schema_version() + 3}")
    await refused(tmp_path, rf"newer relay \(its schema is version {schema_version() + 3}, this one knows")


async def epoch_of(folder: Path) -> str:
    async with opened(folder) as runner:
        return await runner.read(read_epoch)


async def test_the_epoch_stays_after_a_clean_stop_and_after_a_crash(tmp_path: Path) -> None:
    first = await epoch_of(tmp_path)
    assert await epoch_of(tmp_path) == first
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with opened(tmp_path) as runner:
        await runner.write(note("acked"))
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"relay.db{suffix}", crashed)
    async with opened(crashed) as runner:
        assert await runner.read(read_epoch) == first
        assert "acked" in await notes(runner)


async def test_a_database_whose_log_was_lost_gets_a_new_epoch_and_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = await epoch_of(tmp_path)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with opened(tmp_path) as runner:
        await runner.write(note("acked"))
        shutil.copy(tmp_path / "relay.db", crashed)
    caplog.set_level(logging.WARNING)
    second = await epoch_of(crashed)
    assert second != first
    (line,) = [record.getMessage() for record in caplog.records]
    assert "its write-ahead log is gone" in line
    assert await epoch_of(crashed) == second


@pytest.mark.parametrize("way", ["VACUUM INTO", "backup"])
async def test_a_copy_of_a_running_servers_database_gets_a_new_epoch_when_it_is_opened(
    tmp_path: Path, way: str
) -> None:
    copied = tmp_path / "copied"
    copied.mkdir()
    async with opened(tmp_path) as runner:
        epoch = await runner.read(read_epoch)
        await runner.write(note("in the copy"))
        with closing(sqlite3.connect(f"file:{tmp_path / 'relay.db'}?mode=ro", uri=True)) as connection:
            if way == "backup":
                with closing(sqlite3.connect(copied / "relay.db")) as target:
                    connection.backup(target)
            else:
                connection.execute("VACUUM INTO ?", (str(copied / "relay.db"),))
    async with opened(copied) as runner:
        assert await runner.read(read_epoch) != epoch
        assert "in the copy" in await notes(runner)


async def test_a_new_epoch_is_another_one_each_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        made = [await runner.write(new_epoch) for _ in range(3)]
        assert len({*made}) == 3
        assert await runner.read(read_epoch) == made[-1]


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("lost", ["relay.db", "relay.db-wal"])
async def test_nothing_is_committed_once_the_file_or_its_log_is_another_one(
    tmp_path: Path, inline: bool, lost: str
) -> None:
    async with open_runner(tmp_path / "relay.db", inline=inline, on_rollback=lambda: None) as runner:
        await runner.write(note("before"))
        (tmp_path / lost).rename(tmp_path / "elsewhere")
        shutil.copy(tmp_path / "elsewhere", tmp_path / lost)
        with pytest.raises(StorageBroken, match="was replaced, moved or deleted while this server ran"):
            await runner.write(note("after"))
        assert runner.health.broken is not None
        assert "after" not in await notes(runner)
