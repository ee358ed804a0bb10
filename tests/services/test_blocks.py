"""Blocks: what somebody whom a user blocks cannot do to them any more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import RelayError
from relay.protocol.kinds import ServerRole
from relay.services.blocks import MOST
from relay.storage import accounts, blocks
from relay.testing import Device, World
from relay.testing import world as open_world


async def block(world: World, by: str, whom: str, method: str = "PUT") -> Any:
    return await world.rest(method, f"/api/users/{whom}/block", by)


async def said(device: Device, target: str, type: str = "chat_message", **more: Any) -> Any:
    answer = await device.request(type, {"content": "hello", **more}, target)
    return (answer["payload"].get("details") or {}).get("reason") if answer["type"] == "error" else None


async def test_nobody_writes_to_who_blocks_them_and_the_answer_does_not_say_why(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = (await bob.request("chat_message", {"content": "hi"}, "alice"))["payload"]["message_id"]
    assert (await block(world, "alice", "bob")).status == 204
    assert await said(bob, "alice") == "cannot_write"
    assert await said(alice, "bob") == "you_block"
    for type_, payload in (
        ("typing_indicator", {"typing": True}),
        ("reaction", {"message_id": message_id, "emoji": "👍", "on": True}),
        ("message_edit", {"message_id": message_id, "content": "other"}),
    ):
        answer = await bob.request(type_, payload, "alice")
        assert answer["payload"]["details"]["reason"] == "cannot_write", type_
    assert (await bob.request("read_receipt", {"up_to_seq": 1}, "alice"))["type"] == "ack"
    listed = (await world.rest("GET", "/api/users/me/blocked", "alice")).body["blocked"]
    assert [one["user_id"] for one in listed] == ["bob"]
    assert (await world.rest("GET", "/api/users/me/blocked", "bob")).body["blocked"] == []
    assert (await block(world, "alice", "bob", "DELETE")).status == 204
    assert (await said(bob, "alice"), await said(alice, "bob")) == (None, None)


async def test_who_is_blocked_begins_no_conversation(world: World) -> None:
    await block(world, "alice", "bob")
    with pytest.raises(RelayError) as refused:
        await world.engine.channels.find("bob", "alice")
    assert refused.value.details == {"reason": "cannot_write"}
    assert (await world.rest("GET", "/api/conversations", "alice")).body["conversations"] == []


@pytest.mark.world("alice", "bob", "carol")
async def test_who_is_blocked_writes_in_groups_and_calls_for_no_attention_there(world: World) -> None:
    await world.engine.groups.create("carol", "Team", ["alice", "bob"], "team")
    await block(world, "alice", "bob")
    bob, carol = await world.connect("bob"), await world.connect("carol")
    assert await said(bob, "team", "group_message", mentions=["alice"]) is None
    assert await said(bob, "team", "group_message", mentions=["*"]) is None

    async def mentions() -> int:
        (row,) = (await world.rest("GET", "/api/conversations", "alice")).body["conversations"]
        return int(row["unread_mentions"])

    assert await mentions() == 0
    assert await said(carol, "team", "group_message", mentions=["alice"]) is None
    assert await mentions() == 1


@pytest.mark.world("alice", "bob", "carol")
async def test_who_is_blocked_adds_nobody_to_a_group(world: World) -> None:
    await block(world, "alice", "bob")
    refused = await world.rest("POST", "/api/groups", "bob", json_body={"name": "Mine", "members": ["alice"]})
    assert (refused.status, refused.body["details"]["reason"]) == (403, "not_addable")


async def test_who_is_blocked_sees_no_presence_at_once_and_later(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await bob.request("follow", {"user_ids": ["alice"], "follow": True})

    async def seen() -> str:
        return str((await world.rest("GET", "/api/users/alice/status", "bob")).body["status"])

    assert await seen() == "online"
    await block(world, "alice", "bob")
    assert (await bob.next("status_update"))["payload"]["status"] == "unknown"
    await alice.request("status_update", {"status": "busy"})
    await trio.sleep(1)
    assert [frame for frame in await bob.drain() if frame["type"] == "status_update"] == []
    assert await seen() == "unknown"
    assert (await world.connect("bob", "bob-2")).ready["user_id"] == "bob"
    await block(world, "alice", "bob", "DELETE")
    assert (await bob.next("status_update"))["payload"]["status"] == "busy"
    assert await seen() == "busy"


async def test_blocks_outlast_a_restart_and_go_with_the_account(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", "carol") as world:
        await block(world, "alice", "bob")
        await block(world, "carol", "alice")
        tokens = world.tokens
    async with open_world(tmp_path) as world:
        world.tokens |= tokens
        assert await said(await world.connect("bob"), "alice") == "cannot_write"
        await world.engine.leaving.erase("alice")
        assert await world.engine.runner.read(blocks.list_all) == []
        assert world.engine.blocks.blockers == {}


async def test_whom_one_may_block(world: World) -> None:
    assert (await block(world, "alice", "alice")).body["details"]["reason"] == "yourself"
    assert (await block(world, "alice", "nobody")).status == 404
    assert (await block(world, "alice", "bob")).status == 204
    assert (await block(world, "alice", "bob")).status == 204
    names = [(f"user{number}", "x") for number in range(MOST - 1)]
    await world.engine.runner.write(
        lambda connection: connection.executemany(
            "INSERT INTO blocks (user_id, blocked_id, made_at) VALUES ('alice', ?, 0)",
            [(name,) for name, _ in names],
        )
    )
    await world.user("dave")
    assert (await block(world, "alice", "dave")).body["details"] == {"reason": "too_many_blocked", "max": MOST}


@pytest.mark.world("alice", "bob", "gina", "carol", RELAY_ACCOUNTS__DIRECTORY="shared")
async def test_a_guest_blocks_only_people_of_their_conversations_and_everybody_else_whom_they_like(
    world: World,
) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id="gina", role=ServerRole.GUEST))
    world.engine.accounts.forget()
    missing = await block(world, "gina", "nobody")
    unmet = await block(world, "gina", "bob")
    assert (unmet.status, unmet.body["detail"]) == (404, missing.body["detail"].replace("nobody", "bob"))
    await world.engine.groups.create("bob", "Team", ["gina"], "team")  # who has said nothing
    assert (await block(world, "gina", "bob")).status == 204
    assert (await block(world, "alice", "carol")).status == 204
