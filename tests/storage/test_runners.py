"""The one writer and its readers: group commit, and what a failing commit leaves."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.database import open_runner
from relay.storage.errors import StorageBroken, StorageError, StorageFailed, TransactionEnded
from relay.storage.jobs import Runner, empty_wal
from relay.storage.observer import note_erased
from relay.storage.runners import _Reader
from relay.storage.scrubbing import Scrubber, wipe
from relay.storage.turns import reading_for
from relay.storage.upgrading import migrate
from tests.storage.opening import note, notes, opened

pytestmark = pytest.mark.real_time


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE big AS SELECT zeroblob(10000000) AS blob")


async def outcomes(runner: Runner, *jobs: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """Run jobs as one group commit, while the writer is busy with another, and return what each came to."""
    busy, go = threading.Event(), threading.Event()
    results: list[Any] = [None] * len(jobs)

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go.wait(5)

    async def run(index: int, job: Callable[[sqlite3.Connection], Any]) -> None:
        try:
            results[index] = await runner.write(job)
        except Exception as error:
            results[index] = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.write, hold)
        await trio.to_thread.run_sync(busy.wait, 5)
        for index, job in enumerate(jobs):
            nursery.start_soon(run, index, job)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    return results


async def test_a_job_that_raises_gets_its_own_exception_and_the_others_are_stored(tmp_path: Path) -> None:
    rollbacks: list[int] = []

    def fail(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise KeyError("mine")

    async with opened(tmp_path, rollbacks=rollbacks) as runner:
        results = await outcomes(runner, note("a"), fail, note("b"))
        assert results[0] == results[2] == 1
        assert isinstance(results[1], KeyError)
        assert await notes(runner) == {"a", "b"}
        assert len(rollbacks) == 1
    async with opened(tmp_path) as runner:
        assert await notes(runner) == {"a", "b"}


def end(connection: sqlite3.Connection) -> None:
    note("before")(connection)
    connection.execute("ROLLBACK")
    note("after")(connection)


def end_by_the_disk(connection: sqlite3.Connection) -> None:
    """Do what SQLite does where a disk fails, and then fail over what is gone."""
    try:
        connection.execute("ROLLBACK")
        failure = sqlite3.OperationalError("disk I/O error")
        failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise failure
    finally:
        connection.execute("RELEASE mine")


@pytest.mark.parametrize(("inline", "others"), [(False, 0), (False, 2), (True, 0)])
async def test_where_a_job_ends_the_transaction_nobody_is_told_that_theirs_is_stored(
    tmp_path: Path, inline: bool, others: int
) -> None:
    rollbacks: list[int] = []
    jobs = [note(f"{number}") for number in range(others)]
    async with opened(tmp_path, inline=inline, rollbacks=rollbacks) as runner:
        results = [await failure_of(runner, end)] if inline else await outcomes(runner, *jobs, end)
        assert {type(result) for result in results} == {TransactionEnded}
        assert rollbacks
        assert runner.health.reason is None
        assert not await notes(runner) & {"0", "1", "before"}
        assert await runner.write(note("later")) == 1


async def failure_of(runner: Runner, job: Callable[[sqlite3.Connection], Any]) -> Exception:
    try:
        await runner.write(job)
    except Exception as error:
        return error
    raise AssertionError("it was stored")


@pytest.mark.parametrize("inline", [False, True])
async def test_where_the_disk_ended_the_transaction_that_is_the_reason(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path, inline=inline) as runner:
        failed = await failure_of(runner, end_by_the_disk)
        assert str(failed) == "the commit did not reach the disk: disk I/O error"
        assert runner.health.reason == "disk I/O error"


@pytest.mark.parametrize("inline", [False, True])
async def test_a_job_alone_that_raises_stores_nothing(tmp_path: Path, inline: bool) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise KeyError("mine")

    async with opened(tmp_path, inline=inline) as runner:
        with pytest.raises(KeyError, match="mine"):
            await runner.write(fail)
        assert await notes(runner) == set()
        assert runner.health.reason is None, "and the disk is not to blame"


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_a_commit_waits_for_the_disk_as_the_settings_say(tmp_path: Path, durability: str) -> None:
    async with open_runner(tmp_path / "relay.db", durability=durability, on_rollback=lambda: None) as runner:
        synchronous = await runner.write(lambda c: c.execute("PRAGMA synchronous").fetchone()[0])
    assert synchronous == {"full": 2, "normal": 1}[durability]  # https://sqlite.org/pragma.html#pragma_synchronous


async def test_jobs_that_wait_share_one_commit(tmp_path: Path) -> None:
    seen_by_others: list[int] = []

    def look(connection: sqlite3.Connection) -> None:
        note(f"{len(seen_by_others)}")(connection)
        other = sqlite3.connect(tmp_path / "relay.db")
        seen_by_others.append(other.execute("SELECT count(*) FROM facts WHERE name <> 'running'").fetchone()[0])
        other.close()

    async with opened(tmp_path) as runner:
        await outcomes(runner, look, look, look)
    assert seen_by_others == [3, 3, 3]


@pytest.mark.parametrize("inline", [False, True])
async def test_a_full_disk_stores_nothing_and_the_writer_works_once_there_is_room(
    tmp_path: Path, inline: bool
) -> None:
    rollbacks: list[int] = []
    async with opened(tmp_path, inline=inline, rollbacks=rollbacks) as runner:
        pages = await runner.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
        await runner.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())
        if inline:
            with pytest.raises(StorageFailed, match="full"):
                await runner.write(fill)
        else:
            ends = await outcomes(runner, note("a"), fill, note("b"))
            assert any(isinstance(end, StorageFailed) for end in ends)
            assert not any("rollback" in str(end) or "savepoint" in str(end) for end in ends)
            with pytest.raises(StorageFailed, match="full"):
                await runner.write(fill)
        assert rollbacks
        await runner.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchall())
        await runner.write(note("after"))
        assert "after" in await notes(runner)
        assert (
            await runner.read(lambda c: c.execute("SELECT 1 FROM sqlite_master WHERE name = 'big'").fetchall())
            == []
        )


@pytest.mark.parametrize("inline", [False, True])
async def test_a_commit_that_fails_fails_all_of_its_jobs_and_stores_none(tmp_path: Path, inline: bool) -> None:
    def break_the_commit(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO child VALUES (7)")

    def prepare(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")

    rollbacks: list[int] = []
    async with opened(tmp_path, inline=inline, rollbacks=rollbacks) as runner:
        await runner.write(prepare)
        if inline:
            with pytest.raises(StorageFailed, match="commit"):
                await runner.write(break_the_commit)
        else:
            results = await outcomes(runner, note("a"), break_the_commit, note("b"))
            assert all(isinstance(result, StorageFailed) for result in results)
        assert rollbacks
        assert runner.health.reason is not None
        assert await notes(runner) == set()
        await runner.write(note("after"))
    async with opened(tmp_path) as runner:
        assert await notes(runner) == {"after"}


async def test_a_trigger_that_raises_is_its_jobs_own_failure(tmp_path: Path) -> None:
    def forbid(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON facts WHEN NEW.name = 'x' BEGIN SELECT RAISE(ABORT, 'no x'); END"
        )

    async with opened(tmp_path) as runner:
        await runner.write(forbid)
        results = await outcomes(runner, note("a"), note("x"), note("b"))
        assert isinstance(results[1], sqlite3.IntegrityError)
        assert await notes(runner) == {"a", "b"}


async def test_a_trigger_that_rolls_everything_back_fails_all(tmp_path: Path) -> None:
    def forbid(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON facts WHEN NEW.name = 'x' BEGIN SELECT RAISE(ROLLBACK, 'no x'); END"
        )

    async with opened(tmp_path) as runner:
        await runner.write(forbid)
        results = await outcomes(runner, note("a"), note("x"), note("b"))
        assert all(isinstance(result, StorageFailed) for result in results)
        assert await notes(runner) == set()
        await runner.write(note("after"))
        assert await notes(runner) == {"after"}


async def test_a_cancelled_caller_does_not_take_its_job_back(tmp_path: Path) -> None:
    busy, go = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go.wait(5)

    async with opened(tmp_path) as runner, trio.open_nursery() as nursery:
        nursery.start_soon(runner.write, hold)
        await trio.to_thread.run_sync(busy.wait, 5)
        with trio.move_on_after(0) as scope:
            await runner.write(note("late"))
        assert scope.cancelled_caught
        go.set()
        await runner.write(note("later"))
        assert await notes(runner) == {"late", "later"}


async def test_closing_finishes_what_was_queued(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(runner.write, note(str(number)))
            await trio.testing.wait_all_tasks_blocked()
            await runner.aclose()
        with pytest.raises(StorageError, match="closed"):
            await runner.write(note("late"))
    async with opened(tmp_path) as runner:
        assert await notes(runner) == {str(number) for number in range(20)}


async def test_what_waits_for_the_writer_at_the_end_is_stored_and_answered(tmp_path: Path) -> None:
    busy, go = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go.wait(5)

    async with opened(tmp_path) as runner, trio.open_nursery() as nursery:
        nursery.start_soon(runner.write, hold)
        await trio.to_thread.run_sync(busy.wait, 5)
        for number in range(3):
            nursery.start_soon(runner.write, note(str(number)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(runner.aclose)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    async with opened(tmp_path) as runner:
        assert await notes(runner) == {"0", "1", "2"}


@pytest.mark.parametrize("inline", [False, True])
async def test_who_purges_is_told_of_an_erasure_once_it_is_committed(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path, inline=inline) as runner:
        with trio.move_on_after(0.05) as early:
            await runner.wait_erased()
        assert early.cancelled_caught
        await runner.write(note_erased)
        with trio.fail_after(5):
            await runner.wait_erased()


async def test_a_database_that_broke_is_not_noted_as_closed_in_good_order(tmp_path: Path) -> None:
    for broken in (None, StorageBroken("damaged")):
        async with opened(tmp_path) as runner:
            runner.health.broken = broken
        with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
            running = connection.execute("SELECT 1 FROM facts WHERE name = 'running'").fetchone()
        assert (running is not None) == (broken is not None)


def test_pages_are_not_wiped_when_another_program_writes_before_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    migrate(path)
    wiped: list[list[int]] = []

    class Watched(Scrubber):
        def wipe(self, pages: Iterable[int]) -> None:
            wiped.append(list(pages))

    class Overtaken(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE" and wiped:
                note("another program")(other)
            return super().execute(sql, *parameters)

    scrubber = Watched(path)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(sqlite3.connect(path, isolation_level=None, factory=Overtaken)) as writer,
    ):
        for _ in range(2):
            wipe(scrubber, [1], writer)
    scrubber.close()
    assert wiped == [[1]], "the first time nobody was in between"


async def test_jobs_run_in_the_order_they_were_handed_over(tmp_path: Path) -> None:
    handed: list[int] = []
    ran: list[int] = []

    async def hand(runner: Runner, number: int) -> None:
        handed.append(number)
        await runner.write(lambda _connection: ran.append(number))

    async with opened(tmp_path) as runner, trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(hand, runner, number)
    assert ran == handed
    assert len(ran) == 100


async def test_reads_see_what_was_committed_before_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        for number in range(10):
            await runner.write(note(str(number)))
            for on_loop in (False, True):
                kept = await runner.read(
                    lambda c: c.execute("SELECT count(*) FROM facts WHERE name <> 'running'").fetchone()[0],
                    inline=on_loop,
                )
                assert kept == 3 + number + 1


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("on_loop", [False, True])
async def test_a_reader_cannot_write(tmp_path: Path, inline: bool, on_loop: bool) -> None:
    async with opened(tmp_path, inline=inline) as runner:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await runner.read(note("x"), inline=on_loop)
        assert await notes(runner) == set()


async def test_a_read_of_several_statements_sees_one_state_of_the_database(tmp_path: Path) -> None:
    counted, written = threading.Event(), threading.Event()

    def count_twice(connection: sqlite3.Connection) -> list[int]:
        counts = [connection.execute("SELECT count(*) FROM facts WHERE name <> 'running'").fetchone()[0]]
        counted.set()
        written.wait(5)
        return [*counts, connection.execute("SELECT count(*) FROM facts WHERE name <> 'running'").fetchone()[0]]

    async with opened(tmp_path) as runner, trio.open_nursery() as nursery:

        async def write_between() -> None:
            await trio.to_thread.run_sync(counted.wait, 5)
            await runner.write(note("between"))
            written.set()

        nursery.start_soon(write_between)
        assert await runner.read(count_twice) == [3, 3]
    assert written.is_set()


async def test_a_failing_read_gives_its_connection_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await runner.read(lambda _connection: 1 / 0)
        assert await notes(runner) == set()


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_users_read_is_interrupted_when_its_time_is_over_and_its_reader_goes_on(tmp_path: Path) -> None:
    async with open_runner(
        tmp_path / "relay.db", readers=1, read_seconds=0.05, on_rollback=lambda: None
    ) as runner:
        for _ in range(3):
            with reading_for("mallory"), pytest.raises(RelayError) as refused:
                await runner.read(lambda connection: connection.execute(ENDLESS).fetchone())
            assert refused.value.code is ErrorCode.OVERLOADED
            assert refused.value.retry
            assert refused.value.retry_after
        assert await notes(runner) == set()


async def test_a_user_who_waits_too_long_for_a_reader_is_refused_and_the_server_reads(tmp_path: Path) -> None:
    busy, go = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go.wait(5)

    async def holding() -> None:
        with reading_for("mallory"):
            await runner.read(hold)

    async with (
        open_runner(tmp_path / "relay.db", readers=1, read_seconds=0.05, on_rollback=lambda: None) as runner,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(holding)
        await trio.to_thread.run_sync(busy.wait, 5)
        with reading_for("mallory"), pytest.raises(RelayError) as refused:
            await notes(runner)
        assert refused.value.code is ErrorCode.OVERLOADED
        assert await notes(runner) == set()
        go.set()


async def test_the_time_that_a_user_waits_for_a_reader_is_time_of_their_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, go = threading.Event(), threading.Event()
    allowed: list[float | None] = []
    run = _Reader.run

    def watched(reader: _Reader, job: Callable[[sqlite3.Connection], Any], seconds: float | None) -> Any:
        allowed.append(seconds)
        return run(reader, job, seconds)

    def hold(_connection: sqlite3.Connection) -> None:
        busy.set()
        go.wait(5)

    async def read(job: Callable[[sqlite3.Connection], Any]) -> None:
        with reading_for("alice"):
            await runner.read(job)

    monkeypatch.setattr(_Reader, "run", watched)
    async with (
        open_runner(tmp_path / "relay.db", readers=1, read_seconds=60, on_rollback=lambda: None) as runner,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(read, hold)
        await trio.to_thread.run_sync(busy.wait, 5)
        nursery.start_soon(read, lambda connection: connection.execute("SELECT 1").fetchone())
        await trio.sleep(0.1)
        go.set()
    first, second = allowed
    assert first is not None
    assert second is not None
    assert second < first - 0.09


async def test_a_fault_of_a_read_is_its_own_and_no_matter_of_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as runner:
        with reading_for("alice"), pytest.raises(sqlite3.OperationalError, match="no such table"):
            await runner.read(lambda connection: connection.execute("SELECT * FROM elsewhere"))


class FullDisk(sqlite3.Connection):
    """A connection whose disk takes no checkpoint."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if "wal_checkpoint" in sql:
            failure = sqlite3.OperationalError("database or disk is full")
            failure.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise failure
        return super().execute(sql, *arguments)


def test_a_checkpoint_that_the_disk_does_not_take_is_the_disks_failure_and_no_fault(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "some.db", factory=FullDisk)) as connection:
        with pytest.raises(StorageFailed, match="database or disk is full"):
            empty_wal(connection)
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] > 0
