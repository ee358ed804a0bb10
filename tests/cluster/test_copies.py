"""Copies of the leader's database: whole and of one moment while it writes, or the node keeps what it has."""

import logging
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from hashlib import blake2b
from pathlib import Path

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from relay.cluster import copy_frames, fetching
from relay.cluster.copies import Copies
from relay.cluster.copy_frames import Frame, pack_sizes, send_frame
from relay.cluster.fetching import fetch_copy
from relay.cluster.records import START
from relay.cluster.replica import Replica
from relay.cluster.replication import LeaderLog
from relay.cluster.stream import Entry
from relay.storage.cluster import Position, read_position, schema_digest, write_position
from relay.storage.copying import Progress
from relay.storage.database import open_runner
from relay.storage.errors import BackupFailed, StorageError
from relay.storage.jobs import Runner
from relay.storage.replica import locked, open_replica
from relay.testing.world import make_database
from tests.cluster.memory import MemoryLog, MemoryStream
from tests.simulation.replica import differences

pytestmark = pytest.mark.real_time  # copies are made and written on threads

BEGIN = Position("team", 0, 0, START, 0)
PATIENCE = 60


def make(path: Path, position: Position | None = BEGIN) -> None:
    """Make a database of a cluster that is about to begin."""

    make_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO things (name) VALUES (?)", [("x" * 900,)] * 2000)
        if position is not None:
            write_position(connection, position)
        connection.commit()


@asynccontextmanager
async def leading(path: Path, log: MemoryLog) -> AsyncIterator[Runner]:
    async with open_runner(path, recorded=True, on_rollback=lambda: None) as runner:
        schema = await runner.read(schema_digest)
        runner.replicate(
            lambda handle: LeaderLog(MemoryStream(log), BEGIN, schema, lambda _: None, handle, "first")
        )
        yield runner


async def take(leader: Path, path: Path, cluster: str = "team", progress: Progress | None = None) -> Position:
    """Send a copy of the leader's database to a node, and return what it got."""
    ours, theirs = memory_stream_pair()
    failed: StorageError | None = None
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Copies(leader).send, ours, "second")
            try:
                return await fetch_copy(theirs, path, cluster, progress or Progress())
            except StorageError as error:
                failed = error
            await theirs.aclose()
    raise failed


def position_of(path: Path) -> Position | None:
    with closing(sqlite3.connect(path)) as connection:
        return read_position(connection)


def left(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if not one.name.endswith((".lock", "-wal", "-shm")))


def test_a_copy_while_the_leader_writes_goes_on_from_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay.cluster")
    leader, path, log = tmp_path / "leader.db", tmp_path / "node" / "relay.db", MemoryLog()
    path.parent.mkdir()
    make(leader)

    async def write(runner: Runner, stop: trio.Event) -> None:
        number = 0
        while not stop.is_set() or number < 20:
            number += 1
            await runner.write(lambda c: c.execute("INSERT INTO things (name) VALUES ('new')"))

    async def run() -> Position:
        async with leading(leader, log) as runner, trio.open_nursery() as nursery:
            stop = trio.Event()
            nursery.start_soon(write, runner, stop)
            await runner.write(lambda c: c.execute("INSERT INTO things (name) VALUES ('first')"))
            position = await take(leader, path)
            stop.set()
        return position

    position = trio.run(run)
    assert position.number >= 1
    assert position_of(path) == position
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_replica(path) as (connection, handle):
        assert connection.execute("SELECT 1 FROM facts WHERE name = 'running'").fetchone() is None
        replica = Replica(connection, handle, "second")
        replica.apply(Entry(place + 1, data) for place, data in enumerate(log.entries) if data is not None)
    assert list(differences(leader, path)) == []
    assert left(path.parent) == ["relay.db"]
    assert left(tmp_path) == ["leader.db", "node"]
    assert "sent node second a copy of the database: " in caplog.text
    assert "this node has a new copy of the database: " in caplog.text


def test_a_new_copy_replaces_one_of_the_same_cluster(tmp_path: Path) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader, Position("team", 9, 3, b"d" * 16, 40))
    make(path, Position("team", 4, 1, b"e" * 16, 12))
    assert trio.run(take, leader, path) == Position("team", 9, 3, b"d" * 16, 40)
    assert left(tmp_path) == ["leader.db", "relay.db"]
    with locked(path), open_replica(path) as (connection, _):
        assert read_position(connection) == Position("team", 9, 3, b"d" * 16, 40)


def test_how_far_a_copy_is_is_told_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fetching, "_LOG_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "relay.cluster")
    seen: list[tuple[str, int, int]] = []

    async def run() -> None:
        ours, theirs = memory_stream_pair()
        for done in (0, 4, 9):
            await send_frame(ours, Frame.MAKING, pack_sizes(done, 10 if done else 0))
        await send_frame(ours, Frame.SIZE, pack_sizes(9, 9))
        await send_frame(ours, Frame.BYTES, b"x" * 9)
        await send_frame(ours, Frame.REFUSED, b"no more")
        progress = Progress(lambda one: seen.append((one.doing, one.done, one.total)))
        await fetch_copy(theirs, tmp_path / "relay.db", "team", progress)

    with pytest.raises(BackupFailed, match="no more"):
        trio.run(run)
    making, copying = "copying at the leader", "copying"
    assert list(dict.fromkeys(seen)) == [
        (making, 0, 0), (making, 0, 10), (making, 4, 10), (making, 9, 10), (copying, 0, 9), (copying, 9, 9),
    ]  # fmt: skip
    assert "a new copy of the database: copying at the leader, 4 bytes of 10 bytes" in caplog.text
    assert "a new copy of the database: copying, 9 bytes of 9 bytes" in caplog.text


def test_a_newer_relays_database_is_taken_as_well(tmp_path: Path) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader)
    with closing(sqlite3.connect(leader)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    assert trio.run(take, leader, path) == BEGIN


@pytest.mark.parametrize(
    ("position", "why"),
    [(None, "is of no cluster"), (Position("other", 1, 1, START, 1), "is of the cluster other")],
)
def test_a_database_of_another_cluster_or_of_none_is_not_replaced(
    tmp_path: Path, position: Position | None, why: str
) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader)
    make(path, position)
    with pytest.raises(BackupFailed, match=f"{why}.*Move it away"):
        trio.run(take, leader, path)
    assert position_of(path) == position
    assert left(tmp_path) == ["leader.db", "relay.db"]


@pytest.mark.parametrize(
    ("of", "why"),
    [(None, "the leader gives no copy: the database is no cluster's"), (BEGIN, "not of the cluster others")],
)
def test_a_copy_that_is_not_the_clusters_is_refused(tmp_path: Path, of: Position | None, why: str) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader, of)
    with pytest.raises(BackupFailed, match=why):
        trio.run(take, leader, path, "others")
    assert left(tmp_path) == ["leader.db"]


def test_a_database_that_is_in_use_is_not_replaced(tmp_path: Path) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader)
    make(path)
    with locked(path), pytest.raises(StorageError, match="in use by another relay"):
        trio.run(take, leader, path)


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader)
    make(path)
    monkeypatch.setattr(fetching, "room", lambda _: 1 << 20)
    with pytest.raises(BackupFailed, match=r"there is no room for a copy.*1\.0 MiB are free"):
        trio.run(take, leader, path)
    assert position_of(path) == BEGIN
    assert left(tmp_path) == ["leader.db", "relay.db"]


def test_who_comes_when_two_take_copies_is_told_to_ask_again(tmp_path: Path) -> None:
    leader = tmp_path / "leader.db"
    make(leader)

    async def run() -> None:
        both, held = Copies(leader), []
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                slow, held_end = lockstep_stream_pair()
                nursery.start_soon(both.send, slow, "slow")
                held.append(held_end)
                await held_end.receive_some(1)
            ours, theirs = memory_stream_pair()
            nursery.start_soon(both.send, ours, "second")
            with pytest.raises(BackupFailed, match="2 other nodes are taking copies"):
                await fetch_copy(theirs, tmp_path / "relay.db", "team", Progress())
            for one in held:
                await one.aclose()
        assert left(tmp_path) == ["leader.db"]
        assert await take(leader, tmp_path / "relay.db") == BEGIN

    trio.run(run)


def test_a_leader_that_is_gone_or_slow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_frames, "STALLED_SECONDS", 0.05)
    path = tmp_path / "relay.db"

    async def run(*, gone: bool) -> None:
        ours, theirs = memory_stream_pair()
        await send_frame(ours, Frame.MAKING, pack_sizes(1, 10))
        if gone:
            await ours.aclose()
        await fetch_copy(theirs, path, "team", Progress())

    with pytest.raises(BackupFailed, match="the leader has ended the connection"):
        trio.run(partial(run, gone=True))
    with pytest.raises(BackupFailed, match="nothing came from the leader"):
        trio.run(partial(run, gone=False))
    assert left(tmp_path) == []


def digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (
            [(Frame.SIZE, pack_sizes(10, 10)), (Frame.BYTES, b"x" * 9), (Frame.END, digest(b"x" * 9))],
            "has 9 bytes",
        ),
        ([(Frame.SIZE, pack_sizes(10, 10)), (Frame.BYTES, b"x" * 11)], "has 11 bytes"),
        ([(Frame.SIZE, pack_sizes(9, 9)), (Frame.BYTES, b"x" * 9), (Frame.END, b"y" * 32)], "damaged on its way"),
        (
            [(Frame.SIZE, pack_sizes(9, 9)), (Frame.BYTES, b"x" * 9), (Frame.END, digest(b"x" * 9))],
            "cannot be read",
        ),
        ([(Frame.SIZE, pack_sizes(0, 0)), (Frame.END, digest(b""))], "no database of relay's"),
        ([(Frame.SIZE, b"short")], "its size cannot be read"),
        ([(Frame.BYTES, b"early")], "a frame of the kind 3"),
        ([(Frame.SIZE, pack_sizes(9, 9)), (Frame.REFUSED, b"the disk failed")], "the disk failed"),
        ([(Frame.SIZE, pack_sizes(1 << 60, 1))], "there is no room"),
    ],
)
def test_what_is_no_copy_is_refused(tmp_path: Path, frames: list[tuple[Frame, bytes]], why: str) -> None:
    path = tmp_path / "relay.db"
    make(path)

    async def run() -> None:
        ours, theirs = memory_stream_pair()
        for kind, body in frames:
            await send_frame(ours, kind, body)
        await fetch_copy(theirs, path, "team", Progress())

    with pytest.raises(BackupFailed, match=why):
        trio.run(run)
    assert position_of(path) == BEGIN
    assert left(tmp_path) == ["relay.db"]


def test_bytes_of_something_else_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        ours, theirs = memory_stream_pair()
        await ours.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await fetch_copy(theirs, tmp_path / "relay.db", "team", Progress())

    with pytest.raises(BackupFailed, match="is no copy: a frame of"):
        trio.run(run)


def test_a_copy_that_is_stopped_leaves_everything_as_it_was(tmp_path: Path) -> None:
    leader, path = tmp_path / "leader.db", tmp_path / "relay.db"
    make(leader, Position("team", 9, 3, b"d" * 16, 40))
    make(path)

    def told(progress: Progress) -> None:
        if progress.doing == "copying" and progress.done:
            progress.stop()

    with pytest.raises(BackupFailed, match="stopped before its end"):
        trio.run(take, leader, path, "team", Progress(told))
    assert position_of(path) == BEGIN
    assert left(tmp_path) == ["leader.db", "relay.db"]


def test_a_node_that_goes_away_stops_the_copy_that_is_made_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leader = tmp_path / "leader.db"
    make(leader)

    async def run() -> None:
        ours, theirs = memory_stream_pair()
        await theirs.aclose()
        with trio.fail_after(PATIENCE):
            await Copies(leader).send(ours, "second")

    trio.run(run)
    assert "has not taken the copy" in caplog.text
    assert left(tmp_path) == ["leader.db"]
