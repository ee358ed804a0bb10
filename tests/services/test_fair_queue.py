"""Turns: few at once, each network in its round, and a bound on who waits."""

from __future__ import annotations

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.fair_queue import FairQueue


class Line:
    """Who comes to have a turn, and in which order they had it."""

    def __init__(self, nursery: trio.Nursery, waiting: int = 100) -> None:
        self.turns = FairQueue(1, waiting)
        self.nursery = nursery
        self.had: list[str] = []
        self.refused: list[str] = []

    async def come(self, name: str, network: str, *, first: bool = False) -> trio.CancelScope:
        """Have somebody come and stand in the line, a second each at the front."""
        scope = trio.CancelScope()

        async def stand() -> None:
            with scope:
                try:
                    async with self.turns.turn(network, first=first):
                        self.had.append(name)
                        await trio.sleep(1)
                except RelayError as error:
                    self.refused.append(name if error.code is ErrorCode.OVERLOADED else str(error))

        self.nursery.start_soon(stand)
        await trio.testing.wait_all_tasks_blocked()
        return scope


async def test_a_network_with_many_lets_each_other_one_go_before_its_second(nursery: trio.Nursery) -> None:
    line = Line(nursery)
    for number in range(4):
        await line.come(f"many-{number}", "many")
    await line.come("one", "one")
    await line.come("two", "two")
    await trio.sleep(10)
    assert line.had == ["many-0", "many-1", "one", "two", "many-2", "many-3"]


async def test_whose_place_is_known_goes_before_all_others(nursery: trio.Nursery) -> None:
    line = Line(nursery)
    for number in range(3):
        await line.come(str(number), str(number))
    await line.come("known", "4", first=True)
    await trio.sleep(10)
    assert line.had == ["0", "known", "1", "2"]


async def test_a_full_line_refuses_the_last_of_the_network_that_has_most(nursery: trio.Nursery) -> None:
    line = Line(nursery, waiting=3)
    for number in range(5):
        await line.come(f"many-{number}", "many")
    assert line.refused == ["many-4"]
    await line.come("one", "one")
    await line.come("another", "another")
    await line.come("late", "late")
    await line.come("known", "known", first=True)
    assert line.refused == ["many-4", "many-3", "many-2", "late"], "each has one by then: the newcomer comes later"
    await trio.sleep(10)
    assert line.had == ["many-0", "known", "many-1", "one", "another"]


async def test_those_who_go_first_are_bounded_too(nursery: trio.Nursery) -> None:
    line = Line(nursery, waiting=2)
    for number in range(4):
        await line.come(str(number), "known", first=True)
    assert line.refused == ["3"]


@pytest.mark.parametrize("first", [False, True])
async def test_who_leaves_leaves_no_place_behind(nursery: trio.Nursery, first: bool) -> None:
    line = Line(nursery)
    await line.come("0", "0")
    for scope in [await line.come("gone", "1", first=first), await line.come("gone too", "1", first=first)]:
        scope.cancel()
    await line.come("2", "2")
    await trio.sleep(5)
    assert line.had == ["0", "2"]
    async with line.turns.turn("3"):
        pass


async def test_who_is_cancelled_as_their_turn_comes_passes_it_on(nursery: trio.Nursery) -> None:
    turns = FairQueue(1, 10)
    async with trio.open_nursery() as inner:
        scope = trio.CancelScope()

        async def stand() -> None:
            with scope:
                async with turns.turn("a"):
                    await trio.sleep_forever()

        async with turns.turn("b"):
            inner.start_soon(stand)
            await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    with trio.fail_after(1):
        async with turns.turn("c"):
            pass
