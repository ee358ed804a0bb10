"""The network of a test: every break, silence and double that can be had to order, and that relay stands them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import Closed, Device, RelayWorld, World


def texts(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["payload"]["content"] for frame in frames if frame["type"] == "chat_message"]


async def until_cut(world: World, user: str, cursor: int, epoch: str) -> tuple[list[dict[str, Any]], int]:
    """Connect and read until the connection breaks or all is there; return what came, and the cursor after it."""
    got: list[dict[str, Any]] = []
    try:
        device = await world.hello(user, cursor=cursor, epoch=epoch)
        while True:
            frame = await device.next()
            got.append(frame)
            if frame["payload"].get("event") == "synced":
                await device.cut()
                return got, int(frame["payload"]["cursor"])
    except (Closed, trio.BrokenResourceError):
        return got, cursor


async def test_what_is_sent_takes_its_time_each_way(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        world.network.delay = 0.3
        alice = await world.connect("alice")
        begun = trio.current_time()
        await alice.request("chat_message", {"content": "x"}, "bob")
        assert trio.current_time() - begun == pytest.approx(0.6)


async def test_a_replay_that_is_cut_at_any_frame_is_whole_at_the_next_try(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        said = [f"number {number}" for number in range(5)]
        for text in said:
            await alice.request("chat_message", {"content": text}, "bob")
        whole = 1 + len(said) + 1  # ready, the replay, synced
        for frames in range(whole + 1):
            world.network.cut_after_frames = frames
            cut, cursor = await until_cut(world, "bob", 0, world.engine.epoch)
            assert len(cut) == max(0, frames - 1)
            world.network.calm()
            rest, _ = await until_cut(world, "bob", cursor, world.engine.epoch)
            assert texts(rest) == ([] if frames == whole else said)


async def test_a_cut_after_any_byte_costs_nothing(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        for number in range(3):
            await alice.request("chat_message", {"content": f"number {number}"}, "bob")
        reached = set()
        for count in range(1, 2000, 13):
            world.network.cut_after_bytes = count
            got, _ = await until_cut(world, "bob", 0, world.engine.epoch)
            reached.add(len(got))
            assert texts(got) == [f"number {number}" for number in range(len(texts(got)))]
        assert reached == {0, 1, 2, 3, 4}
        world.network.calm()
        assert len(texts((await world.connect("bob")).replayed)) == 3


async def test_a_half_open_connection_is_noticed_and_nothing_is_lost(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", RELAY_HEARTBEAT__INTERVAL_SECONDS="5") as world:
        alice = await world.connect("alice")
        world.network.half_open_after_frames = 2
        bob = await world.connect("bob")
        await alice.request("chat_message", {"content": "into the void"}, "bob")
        assert await bob.drain() == []
        await bob.say("alice", "never heard of")
        assert len(world.engine.connections.of("bob")) == 1
        await trio.sleep(11)
        assert len(world.engine.connections.of("bob")) == 0
        world.network.calm()
        again = await world.connect("bob", cursor=bob.synced["cursor"], epoch=world.engine.epoch)
        assert texts(again.replayed) == ["into the void"]
        assert [one["payload"] for one in await world.history("alice", "user", "bob")] == [
            {"content": "into the void"}
        ]


async def test_whatever_arrives_twice_is_stored_once_and_answered_twice(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        world.network.copies = 2
        alice: Device = await world.connect("alice")
        for number in range(3):
            await alice.say("bob", f"number {number}", id=f"m-{number}")
        answers = [frame["payload"]["duplicate"] for frame in await alice.drain() if frame["type"] == "ack"]
        assert answers == [False, True] * 3
        page = await world.history("bob", "user", "alice")
        assert [one["payload"]["content"] for one in page] == [f"number {number}" for number in range(3)]


async def test_a_crash_keeps_what_was_acked(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        await alice.request("chat_message", {"content": "acked"}, "bob", id="one")
        await alice.say("bob", "on its way", id="two")
        async with world.after_crash(tmp_path / "disk") as again:
            alice = await again.connect("alice")
            assert (await alice.request("chat_message", {"content": "acked"}, "bob", id="one"))["payload"][
                "duplicate"
            ]
            assert not (await alice.request("chat_message", {"content": "on its way"}, "bob", id="two"))[
                "payload"
            ]["duplicate"]
            assert len(await again.history("bob", "user", "alice")) == 2
