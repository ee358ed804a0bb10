"""`group_message` through a whole server."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.protocol.kinds import Role
from relay.testing import World
from relay.testing import world as open_world
from tests.plugin.authors import answers, send


async def test_it_reaches_every_member_and_nobody_else(tmp_path: Path) -> None:
    names = ("alice", "bob", "carol", "eve")
    async with open_world(tmp_path, *names) as world:
        await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
        ends = {name: await world.connect(name) for name in names}
        await send(ends["bob"], "1", "group_message", "team", content="hi")
        assert await answers(ends["bob"], 1) == {"1": "ack"}
        for name in ("alice", "carol"):
            frame = await ends[name].next("group_message")
            assert (frame["payload"], frame["meta"]["sender_id"]) == ({"content": "hi"}, "bob")
            assert frame["meta"]["target_id"] == "team"
        assert await ends["eve"].drain() == []


async def test_only_a_member_may_send_and_only_to_a_group(world: World) -> None:
    await world.engine.groups.create("alice", "Team", [], "team")
    bob = await world.connect("bob")
    await send(bob, "stranger", "group_message", "team", content="x")
    await send(bob, "nowhere", "group_message", "no-such", content="x")
    await send(bob, "user", "group_message", "alice", content="x")
    assert await answers(bob, 3) == {
        "stranger": "not_found",
        "nowhere": "not_found",
        "user": "invalid_payload",
    }


@pytest.mark.world("alice")
async def test_a_reply_names_a_message_of_the_same_group(world: World) -> None:
    for name in ("one", "two"):
        await world.engine.groups.create("alice", name, [], name)
    alice = await world.connect("alice")
    await send(alice, "0", "group_message", "one", content="?")
    await alice.next("ack")
    await send(alice, "here", "group_message", "one", content="!", reply_to=3)
    await send(alice, "there", "group_message", "two", content="!", reply_to=3)
    assert await answers(alice, 2) == {"here": "ack", "there": "not_found"}


async def test_it_makes_the_group_unread_for_the_others(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice = await world.connect("alice")
    await send(alice, "1", "group_message", "team", content="hi")
    await alice.next("ack")
    unread = {}
    for name in ("alice", "bob"):
        (row,) = (await world.engine.history.conversations(name))["conversations"]
        unread[name] = row["unread"]
    assert unread == {"alice": 0, "bob": 1}, "a group_event is not counted"


async def test_a_newcomer_gets_what_comes_after_joining(world: World) -> None:
    await world.engine.groups.create("alice", "Team", [], "team")
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await send(alice, "before", "group_message", "team", content="x")
    await alice.next("ack")
    await world.engine.groups.put_member("alice", "team", "bob", Role.MEMBER)
    await send(alice, "after", "group_message", "team", content="x")
    frames = await bob.drain()
    assert [frame["meta"].get("id") for frame in frames] == [None, "after"]
    back = await world.connect("bob", cursor=0, epoch=world.engine.epoch)
    assert [frame["meta"].get("id") for frame in back.replayed] == [None, "after"]
