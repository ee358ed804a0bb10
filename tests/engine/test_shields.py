"""Tests of shields: they last for a grace, and not beyond the server's end."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from relay.engine.guard import Guard, PluginFailed, Rules
from relay.engine.shields import GRACE_SECONDS, Shields


def guard(**rules: Any) -> Guard:
    return Guard("odd", Rules(clock=trio.lowlevel.current_clock().current_time, **rules))


async def test_a_shield_keeps_a_deadline_off_for_a_grace_only() -> None:
    made = guard(seconds=5)
    tidied: list[float] = []

    async def tidies_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                tidied.append(trio.current_time())

    async def hides() -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hides_further)
                await trio.sleep_forever()

    async def hides_further() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.rules.shields.run)
        began = trio.current_time()
        with pytest.raises(PluginFailed):
            await made.call_async("handle", tidies_up)
        assert tidied == [began + 6]
        began = trio.current_time()
        with pytest.raises(PluginFailed):
            await made.call_async("handle", hides)
        assert trio.current_time() == began + 5 + GRACE_SECONDS
        made.rules.shields.stop()


async def shielded(shields: Shields) -> None:
    with shields.until_the_end(), trio.CancelScope(shield=True):
        await trio.sleep_forever()


@pytest.mark.parametrize(("deadline", "lasts"), [(None, GRACE_SECONDS), (1.0, 1.0), (30.0, 30.0)])
async def test_a_server_without_a_deadline_gives_shields_a_grace_and_one_with_it_no_more(
    deadline: float | None, lasts: float
) -> None:
    shields, began = Shields(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shields.run)
        if deadline is not None:
            shields.end_at(began + deadline)
        async with trio.open_nursery() as plugins:
            plugins.start_soon(shielded, shields)
            await trio.testing.wait_all_tasks_blocked()
            plugins.cancel_scope.cancel()
            shields.close()
        assert trio.current_time() - began == pytest.approx(lasts)
        shields.stop()


async def test_the_earliest_deadline_holds() -> None:
    shields, began = Shields(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shields.run)
        shields.end_at(began + 5)
        shields.end_at(began + 50)
        async with trio.open_nursery() as plugins:
            plugins.start_soon(shielded, shields)
            await trio.testing.wait_all_tasks_blocked()
            plugins.cancel_scope.cancel()
        assert trio.current_time() - began == pytest.approx(5)
        shields.stop()


async def test_the_process_is_given_up_soon_after_a_task_should_have_ended() -> None:
    shields, began = Shields(), trio.current_time()
    given_up = trio.Event()

    async def give_up() -> None:
        given_up.set()
        shields.stop()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shields.run, give_up)
        await trio.testing.wait_all_tasks_blocked()
        shields.close()
        await given_up.wait()
    assert GRACE_SECONDS < trio.current_time() - began < GRACE_SECONDS + 5
