"""Backups that the server makes: by the clock, when asked, rotated, handed over, and told of when they fail."""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import RelayError
from relay.services.audit import Actor
from relay.services.backup_folder import BackupFolder, hand_over
from relay.services.backups import next_time
from relay.storage.checking import check
from relay.storage.copying import Progress
from relay.storage.errors import BackupFailed
from relay.testing import World
from relay.testing import world as open_world

OPERATOR = Actor.operator(0)


def files(world: World) -> list[str]:
    return sorted(path.name for path in world.engine.backups.folder.path.iterdir())


async def made(world: World, count: int) -> list[Any]:
    """Wait until so many backups were made, or failed; return them, the newest first."""
    while len(rows := (await world.engine.backups.state()).backups) < count:
        await trio.sleep(1)
    return rows


async def make_admins(world: World) -> None:
    await world.engine.runner.write(lambda c: c.execute("UPDATE users SET role = 'admin'").rowcount)
    world.engine.accounts.forget()


async def test_a_backup_that_was_asked_for(world: World) -> None:
    world.engine.backups.start(OPERATOR)
    (row,) = await made(world, 1)
    assert files(world) == [row.file]
    path = world.engine.backups.folder.path / row.file
    assert check(path, Progress()).problems == []
    assert (row.way, row.problem, row.bytes, row.there) == ("command line", None, path.stat().st_size, True)
    assert world.engine.backups.folder.path.stat().st_mode & 0o777 == 0o700
    state = await world.engine.backups.state()
    assert (state.last_good, state.failing, state.running, state.next_at) == (row, None, None, None)


async def test_one_is_made_at_a_time(world: World) -> None:
    world.engine.backups.start(OPERATOR)
    with pytest.raises(RelayError, match="is being made already") as refused:
        world.engine.backups.start(OPERATOR)
    assert refused.value.details == {"reason": "backup_runs"}
    while not world.engine.backups.is_running:
        await trio.lowlevel.checkpoint()
    with pytest.raises(RelayError, match="is being made already"):
        world.engine.backups.start(OPERATOR)
    await made(world, 1)


@pytest.mark.world("alice", RELAY_BACKUP__EVERY_SECONDS="3600", RELAY_BACKUP__KEEP="2")
async def test_backups_by_the_clock_are_rotated(world: World) -> None:
    rows = await made(world, 4)
    assert {(row.way, row.problem) for row in rows} == {("schedule", None)}
    gaps = [newer.at - older.at for newer, older in pairwise(rows)]
    assert all(3600 <= gap < 3700 for gap in gaps), gaps
    there = set(files(world)) - {row.file for row in rows[:3]}
    # The next one may be on its way.
    assert len(there) <= 1
    assert all(name.endswith(".part") and name > rows[0].file for name in there)
    assert [row.there for row in rows[2:]] == [False, False]
    count = await world.engine.runner.read(lambda c: c.execute("SELECT count(*) FROM audit_entries").fetchone())
    assert count == (0,)  # nobody has done anything


async def test_one_that_was_missed_is_made_soon_after_the_start(tmp_path: Path) -> None:
    settings = {"RELAY_BACKUP__EVERY_SECONDS": "86400"}
    async with open_world(tmp_path, "alice", **settings) as world:
        (first,) = await made(world, 1)
    async with open_world(tmp_path, **settings) as world:
        next_at = (await world.engine.backups.state()).next_at
        assert next_at == pytest.approx(first.at + 86_400, abs=60)
        await world.engine.runner.write(lambda c: c.execute("UPDATE backups SET at = at - 500000").rowcount)
    async with open_world(tmp_path, **settings) as world:
        began = world.engine.now()
        rows = await made(world, 2)
        assert 25 <= rows[0].at - began <= 60


@pytest.mark.world("alice", RELAY_BACKUP__EVERY_SECONDS="86400", RELAY_BACKUP__FOLDER="/nowhere/backups")
async def test_one_that_fails_is_told_and_tried_again_soon(world: World, caplog: pytest.LogCaptureFixture) -> None:
    rows = await made(world, 2)
    reason = "the folder /nowhere does not exist; make it, or correct [backup] folder"
    assert {row.problem for row in rows} == {reason}
    assert 900 <= rows[0].at - rows[1].at < 1000
    assert f"the backup failed: {reason}" in caplog.text
    await make_admins(world)
    condition = (await world.rest("GET", "/api/admin/health", "alice")).body
    assert condition["state"] == "worth a look"
    assert condition["remarks"] == [f"the last backup failed: {reason}"]
    assert condition["backups"]["failing"] == reason
    await trio.sleep(3 * 86_400)
    condition = (await world.rest("GET", "/api/admin/health", "alice")).body
    assert condition["remarks"][1].startswith("there has been no good backup for 7")
    assert (await world.engine.backups.state()).failing == reason


async def test_a_copy_that_does_not_fit_together_is_no_backup(world: World) -> None:
    await world.engine.runner.write(lambda c: c.execute("DELETE FROM facts WHERE name = 'high_water'").rowcount)
    world.engine.backups.start(OPERATOR)
    (row,) = await made(world, 1)
    assert "the copy is damaged" in row.problem
    assert "'high_water' is missing" in row.problem
    assert files(world) == []


async def test_the_figures_of_backups(world: World) -> None:
    world.engine.backups.start(OPERATOR)
    (row,) = await made(world, 1)
    await make_admins(world)
    text = (await world.rest("GET", "/metrics", "alice")).body
    assert f"relay_backup_last_good_bytes {float(row.bytes)}" in str(text)
    assert "relay_backup_failing 0.0" in str(text)
    assert "relay_backups_failed_total 0.0" in str(text)


def program(folder: Path, code: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.real_time
async def test_a_program_takes_each_backup_elsewhere(tmp_path: Path) -> None:
    await hand_over([program(tmp_path, 'cp "$1" "$2"'), __file__, str(tmp_path / "taken")], 10)
    assert (tmp_path / "taken").read_text() == Path(__file__).read_text()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("echo no such bucket >&2; exit 3", r"program ended with status 3: no such bucket; the file stays"),
        ("exit 1", "ended with status 1: it says nothing"),
        ("exec sleep 60", r"took longer than 0\.2 s and was ended"),
        ("kill -9 $$", "ended with status -9"),
    ],
)
async def test_a_program_that_fails(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(BackupFailed, match=words):
        await hand_over([program(tmp_path, code)], 0.2 if "sleep" in code else 10)


@pytest.mark.real_time
async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="nothing cannot be run: No such file or directory; the file stays"):
        await hand_over([str(tmp_path / "nothing")], 10)


@pytest.mark.real_time
async def test_a_backup_that_could_not_be_handed_over_failed(tmp_path: Path) -> None:
    command = f'["{program(tmp_path, "echo full >&2; exit 1")}", "{{file}}"]'
    async with open_world(tmp_path, "alice", RELAY_BACKUP__COMMAND=command, RELAY_BACKUP__KEEP="1") as world:
        backups = world.engine.backups
        good = backups.folder.new(1_000_000_000.0)
        good.touch()
        backups.start(OPERATOR)
        (row,) = await made(world, 1)
        assert row.problem is not None
        assert "ended with status 1: full; the file stays" in row.problem
        assert row.there
        assert files(world) == sorted([good.name, row.file]), "an older one that may be good stays as well"
        assert (backups.last_good, backups.failing, backups.failed) == (None, row.problem, 1)


def test_the_oldest_go_and_the_newest_stays(tmp_path: Path) -> None:
    def kept(keep: int, keep_days: float) -> list[str]:
        for day in range(1, 6):
            path = tmp_path / f"relay-2026010{day}-033000.db"
            path.touch()
            at = time.time() - 86_400 * (6 - day)
            os.utime(path, (at, at))
        for name in ("relay.db", "relay-20260101.db", "other-20260101-033000.db", "relay-20260101-033000.db.part"):
            (tmp_path / name).touch()
        BackupFolder(tmp_path, "relay", keep=keep, keep_days=keep_days).rotate(time.time())
        return sorted(path.name[6:14] for path in tmp_path.glob("relay-????????-??????.db"))

    assert kept(2, 0) == ["20260104", "20260105"]
    assert kept(0, 3.5) == ["20260103", "20260104", "20260105"]
    assert kept(4, 2.5) == ["20260104", "20260105"]
    assert kept(0, 0.1) == ["20260105"]
    assert len(kept(0, 0)) == 5
    assert len(list(tmp_path.iterdir())) == 9


def test_only_backups_are_found_by_name(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups", "relay", keep=0, keep_days=0)
    path = folder.new(0)
    path.touch()
    assert folder.find(path.name) is not None
    (tmp_path / "relay-20240101-033000.db").touch()
    (folder.path / "relay-20240101-033001.db").symlink_to("/etc/passwd")
    (folder.path / "relay-20240101-033002.db").mkdir()
    for name in ("../relay-20240101-033000.db", "relay-20240101-033001.db", "relay-20240101-033002.db", "", "."):
        assert folder.find(name) is None, name


def test_two_backups_in_one_second_have_two_names(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups", "relay", keep=0, keep_days=0)
    first = folder.new(0)
    first.touch()
    assert folder.new(0).name == f"{first.stem}-2.db"


def test_the_next_time_of_the_day() -> None:
    noon = datetime(2026, 1, 31, 12).timestamp()
    assert next_time("12:30", noon) - noon == 1800
    assert next_time("12:00", noon) - noon == 86_400
    assert next_time("03:30", noon) - noon == 15.5 * 3600


@pytest.mark.real_time  # virtual time would be over before the thread is
async def test_a_stop_ends_a_backup_and_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_world(tmp_path, "alice") as world:
        folder = world.engine.backups.folder.path
        world.engine.backups.start(OPERATOR)
        while not world.engine.backups.is_running:
            await trio.lowlevel.checkpoint()
    assert not list(folder.glob("*.part")) if folder.exists() else True
