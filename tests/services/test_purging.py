"""Purging: in its order, until everything is done, and again where the disk did not take it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.services.purging import Purging
from relay.storage.errors import StorageFailed
from relay.storage.observer import note_erased, unpurged_erasures
from tests.storage.opening import opened

pytestmark = pytest.mark.usefixtures("autojump_clock")


class Watched:
    """A runner that notes what it is asked for, and fails some writes."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.asked: list[str] = []
        self.fail = 0

    async def read(self, job: Any, **more: Any) -> Any:
        return await self._runner.read(job, **more)

    async def write(self, job: Any) -> Any:
        if self.fail:
            self.fail -= 1
            raise StorageFailed("the disk fails")
        self.asked.append("step" if getattr(job, "__name__", "") == "step" else "note")
        return await self._runner.write(job)

    async def checkpoint(self) -> bool:
        self.asked.append("checkpoint")
        return bool(await self._runner.checkpoint())

    async def scrub(self) -> None:
        self.asked.append("scrub")
        await self._runner.scrub()

    async def wait_erased(self) -> None:
        await self._runner.wait_erased()


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Watched]:
    async with opened(tmp_path, inline=True) as found:
        await found.write(note_erased)
        await found.wait_erased()  # as after a restart: nobody is told of it any more
        yield Watched(found)


def purging(runner: Watched, steps: int = 3) -> Purging:
    """Return a purging whose plugins have so many steps of work each time."""
    left = [steps]

    def step(_connection: object) -> bool:
        left[0] -= 1
        return left[0] > 0

    return Purging(runner, 10, step)  # type: ignore[arg-type]


async def due(runner: Watched) -> bool:
    return await runner.read(unpurged_erasures) is not None


async def test_it_is_noted_as_done_when_the_last_byte_is_gone(runner: Watched) -> None:
    assert await purging(runner).purge()
    assert runner.asked == ["step", "step", "step", "checkpoint", "scrub", "note"]
    assert not await due(runner)


async def test_at_the_end_the_same_is_done_without_pauses(runner: Watched) -> None:
    began = trio.current_time()
    await purging(runner).finish()
    assert runner.asked == ["step", "step", "step", "checkpoint", "scrub", "note"]
    assert trio.current_time() == began
    assert not await due(runner)


async def test_what_was_left_at_the_last_end_is_purged_at_the_start_and_later_erasures_after_a_while(
    runner: Watched, nursery: trio.Nursery
) -> None:
    nursery.start_soon(purging(runner).run)
    await trio.sleep(1)
    assert not await due(runner)
    await runner._runner.write(note_erased)
    await trio.sleep(9)
    assert await due(runner), "what is erased meanwhile goes with it"
    await trio.sleep(2)
    assert not await due(runner)
    nursery.cancel_scope.cancel()


async def test_a_disk_that_fails_once_delays_it_by_seconds(runner: Watched, nursery: trio.Nursery) -> None:
    runner.fail = 1
    nursery.start_soon(purging(runner).run)
    await trio.sleep(20)
    assert await due(runner)
    await trio.sleep(15)
    assert not await due(runner)
    nursery.cancel_scope.cancel()
