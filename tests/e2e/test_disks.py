"""A disk that is full, read-only, locked, gone or exchanged under a real server: what it says, and what it keeps."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.disks import MIB, Ext4, fill, tmpfs
from tests.e2e.server import RELAY, Server, environment
from tests.e2e.wire import PATIENCE, Closed, Gone
from tests.e2e.world import Device, World, unique

pytestmark = pytest.mark.e2e

FAILS = "the disk does not take what is written: "
AGAIN = "the disk takes what is written again, after "
SINGLE_MODULES = "the page is served as single modules"  # said where the bundle is not of the modules at hand


def ready(world: World) -> dict[str, Any]:
    answer = world.rest(None).get("/readyz")
    assert answer.status_code in (200, 503)
    checks: dict[str, Any] = answer.json()["checks"]
    assert (answer.status_code == 200) is all(checks.values())
    return checks


def wait_ready(world: World, *, writes: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    while ready(world)["database_writes"] is not writes:
        assert time.monotonic() < deadline, world.server.diagnosis()
        time.sleep(0.2)


def lines(world: World, part: str) -> list[str]:
    return [line for line in world.server.log.read_text().splitlines() if part in line]


def figure(world: World, name: str) -> float:
    text = world.rest(None).get("/metrics").text
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


def talk_until_refused(alice: Device) -> list[str]:
    """Send until the disk takes no more, and return what was acknowledged."""
    acked = []
    for _ in range(20_000):
        ref = unique("full")
        answer = alice.answer(alice.send("bob", f"{ref} " + "x" * 2000, id=ref))
        if answer["type"] == "error":
            assert answer["payload"]["code"] == "overloaded"
            assert answer["payload"]["retry"] is True
            return acked
        acked.append(ref)
    raise AssertionError("the disk is never full")


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Ext4]:
    disk = Ext4(tmp_path)
    yield disk
    disk.unmount()


def stored(database: Path) -> set[str]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return {row[0] for row in connection.execute("SELECT own_id FROM log WHERE own_id IS NOT NULL")}


def test_on_a_full_disk_the_server_is_not_ready_says_so_once_and_recovers_by_itself(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    with tmpfs(tmp_path / "small", 12 * MIB) as folder:
        world = make_world(("alice", "bob"), {"storage": {"path": str(folder / "relay.db")}})
        alice = world.device("alice")
        acked = [unique("before") for _ in range(20)]
        for ref in acked:
            alice.acked(alice.send("bob", "before", id=ref))
        assert ready(world)["database_writes"] is True
        ballast = fill(folder)
        acked += talk_until_refused(alice)
        for _ in range(3):
            assert ready(world)["database_writes"] is False
            alice.refused(alice.send("bob", "x" * 4000))
            time.sleep(1.1)
        assert len(lines(world, FAILS)) == 1
        assert "disk is full" in lines(world, FAILS)[0]
        assert figure(world, "relay_storage_failing") == 1
        failed = figure(world, "relay_commits_failed_total")
        assert failed >= 4
        stood = figure(world, "relay_commits_total")
        alice.refused(alice.send("bob", "x" * 4000))
        assert figure(world, "relay_commits_total") == stood
        ballast.unlink()
        ref = unique("after")
        alice.acked(alice.send("bob", "after", id=ref))
        wait_ready(world, writes=True)
        assert len(lines(world, AGAIN)) == 1
        assert len(lines(world, FAILS)) == 1
        assert figure(world, "relay_storage_failing") == 0
        assert world.server.stop() == 0
        assert {*acked, ref} <= stored(folder / "relay.db")


def test_a_start_on_a_full_disk_says_that_it_is_full(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 4 * MIB) as folder:
        server = Server(tmp_path, {"storage": {"path": str(folder / "relay.db")}})
        fill(folder)
        server.spawn()
        assert server.process is not None
        assert server.process.wait(PATIENCE) == 1
        said = server.log.read_text()
        (line,) = [line for line in said.splitlines() if SINGLE_MODULES not in line]
        assert "the disk is full" in line


def test_on_a_disk_that_became_read_only_the_server_is_not_ready(make_world: MakeWorld, ext4: Ext4) -> None:
    world = make_world(("alice", "bob"), {"storage": {"path": str(ext4.mounted / "relay.db")}})
    alice = world.device("alice")
    acked = [unique("before") for _ in range(20)]
    for ref in acked:
        alice.acked(alice.send("bob", "before", id=ref))
    ext4.fail()
    assert alice.refused(alice.send("bob", "after"))["code"] == "overloaded"
    for _ in range(2):
        assert ready(world)["database_writes"] is False
        time.sleep(1.1)
    assert len(lines(world, FAILS)) == 1
    world.server.stop()
    said = world.server.log.read_text()
    assert "Traceback" not in said, said
    ext4.unmount()
    assert ext4.mount()
    assert set(acked) <= stored(ext4.mounted / "relay.db")


def test_a_database_that_goes_away_is_few_lines_and_loses_nothing_acknowledged(
    make_world: MakeWorld, ext4: Ext4
) -> None:
    world = make_world(("alice", "bob"), {"storage": {"path": str(ext4.mounted / "relay.db")}})
    alice, bob = world.device("alice"), world.device("bob")
    acked = [unique("before") for _ in range(20)]
    for ref in acked:
        alice.acked(alice.send("bob", "before", id=ref))
    bob.wait_content("before")
    ext4.vanish()
    assert world.server.process is not None
    deadline = time.monotonic() + 4
    with contextlib.suppress(Gone, Closed, httpx.HTTPError, OSError):
        while world.server.alive and time.monotonic() < deadline:  # where it meets damage, it ends
            alice.send("bob", "after")
            assert ready(world)["database_writes"] is False
            time.sleep(0.3)
    try:
        code = world.server.process.wait(5)
    except subprocess.TimeoutExpired:  # it may only ever see the disk fail, and waits for it to come back
        code = world.server.stop()
    assert code in (0, 1)
    said = world.server.log.read_text()
    assert "Traceback" not in said, said
    assert len(said.splitlines()) < 12, said
    ext4.unmount()
    assert ext4.mount()
    assert set(acked) <= stored(ext4.mounted / "relay.db")


def test_under_a_lock_of_another_program_the_server_is_not_ready_and_says_why(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"))
    alice = world.device("alice")
    other = sqlite3.connect(world.server.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waiting = alice.send("bob", "waits")
    assert ready(world)["database_writes"] is False
    (line,) = lines(world, "the database cannot be written: ")
    assert line.endswith("no answer within 3 s; another program may hold it locked")
    other.execute("ROLLBACK")
    other.close()
    alice.answer(waiting)
    wait_ready(world, writes=True)


def test_a_database_that_is_replaced_under_a_server_ends_it_and_both_files_are_whole(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(("alice", "bob"))
    alice = world.device("alice")
    database = world.server.database
    alice.acked(alice.send("bob", "in both"))
    backup = tmp_path / "backup.db"
    with sqlite3.connect(database) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    connection.close()
    acked = [unique("later") for _ in range(50)]
    for ref in acked:
        alice.acked(alice.send("bob", "later", id=ref))
    database.rename(tmp_path / "moved.db")
    shutil.copy(backup, database)
    assert world.server.process is not None
    assert world.server.process.wait(PATIENCE) == 1
    said = world.server.log.read_text()
    assert "was replaced, moved or deleted while this server ran" in said
    assert "Traceback" not in said
    assert set(acked) <= stored(tmp_path / "moved.db")
    world.server.start()
    assert [row["payload"]["content"] for row in world.history("alice", peer="bob")] == ["in both"]


def test_damage_that_a_reader_meets_ends_the_server_with_one_sentence_that_says_what_to_do(
    make_world: MakeWorld,
) -> None:
    world = make_world(("alice", "bob"))
    alice = world.device("alice")
    for _ in range(50):
        alice.acked(alice.send("bob", "x" * 2000))
    world.server.restart()  # all of it is in the file then, and hardly a page in memory
    with world.server.database.open("r+b") as database:
        size = database.seek(0, 2)
        database.seek(2 * 4096)
        database.write(b"\xff" * (size - 2 * 4096))
    with contextlib.suppress(httpx.HTTPError):
        world.rest("alice").get("/api/messages/user/bob")
    assert world.server.process is not None
    assert world.server.process.wait(PATIENCE) == 1
    said = world.server.log.read_text()
    assert "Traceback" not in said, said
    last = said.splitlines()[-1]
    assert last.startswith(f"relay: the database {world.server.database} cannot be used: the file is damaged")
    assert last.endswith("put a backup in their place: docs/operate/backup.md")
    assert len(said.splitlines()) < 25, said


def test_a_second_server_is_refused_though_the_lock_file_was_deleted(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(("alice", "bob"))
    alice = world.device("alice")
    world.server.database.with_name("relay.db.lock").unlink()
    second = Server(tmp_path, {"storage": {"path": str(world.server.database)}})
    second.spawn()
    assert second.process is not None
    assert second.process.wait(PATIENCE) == 1
    assert "is in use by another relay" in second.log.read_text()
    alice.acked(alice.send("bob", "undisturbed"))
    assert ready(world)["database_writes"] is True


@pytest.mark.parametrize("on_full_disk", [("stdout",), ("stderr",), ("stdout", "stderr")], ids="-".join)
def test_a_server_whose_output_goes_to_a_full_disk_serves_all_the_same(
    tmp_path: Path, on_full_disk: tuple[str, ...]
) -> None:
    server = Server(tmp_path)  # without users: it has how to begin to tell
    command = [*RELAY, "serve", "--config", str(server.config)]
    with open("/dev/full", "wb") as full, server.log.open("wb") as log:
        streams = {name: full if name in on_full_disk else log for name in ("stdout", "stderr")}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment(), **streams)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(httpx.TransportError):
                assert httpx.get(f"{server.url}/healthz").status_code == 200
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    if "stderr" not in on_full_disk:
        assert "standard output cannot be written to: No space left on device" in server.log.read_text()
