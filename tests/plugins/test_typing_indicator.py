"""`typing_indicator`: ends by itself, by a message, by leaving; and is never stored."""

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.kinds import Role
from relay.testing import Device, World
from relay.testing import world as open_world


async def types(device: Device, target: str, typing: bool = True, id: str | None = None) -> None:
    meta = {"target_id": target} | ({"id": id} if id else {})
    await device.send({"type": "typing_indicator", "payload": {"typing": typing}, "meta": meta})


def seen(frames: list[dict[str, Any]]) -> list[bool]:
    return [frame["payload"]["typing"] for frame in frames if frame["type"] == "typing_indicator"]


async def test_it_is_over_six_seconds_after_the_last_one(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await types(alice, "bob")
    frame = await bob.next("typing_indicator")
    assert frame["payload"] == {"typing": True}
    assert {name: frame["meta"][name] for name in ("sender_id", "target_id", "client_id")} == {
        "sender_id": "alice", "target_id": "bob", "client_id": "alice-1",
    }  # fmt: skip
    assert "message_id" not in frame["meta"]
    await trio.sleep(4)
    await types(alice, "bob")
    renewed = trio.current_time()
    await bob.next("typing_indicator")
    frame = await bob.next("typing_indicator")
    assert frame["payload"] == {"typing": False}
    assert trio.current_time() == pytest.approx(renewed + 6, abs=0.001)
    assert frame["meta"]["client_id"] == "alice-1"
    assert seen(await alice.drain()) == []
    assert len(world.engine.router.indicators) == 0


@pytest.mark.world("alice", "bob", "carol")
async def test_a_message_from_the_device_ends_it_ahead_of_the_message(world: World) -> None:
    phone, laptop = await world.connect("alice", "phone"), await world.connect("alice", "laptop")
    bob, carol = await world.connect("bob"), await world.connect("carol")
    await types(phone, "bob")
    await types(phone, "carol")
    await laptop.say("bob", "from elsewhere")
    await bob.next("chat_message")
    assert seen(await bob.drain()) == []
    await phone.say("bob", "there")
    frames = await bob.drain()
    assert [frame["type"] for frame in frames] == ["typing_indicator", "chat_message"]
    assert seen(frames) == [False]
    assert seen(await carol.drain()) == [True]
    await trio.sleep(7)
    assert (seen(await bob.drain()), seen(await carol.drain())) == ([], [False])


async def test_the_devices_leaving_ends_it(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await types(alice, "bob")
    await bob.next("typing_indicator")
    await alice.cut()
    assert seen(await bob.drain()) == [False]
    await trio.sleep(7)
    assert seen(await bob.drain()) == []


async def test_an_end_of_what_never_began_is_acked_and_told_nobody(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await types(alice, "bob", False, "t1")
    assert (await alice.next("ack"))["meta"]["ref"] == "t1"
    await types(alice, "bob", True, "t2")
    await types(alice, "bob", False)
    await types(alice, "bob", False)
    assert seen(await bob.drain()) == [True, False]
    assert "message_id" not in (await alice.next("ack"))["payload"]


@pytest.mark.world("alice", "bob", "carol")
async def test_it_reaches_the_members_of_now_and_ones_other_devices(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice, other = await world.connect("alice"), await world.connect("alice", "alice-2")
    bob, carol = await world.connect("bob"), await world.connect("carol")
    await types(alice, "team")
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    assert seen(await carol.drain()) == []
    await world.engine.groups.remove_member("alice", "team", "bob")
    await trio.sleep(7)
    assert (seen(await other.drain()), seen(await bob.drain()), seen(await carol.drain())) == (
        [True, False],
        [True],
        [False],
    )


async def test_a_device_in_the_background_is_not_told(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await bob.event("inactive")
    await types(alice, "bob")
    await trio.sleep(7)
    assert seen(await bob.drain()) == []


async def test_it_is_never_stored_and_not_replayed(world: World) -> None:
    alice = await world.connect("alice")
    await types(alice, "bob", id="t")
    await alice.next("ack")
    bob = await world.connect("bob")
    assert bob.replayed == []
    assert await world.history("bob", "user", "alice") == []


@pytest.mark.world("alice", "bob", RELAY_LIMITS__TYPING_PER_SECOND="1")
async def test_it_is_limited_in_rate_apart_from_messages(world: World) -> None:
    alice = await world.connect("alice")
    for number in range(11):
        await types(alice, "bob", id=f"t{number}")
    refused = await alice.next("error")
    assert refused["payload"]["code"] == "rate_limited"
    assert 0 < refused["payload"]["retry_after"] <= 1
    await alice.say("bob", "still", id="m")
    assert (await alice.next("ack"))["payload"]["message_id"]


@pytest.mark.world("alice", "bob", "carol")
async def test_only_members_may_and_only_a_bool_will_do(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    carol = await world.connect("carol")
    await types(carol, "team")
    assert (await carol.next("error"))["payload"]["code"] == "not_found"
    await carol.send({"type": "typing_indicator", "payload": {"typing": "yes"}, "meta": {"target_id": "bob"}})
    assert (await carol.next("error"))["payload"]["code"] == "invalid_payload"


async def test_with_a_full_queue_typing_is_what_goes_and_messages_stay_whole(tmp_path: Path) -> None:
    limits = {"RELAY_LIMITS__QUEUE_BYTES": "60000", "RELAY_LIMITS__TYPING_PER_SECOND": "0"}
    async with open_world(tmp_path, "alice", "bob", RELAY_LIMITS__MESSAGES_PER_SECOND="0", **limits) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        (connection,) = world.engine.connections.of("bob").values()
        link: Any = connection.link
        link._draining = True  # as while a peer does not take what it is sent
        for number in range(200):
            for typing in (True, False):
                await types(alice, "bob", typing)
            await alice.say("bob", f"message {number}")
            await alice.next("ack")
        waiting = connection.outbox.statistics()
        link._draining = False
        link.flush()
        frames = await bob.drain()
        said = [frame["payload"]["content"] for frame in frames if frame["type"] == "chat_message"]
        assert said == [f"message {number}" for number in range(200)]
        assert waiting.bytes <= 60_000
        assert waiting.dropped > 100
        assert len(seen(frames)) < 300
