"""Writes that wait a little for company: one commit for all, each with its own end."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.storage.batching import BatchingWriter
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Job
from tests.storage.opening import note, notes, opened


class Counting:
    """A runner that counts its commits, and fails them all while `full`."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.commits = 0
        self.full = False

    async def write(self, job: Job[Any]) -> Any:
        self.commits += 1
        if self.full:
            raise StorageFailed("the disk is full")
        return await self._runner.write(job)

    async def read(self, job: Job[Any], *, inline: bool = False) -> Any:
        return await self._runner.read(job, inline=inline)

    async def aclose(self) -> None:
        raise AssertionError("not this one's to close")


async def at_once(writer: BatchingWriter, *jobs: Job[Any]) -> list[Any]:
    """Write at once, and return what each came to."""
    results: list[Any] = [None] * len(jobs)

    async def run(index: int, job: Job[Any]) -> None:
        try:
            results[index] = await writer.write(job)
        except Exception as error:
            results[index] = error

    async with trio.open_nursery() as nursery:
        for index, job in enumerate(jobs):
            nursery.start_soon(run, index, job)
    return results


def fail(connection: sqlite3.Connection) -> None:
    note("half")(connection)
    raise KeyError("mine")


async def test_what_comes_together_is_one_commit_and_what_raises_fails_alone(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    async with opened(tmp_path, inline=True) as runner:
        counting = Counting(runner)
        writer = BatchingWriter(counting)
        nursery.start_soon(writer.run)
        results = await at_once(writer, note("a"), fail, note("b"))
        assert (results[0], results[2]) == (1, 1)
        assert isinstance(results[1], KeyError)
        assert counting.commits == 1
        assert await notes(runner) == {"a", "b"}
        nursery.cancel_scope.cancel()


async def test_a_commit_that_fails_fails_everybody_and_the_next_one_is_tried(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    async with opened(tmp_path, inline=True) as runner:
        counting = Counting(runner)
        writer = BatchingWriter(counting)
        nursery.start_soon(writer.run)
        counting.full = True
        results = await at_once(writer, note("a"), note("b"))
        assert all(isinstance(result, StorageFailed) for result in results)
        counting.full = False
        assert await writer.write(note("after")) == 1
        assert await notes(runner) == {"after"}
        nursery.cancel_scope.cancel()


async def test_nobody_waits_longer_than_a_moment(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with opened(tmp_path, inline=True) as runner:
        writer = BatchingWriter(runner)
        nursery.start_soon(writer.run)
        for _ in range(3):
            began = trio.current_time()
            await writer.write(note(f"{began}"))
            assert trio.current_time() - began == pytest.approx(0.01)
            await trio.sleep(5)
        nursery.cancel_scope.cancel()


async def test_one_who_gives_up_waiting_does_not_take_the_job_back(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with opened(tmp_path, inline=True) as runner:
        writer = BatchingWriter(runner)
        nursery.start_soon(writer.run)
        with trio.move_on_after(0.005) as scope:
            await writer.write(note("left"))
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert await notes(runner) == {"left"}
        nursery.cancel_scope.cancel()


async def test_a_disk_that_is_full_amid_the_jobs_fails_everybody_and_ends_nothing(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """SQLite rolls the transaction back by itself then, and with it every savepoint."""

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # as many as there are
        connection.execute("INSERT INTO facts VALUES ('large', zeroblob(1000000))")

    def make_room(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1000000")

    async with opened(tmp_path, inline=True) as runner:
        writer = BatchingWriter(runner)
        nursery.start_soon(writer.run)
        for jobs in ([note("a"), fill, note("b")], [fail, fill]):
            results = await at_once(writer, *jobs)
            assert all(isinstance(result, StorageFailed) for result in results)
        await runner.write(make_room)
        assert await writer.write(note("after")) == 1
        assert await notes(runner) == {"after"}
        nursery.cancel_scope.cancel()
