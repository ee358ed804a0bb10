"""The offline queue: where a connection begins, acks gathered and never going back, and windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.services.offline_queue import Delivered, OfflineQueue
from relay.storage import accounts, devices
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Job
from relay.testing import World
from relay.testing import world as open_world
from tests.services.recorder import attach, submission


async def say(server: World, sender: str, target: str, count: int = 1) -> None:
    for _ in range(count):
        await server.engine.router.send(await submission(server.engine, sender, target))


async def delivered(server: World, user: str) -> int:
    return await server.engine.runner.read(lambda c: devices.delivered(c, user))


class Counting:
    """A runner that counts its writes, and fails some."""

    def __init__(self, runner: Any) -> None:
        self.inner = runner
        self.writes = 0
        self.fail = 0

    async def write(self, job: Job[Any]) -> Any:
        self.writes += 1
        if self.fail:
            self.fail -= 1
            raise StorageFailed("the disk is full")
        return await self.inner.write(job)

    async def read(self, job: Job[Any], *, inline: bool = False) -> Any:
        return await self.inner.read(job, inline=inline)

    async def aclose(self) -> None:
        raise AssertionError("not this one's to close")


def queue_on(server: World, told: list[Delivered]) -> tuple[OfflineQueue, Counting]:
    runner = Counting(server.engine.runner)
    priority = server.engine.registry.priority
    return OfflineQueue(runner, server.engine.epoch, 1000, priority, told.extend), runner


async def test_acks_that_come_together_are_one_write_of_the_highest(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world, trio.open_nursery() as nursery:
        await say(world, "alice", "bob", 5)
        told: list[Delivered] = []
        queue, runner = queue_on(world, told)
        nursery.start_soon(queue.run)
        for cursor in (1, 4, 2):
            queue.ack_nowait("bob", "phone", cursor)
            queue.ack_nowait("bob", "laptop", cursor - 1)
        assert runner.writes == 0
        await trio.sleep(1)
        assert runner.writes == 1
        assert await delivered(world, "bob") == 4
        assert [item.up_to_seq for item in told] == [4]
        nursery.cancel_scope.cancel()


async def test_an_ack_never_moves_back_and_tells_nothing_new(world: World) -> None:
    await say(world, "alice", "bob", 5)
    told: list[Delivered] = []
    queue, _ = queue_on(world, told)
    for cursor, expected in ((4, 4), (2, 4), (4, 4), (5, 5)):
        queue.ack_nowait("bob", "phone", cursor)
        await queue.flush()
        assert await delivered(world, "bob") == expected
    assert [item.up_to_seq for item in told] == [4, 5]


@pytest.mark.world("alice", "bob", "carol")
async def test_only_what_others_said_to_one_alone_is_told_as_delivered(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    await say(world, "alice", "team")
    await say(world, "alice", "bob", 2)
    await say(world, "carol", "bob")
    await say(world, "bob", "alice")
    told: list[Delivered] = []
    queue, _ = queue_on(world, told)
    queue.ack_nowait("bob", "phone", world.engine.router.position)
    await queue.flush()
    assert sorted((item.user_id, item.address, item.up_to_seq) for item in told) == [
        ("bob", "user:alice:bob", 2), ("bob", "user:bob:carol", 1),
    ]  # fmt: skip


@pytest.mark.world("alice", "bob", "carol")
async def test_each_conversation_is_told_once_as_delivered_and_none_of_who_tells_no_receipts(world: World) -> None:
    told: list[Delivered] = []
    queue, _ = queue_on(world, told)
    for sender in ("alice", "carol", "carol"):
        await say(world, sender, "bob")
        queue.ack_nowait("bob", "phone", world.engine.router.position)
        await queue.flush()
    assert [(item.address, item.up_to_seq) for item in told] == [
        ("user:alice:bob", 1), ("user:bob:carol", 1), ("user:bob:carol", 2),
    ]  # fmt: skip
    await world.engine.runner.write(lambda c: accounts.update_user(c, "bob", receipts=0))
    await say(world, "alice", "bob")
    queue.ack_nowait("bob", "phone", world.engine.router.position)
    await queue.flush()
    assert len(told) == 3
    assert await delivered(world, "bob") == 4, "which counts for their own devices"


async def test_a_window_that_is_cut_by_its_bytes_may_be_acked_and_tells_that_there_is_more(world: World) -> None:
    await say(world, "alice", "bob", 3)
    priority = world.engine.registry.priority
    queue = OfflineQueue(
        world.engine.runner, world.engine.epoch, 1000, priority, lambda _told: None, page_bytes=700
    )
    window = await queue.undelivered("bob", after=None, limit=50)
    assert [item.meta.seq for item in window["messages"]] == [1, 2]
    assert (window["cursor"], window["has_more"]) == (2, True)


async def test_acks_that_the_disk_did_not_take_are_kept_and_written_later(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world, trio.open_nursery() as nursery:
        await say(world, "alice", "bob", 5)
        told: list[Delivered] = []
        queue, runner = queue_on(world, told)
        runner.fail = 3
        nursery.start_soon(queue.run)
        queue.ack_nowait("bob", "phone", 3)
        await trio.sleep(0.5)
        assert await delivered(world, "bob") == 0
        queue.ack_nowait("bob", "phone", 2)
        await trio.sleep(60)
        assert await delivered(world, "bob") == 3
        assert runner.writes <= 10
        nursery.cancel_scope.cancel()


async def test_acks_that_still_wait_are_written_at_the_end(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        await say(world, "alice", "bob", 2)
        world.engine.offline_queue.ack_nowait("bob", "phone", 2)
    async with open_world(tmp_path) as world:
        assert await delivered(world, "bob") == 2


async def test_a_delivered_receipt_reaches_the_sender(world: World) -> None:
    await say(world, "alice", "bob", 3)
    _, alice = attach(world.engine.connections, "alice")
    world.engine.offline_queue.ack_nowait("bob", "phone", 2)
    await trio.sleep(1)
    (receipt,) = alice.take()
    assert (receipt["type"], receipt["payload"]) == ("read_receipt", {"up_to_seq": 2, "state": "delivered"})
    assert (receipt["meta"]["sender_id"], receipt["meta"]["target_id"]) == ("bob", "alice")


@pytest.mark.parametrize(
    ("cursor", "epoch", "resumed", "start"),
    [
        (None, None, False, 2),
        (0, None, True, 0),
        (3, None, True, 3),
        (5, "own", True, 5),
        (6, "own", False, 2),
        (3, "other", False, 2),
        (None, "own", False, 2),
    ],
)
async def test_where_a_connection_begins(
    world: World, cursor: int | None, epoch: str | None, resumed: bool, start: int
) -> None:
    await say(world, "alice", "bob", 5)
    await world.engine.runner.write(lambda c: devices.move_acked(c, "bob", "phone", 2))
    named = world.engine.epoch if epoch == "own" else epoch
    queue = world.engine.offline_queue
    plan = await world.engine.runner.read(lambda c: queue.plan(c, "bob", cursor, named, 5))
    assert (plan.resumed, plan.start, plan.until) == (resumed, start, 5)
    assert plan.message_ids == list(range(start + 1, 6))


async def test_a_long_replay_comes_by_the_page_whole_and_in_order(world: World) -> None:
    await say(world, "alice", "bob", 600)
    pages = [page async for page in world.engine.offline_queue.frames("bob", list(range(1, 601)))]
    assert len(pages) == 3
    assert b"".join(pages).count(b'"replay":true') == 600


async def test_a_replay_of_large_messages_comes_in_small_slices(world: World) -> None:
    sizes = [50_000, 10, 200_000, 10, 10, 50_000, 50_000, 50_000, 10]
    for size in sizes:
        item = await submission(world.engine, "alice", "bob")
        item.entry.payload = '{"content":"%s"}' % ("x" * size)
        await world.engine.router.send(item)
    wanted = list(range(1, len(sizes) + 1))
    slices = [piece async for piece in world.engine.offline_queue.frames("bob", wanted)]
    assert b"".join(slices).count(b'"replay":true') == len(sizes)
    assert [piece.count(b'"replay":true') for piece in slices] == [2, 1, 4, 2], "alone where it is over the bound"
    assert sorted(map(len, slices))[-2] < 140_000


async def test_windows_of_the_undelivered_move_nothing(world: World) -> None:
    await say(world, "alice", "bob", 5)
    await world.engine.runner.write(lambda c: devices.move_acked(c, "bob", "phone", 1))
    queue = world.engine.offline_queue
    for _ in range(2):
        window = await queue.undelivered("bob", after=None, limit=3)
        assert [item.meta.seq for item in window["messages"]] == [2, 3, 4]
        assert (window["cursor"], window["has_more"]) == (4, True)
    rest = await queue.undelivered("bob", after=4, limit=3)
    assert ([item.meta.seq for item in rest["messages"]], rest["cursor"], rest["has_more"]) == ([5], 5, False)
