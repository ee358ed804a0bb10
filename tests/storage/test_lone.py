"""Lone commits: which thread they run on, and what they wait for."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.storage.errors import StorageError, StorageFailed
from relay.storage.jobs import BUSY_MILLISECONDS, Runner
from relay.storage.lone import CHECKPOINT_PAGES, LoneCommits
from relay.storage.runners import ThreadRunner
from tests.storage.opening import note, notes, opened


class Clock:
    """A clock that stands still, but for what a test adds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        yield connection


def commit(lone: LoneCommits, writer: sqlite3.Connection, clock: Clock, seconds: float = 0.0) -> str:
    """Commit once as the runner would, in so many seconds, and return where."""
    with lone.here() as begun:
        if begun:
            clock.now += seconds
            writer.execute("COMMIT")
            return "loop"
    with lone.thread():
        clock.now += seconds
    return "thread"


def trusted(lone: LoneCommits, writer: sqlite3.Connection, clock: Clock) -> LoneCommits:
    """Commit quickly until the event loop does it."""
    for _ in range(100):
        if commit(lone, writer, clock, 0.0005) == "loop":
            return lone
    raise AssertionError("the disk is quick, and all goes to the thread")


def test_nothing_is_committed_on_the_loop_before_the_disk_is_known(
    writer: sqlite3.Connection, clock: Clock
) -> None:
    lone = LoneCommits(writer, clock)
    places = [commit(lone, writer, clock, 0.0005) for _ in range(100)]
    assert places == sorted(places, reverse=True)
    assert 20 < places.count("thread") < 50


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.02, 5, 15), (1.0, 30, 50), (60.0, 50, 90)])
def test_after_a_slow_commit_the_thread_takes_the_next_ones(
    writer: sqlite3.Connection, clock: Clock, seconds: float, least: int, most: int
) -> None:
    lone = trusted(LoneCommits(writer, clock), writer, clock)
    assert commit(lone, writer, clock, seconds) == "loop"
    places = [commit(lone, writer, clock, 0.0005) for _ in range(200)]
    assert least <= places.count("thread") <= most
    assert places == sorted(places, reverse=True)


def test_a_disk_that_stays_slow_never_holds_up_the_loop_again(writer: sqlite3.Connection, clock: Clock) -> None:
    lone = trusted(LoneCommits(writer, clock), writer, clock)
    assert [commit(lone, writer, clock, 0.3) for _ in range(50)] == ["loop"] + ["thread"] * 49


def test_one_commit_of_256_goes_to_the_thread_at_least(writer: sqlite3.Connection, clock: Clock) -> None:
    lone = trusted(LoneCommits(writer, clock), writer, clock)
    with lone.thread():
        pass
    places = [commit(lone, writer, clock) for _ in range(512)]
    assert [index for index, place in enumerate(places) if place == "thread"] == [255, 511]


def test_the_loop_waits_for_no_lock(writer: sqlite3.Connection, clock: Clock, tmp_path: Path) -> None:
    lone = trusted(LoneCommits(writer, clock), writer, clock)
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with lone.here() as begun:  # would wait for five seconds, and raise
            assert not begun
    with lone.here() as begun:
        assert begun
        writer.execute("COMMIT")
    with lone.thread(), lone.here() as begun:
        assert not begun


# With real threads.


def quick(runner: Runner) -> None:
    """Have the disk count as quick, so that the next lone commit runs on the event loop whatever this one does."""
    assert isinstance(runner, ThreadRunner)
    runner._lone._average = -1e9


def where(connection: sqlite3.Connection) -> tuple[int, int, int]:
    pragmas = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("busy_timeout", "wal_autocheckpoint")
    ]
    return threading.get_ident(), *pragmas


@pytest.mark.real_time
async def test_a_lone_job_is_committed_on_the_loop_without_locks_and_checkpoints(tmp_path: Path) -> None:
    here = threading.get_ident()
    async with opened(tmp_path / "one") as runner:
        for _ in range(2):
            quick(runner)
            assert await runner.write(where, lone=True) == (here, 0, 0)
            thread, *pragmas = await runner.write(where)
            assert thread != here
            assert pragmas == [BUSY_MILLISECONDS, CHECKPOINT_PAGES]
        await runner.write(note("kept"), lone=True)
        assert await notes(runner) == {"kept"}


@pytest.mark.real_time
async def test_while_another_process_writes_the_thread_waits_and_the_loop_does_not(tmp_path: Path) -> None:
    async with opened(tmp_path / "one") as runner, trio.open_nursery() as nursery:
        with closing(sqlite3.connect(tmp_path / "one" / "relay.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            quick(runner)
            nursery.start_soon(lambda: runner.write(note("late"), lone=True))
            await trio.testing.wait_all_tasks_blocked()
            assert await notes(runner) == set()  # the loop goes on meanwhile
            other.execute("ROLLBACK")
    async with opened(tmp_path / "one") as runner:
        assert await notes(runner) == {"late"}


@pytest.mark.real_time
async def test_a_lone_job_that_raises_stores_nothing(tmp_path: Path) -> None:
    rollbacks: list[int] = []

    def fails(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise KeyError("mine")

    async with opened(tmp_path / "one", rollbacks=rollbacks) as runner:
        quick(runner)
        with pytest.raises(KeyError, match="mine"):
            await runner.write(fails, lone=True)
        assert len(rollbacks) == 1
        await runner.write(note("next"), lone=True)
        assert await notes(runner) == {"next"}


@pytest.mark.real_time
async def test_a_disk_that_does_not_take_a_lone_commit_is_told_to_who_waits(tmp_path: Path) -> None:
    def grows(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE big AS SELECT zeroblob(1000000) AS blob")

    async with opened(tmp_path / "one") as runner:
        await runner.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
        quick(runner)
        with pytest.raises(StorageFailed, match="full"):
            await runner.write(grows, lone=True)
        assert runner.health.failed == 1
        assert await runner.write(where, lone=True)
    with pytest.raises(StorageError, match="closed"):
        await runner.write(note("late"), lone=True)


@pytest.mark.real_time
async def test_what_a_lone_job_erases_is_told_to_who_purges(tmp_path: Path) -> None:
    def erases(connection: Any) -> None:
        connection.erased = True

    async with opened(tmp_path / "one") as runner:
        quick(runner)
        await runner.write(erases, lone=True)
        with trio.fail_after(5):
            await runner.wait_erased()


class Copied:
    """A replication that counts what it is handed."""

    def __init__(self) -> None:
        self.sealed: list[int] = []

    def begin(self, connection: sqlite3.Connection) -> None: ...

    def seal(self, connection: sqlite3.Connection) -> None:
        self.sealed.append(threading.get_ident())

    def committed(self) -> None: ...

    def dropped(self) -> None: ...


@pytest.mark.real_time
async def test_in_a_cluster_no_commit_is_on_the_loop_as_it_waits_for_other_nodes(tmp_path: Path) -> None:
    copied = Copied()
    async with opened(tmp_path / "one", recorded=True) as runner:
        runner.replicate(lambda _handle: copied)
        quick(runner)
        await runner.write(note("everywhere"), lone=True)
    assert len(copied.sealed) == 1
    assert threading.get_ident() not in copied.sealed
