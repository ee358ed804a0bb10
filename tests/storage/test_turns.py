"""Readers are shared by those who ask."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from relay.storage.turns import Turns, current_reader, read_for, reading_for

pytestmark = pytest.mark.real_time


class Reads:
    """Starts reads that go on until they are told to end, and notes in what order they got their turns."""

    def __init__(self, turns: Turns, nursery: trio.Nursery) -> None:
        self.began: list[str | None] = []
        self._turns, self._nursery = turns, nursery
        self._ends: list[trio.Event] = []

    async def start(self, *users: str | None) -> None:
        for user in users:
            self._nursery.start_soon(self._read, user)
            await trio.testing.wait_all_tasks_blocked()

    async def _read(self, user: str | None) -> None:
        async with self._turns.turn(user):
            self.began.append(user)
            self._ends.append(trio.Event())
            await self._ends[-1].wait()

    async def end_the_first(self) -> None:
        next(end for end in self._ends if not end.is_set()).set()
        await trio.testing.wait_all_tasks_blocked()

    async def end_all(self) -> None:
        while any(not end.is_set() for end in self._ends):
            await self.end_the_first()


async def test_one_user_has_half_of_the_readers_and_others_have_theirs_at_once() -> None:
    async with trio.open_nursery() as nursery:
        reads = Reads(Turns(4, 8), nursery)
        await reads.start(*["mallory"] * 24, "alice", "bob", "carol")
        assert reads.began == ["mallory", "mallory", "alice", "bob"]
        await reads.start(None)
        assert reads.began[4:] == [None]
        await reads.end_the_first()
        assert reads.began[5:] == ["carol"]
        await reads.end_all()
        assert len(reads.began) == 28


@pytest.mark.parametrize(
    ("turns", "most"), [(Turns(8, 2), 1), (Turns(8, 3), 2), (Turns(8, 1), 1), (Turns(8, 64), 4)]
)
async def test_one_user_leaves_a_processor_to_all_others(turns: Turns, most: int) -> None:
    async with trio.open_nursery() as nursery:
        reads = Reads(turns, nursery)
        await reads.start(*["mallory"] * 9, "alice")
        assert reads.began == [*["mallory"] * most, "alice"]
        await reads.end_all()
        assert len(reads.began) == 10


async def test_the_server_itself_is_never_kept_waiting_by_users() -> None:
    async with trio.open_nursery() as nursery:
        reads = Reads(Turns(1, 8), nursery)
        await reads.start("mallory", "alice", "mallory", None)
        assert reads.began == ["mallory", None]
        await reads.end_the_first()
        assert reads.began[2:] == ["alice"]
        await reads.end_all()
        assert reads.began[3:] == ["mallory"]


async def test_a_wait_that_is_given_up_costs_no_turn() -> None:
    turns = Turns(1, 8)
    async with trio.open_nursery() as nursery:
        reads = Reads(turns, nursery)
        await reads.start("alice")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as others:
                given_up = Reads(turns, others)
                await given_up.start("alice", "bob", "bob")
                scope.cancel()
        await reads.start("bob")
        await reads.end_the_first()
        assert (given_up.began, reads.began) == ([], ["alice", "bob"])
        await reads.end_all()
        await reads.start("alice")
        assert reads.began[2:] == ["alice"]
        await reads.end_all()


@pytest.mark.parametrize("inside", ["alice", "bob"])
async def test_a_tasks_reads_are_counted_as_whose_they_are(inside: str) -> None:
    seen: list[Any] = [current_reader()]
    with reading_for(inside):
        seen.append(current_reader())
    seen.append(current_reader())

    async def request() -> None:
        read_for("carol")
        seen.append(current_reader())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(request)
    assert [*seen, current_reader()] == [None, inside, None, "carol", None]
