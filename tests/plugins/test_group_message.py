"""`group_message` through a whole server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.protocol.kinds import Role
from relay.testing import world
from tests.plugin.authors import answers, send


async def test_it_reaches_every_member_and_nobody_else(tmp_path: Path, autojump_clock: Any) -> None:
    names = ("alice", "bob", "carol", "eve")
    async with world(tmp_path, *names) as server:
        await server.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
        ends = {name: await server.connect(name) for name in names}
        await send(ends["bob"], "1", "group_message", "team", content="hi")
        assert await answers(ends["bob"], 1) == {"1": "ack"}
        for name in ("alice", "carol"):
            frame = await ends[name].next("group_message")
            assert (frame["payload"], frame["meta"]["sender_id"]) == ({"content": "hi"}, "bob")
            assert frame["meta"]["target_id"] == "team"
        assert await ends["eve"].drain() == []


async def test_only_a_member_may_send_and_only_to_a_group(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await server.engine.groups.create("alice", "Team", [], "team")
        bob = await server.connect("bob")
        await send(bob, "stranger", "group_message", "team", content="x")
        await send(bob, "nowhere", "group_message", "no-such", content="x")
        await send(bob, "user", "group_message", "alice", content="x")
        assert await answers(bob, 3) == {
            "stranger": "not_found",
            "nowhere": "not_found",
            "user": "invalid_payload",
        }


async def test_a_reply_names_a_message_of_the_same_group(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice") as server:
        for name in ("one", "two"):
            await server.engine.groups.create("alice", name, [], name)
        alice = await server.connect("alice")
        await send(alice, "0", "group_message", "one", content="?")
        await alice.next("ack")
        await send(alice, "here", "group_message", "one", content="!", reply_to=3)
        await send(alice, "there", "group_message", "two", content="!", reply_to=3)
        assert await answers(alice, 2) == {"here": "ack", "there": "not_found"}


async def test_it_makes_the_group_unread_for_the_others(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await server.engine.groups.create("alice", "Team", ["bob"], "team")
        alice = await server.connect("alice")
        await send(alice, "1", "group_message", "team", content="hi")
        await alice.next("ack")
        unread = {}
        for name in ("alice", "bob"):
            (row,) = (await server.engine.history.conversations(name))["conversations"]
            unread[name] = row["unread"]
        assert unread == {"alice": 0, "bob": 1}, "a group_event is not counted"


async def test_a_newcomer_gets_what_comes_after_joining(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await server.engine.groups.create("alice", "Team", [], "team")
        alice, bob = await server.connect("alice"), await server.connect("bob")
        await send(alice, "before", "group_message", "team", content="x")
        await alice.next("ack")
        await server.engine.groups.put_member("alice", "team", "bob", Role.MEMBER)
        await send(alice, "after", "group_message", "team", content="x")
        frames = await bob.drain()
        assert [frame["meta"].get("id") for frame in frames] == [None, "after"]
        back = await server.connect("bob", cursor=0, epoch=server.engine.epoch)
        assert [frame["meta"].get("id") for frame in back.replayed] == [None, "after"]
