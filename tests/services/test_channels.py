"""Conversations in memory: one object each, whoever asks, and nothing for a stranger."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.services import channels
from relay.services.channels import ChannelManager
from relay.storage.conversations import ChannelRow
from relay.testing import World
from relay.testing import world as open_world


async def test_both_sides_of_a_conversation_hold_one_object(world: World) -> None:
    find = world.engine.channels.find
    conversation = await find("alice", "bob")
    assert await find("bob", "alice") is conversation
    assert world.engine.channels.find_nowait("bob", "alice") is conversation
    assert (conversation.kind, set(conversation.members)) == (ConversationKind.USER, {"alice", "bob"})


async def test_askers_at_once_hold_one_object_and_make_one_channel(world: World) -> None:
    found: list[Any] = []

    async def ask(user: str, target: str) -> None:
        found.append(await world.engine.channels.find(user, target))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask, "alice", "bob")
            nursery.start_soon(ask, "bob", "alice")
    assert len({id(conversation) for conversation in found}) == 1
    rows = await world.engine.runner.read(
        lambda c: c.execute("SELECT count(*) FROM channels WHERE kind = 'user'").fetchone()[0]
    )
    assert rows == 1


@pytest.mark.world("alice", "eve")
async def test_a_stranger_and_nobody_are_told_the_same(world: World) -> None:
    await world.engine.groups.create("alice", "Team", [], "team")
    said = []
    for target in ("team", "no-such", "team"):
        with pytest.raises(RelayError) as refused:
            await world.engine.channels.find("eve", target)
        assert refused.value.code is ErrorCode.NOT_FOUND
        said.append(refused.value.message.replace("no-such", "team"))
    assert len(set(said)) == 1


async def test_a_group_is_found_by_members_and_by_the_server(world: World) -> None:
    created = await world.engine.groups.create("alice", "Team", ["bob"], "team")
    assert await world.engine.channels.find("bob", "team") is created
    assert await world.engine.channels.group("team") is created
    assert await world.engine.channels.group("bob") is None


async def test_one_that_nobody_holds_is_loaded_again_as_it_was(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    gc.collect()
    manager: ChannelManager = world.engine.channels
    loaded = await manager.group("team")
    assert loaded is not None
    assert loaded.members == {"alice": Role.OWNER, "bob": Role.MEMBER}


async def test_a_forgotten_conversation_has_no_members_for_whoever_still_holds_it(world: World) -> None:
    held = await world.engine.channels.find("alice", "bob")
    world.engine.channels.forget(held)
    assert held.members == {}
    assert world.engine.channels.find_nowait("alice", "bob") is None
    again = await world.engine.channels.find("alice", "bob")
    assert again is not held
    assert set(again.members) == {"alice", "bob"}


async def test_more_conversations_than_are_kept_are_still_one_object_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_KEPT", 3)
    names = [f"u{number}" for number in range(8)]
    async with open_world(tmp_path, "alice", *names) as world:
        held = [await world.engine.channels.find("alice", name) for name in names]
        assert len(world.engine.channels._by_target) <= 3
        again = [await world.engine.channels.find(name, "alice") for name in names]
        assert [id(one) for one in held] == [id(one) for one in again]


async def test_holding_a_row_twice_keeps_the_first_object(world: World) -> None:
    row = ChannelRow(9, ConversationKind.GROUP, "group:x", "X", {"alice": Role.OWNER}, "join")
    held = world.engine.channels.hold(row)
    assert world.engine.channels.hold(row._replace(name="other", members={})) is held
    assert held.name == "X"


async def talk_to_oneself(server: World) -> Any:
    return await server.engine.channels.find("alice", "alice")


@pytest.mark.world("alice")
async def test_a_user_has_a_conversation_with_themself(world: World) -> None:
    assert set((await talk_to_oneself(world)).members) == {"alice"}


async def test_a_conversation_is_found_at_its_address_and_each_side_names_it(world: World) -> None:
    known = world.engine.channels
    between = await known.find("alice", "bob")
    assert await known.at(between.address) is between
    assert (between.target_id("alice"), between.target_id("bob")) == ("bob", "alice")
    team = await world.engine.groups.create("alice", "Team", [], "team")
    assert team.target_id("alice") == team.target_id("bob") == "team"
    assert (await known.own("alice")).target_id("alice") == ""
    assert (await known.everybody()).target_id("alice") == "*"
    assert await known.at("user:alice:nobody") is None
    await world.engine.groups.delete("alice", "team")
    assert await known.at("group:team") is None
