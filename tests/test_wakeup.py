"""Wakeups: set by anybody, waited for by one task."""

from __future__ import annotations

import math
import threading

import pytest
import trio
import trio.testing

from relay.wakeup import Wakeup


async def test_one_that_was_set_before_ends_the_next_wait_at_once_and_only_that() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    assert await wakeup.wait(0) is True
    assert await wakeup.wait(5) is False
    assert trio.current_time() == 5


async def test_one_that_was_cleared_was_never_set() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.clear()
    assert await wakeup.wait_until(7) is False
    assert trio.current_time() == 7
    assert await wakeup.wait_until(3) is False, "a deadline that has passed is no wait"
    assert trio.current_time() == 7


async def test_a_task_wakes_another_and_later_sets_count_for_the_next_wait() -> None:
    wakeup = Wakeup()
    woken: list[float] = []

    async def wait() -> None:
        while await wakeup.wait(math.inf):
            woken.append(trio.current_time())
            await trio.sleep(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for moment in (1, 2, 30):
            await trio.sleep_until(moment)
            wakeup.set()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert woken == [1, 11, 30]


async def test_a_wait_that_was_cancelled_leaves_the_wakeup_for_the_next() -> None:
    wakeup = Wakeup()
    with trio.move_on_after(1):
        await wakeup.wait()
    wakeup.set()
    assert await wakeup.wait(0) is True


async def test_another_thread_wakes_a_task() -> None:
    wakeup = Wakeup()
    woken: list[bool] = []

    async def wait() -> None:
        woken.append(await wakeup.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        threading.Thread(target=wakeup.set).start()
        with trio.fail_after(1_000_000):
            await trio.to_thread.run_sync(threading.Event().wait, 0.05)
    assert woken == [True]


async def test_a_second_task_that_waits_is_told_so_and_the_first_one_goes_on() -> None:
    wakeup = Wakeup()
    ended: list[bool] = []

    async def wait() -> None:
        ended.append(await wakeup.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="one of its own"):
            await wakeup.wait(1)
        wakeup.set()
    assert ended == [True]
