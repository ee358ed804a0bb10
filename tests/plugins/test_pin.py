"""`pin`: messages that a conversation keeps at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ConversationKind, Role
from relay.testing import Device, World
from relay.testing import world as open_world
from tests.plugins.test_reaction import said


async def pin(device: Device, target: str, message_id: int, on: bool = True) -> dict[str, Any]:
    """Pin a message and return the answer's payload."""
    answer = await device.request("pin", {"message_id": message_id, "on": on}, target)
    payload: dict[str, Any] = answer["payload"]
    return payload


async def pins(world: World, user: str, target: str) -> list[dict[str, Any]]:
    answer = await world.rest("GET", f"/api/pins/{target}", user)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.body["pins"]
    return found


async def test_both_of_two_pin_and_take_back_each_others_pins(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    one, two = await said(alice, "bob", "one"), await said(alice, "bob", "two")
    await pin(alice, "bob", one)
    told = await bob.next("pin")
    assert (told["payload"], told["meta"]["about"], told["meta"]["sender_id"]) == (
        {"message_id": one, "on": True}, one, "alice",
    )  # fmt: skip
    await pin(bob, "alice", two)
    found = await pins(world, "alice", "bob")
    assert [(each["message"]["payload"]["content"], each["pinned_by"]) for each in found] == [
        ("two", "bob"), ("one", "alice"),
    ]  # fmt: skip
    await pin(bob, "alice", one, on=False)
    assert [each["pinned_by"] for each in await pins(world, "alice", "bob")] == ["bob"]
    assert "message_id" not in await pin(alice, "bob", one, on=False)  # nothing new is acked and not stored
    page = await world.engine.history.page("alice", ConversationKind.USER, "bob", 10)
    assert sum(item.type == "pin" for item in page["latest"]) == 3


@pytest.mark.world("alice", "bob", "carol")
async def test_in_a_group_its_owner_and_admins_pin(world: World) -> None:
    await world.engine.groups.create("alice", "The team", ["bob"], "team")
    alice, bob = await world.connect("alice"), await world.connect("bob")
    answer = await bob.request("group_message", {"content": "hello"}, "team")
    message_id = answer["payload"]["message_id"]
    assert (await pin(bob, "team", message_id))["code"] == "forbidden"
    await pin(alice, "team", message_id)
    assert len(await pins(world, "bob", "team")) == 1
    assert (await pin(bob, "team", message_id, on=False))["code"] == "forbidden"
    await world.engine.groups.put_member("alice", "team", "bob", Role.ADMIN)
    await pin(bob, "team", message_id, on=False)
    assert await pins(world, "bob", "team") == []
    await pin(bob, "team", message_id)
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    assert await pins(world, "carol", "team") == []  # it was said before she came
    await world.engine.groups.remove_member("alice", "team", "bob")
    assert (await world.rest("GET", "/api/pins/team", "bob")).status == 404


async def test_all_members_pin_where_the_operator_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob", RELAY_PLUGINS__PIN__MEMBERS="true") as world:
        await world.engine.groups.create("alice", "The team", ["bob"], "team")
        bob = await world.connect("bob")
        answer = await bob.request("group_message", {"content": "hello"}, "team")
        assert "message_id" in await pin(bob, "team", answer["payload"]["message_id"])


async def test_a_deleted_message_is_pinned_no_longer_and_others_messages_cannot_be(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "one")
    elsewhere = await said(alice, "alice", "note")
    assert (await pin(alice, "bob", elsewhere))["code"] == "not_found"
    await pin(alice, "bob", message_id)
    await alice.request("message_delete", {"message_id": message_id}, "bob")
    assert await pins(world, "bob", "alice") == []
    assert (await pin(alice, "bob", message_id))["code"] == "not_found"


async def test_fifty_messages_are_pinned_at_most(world: World) -> None:
    alice = await world.connect("alice")
    ids = [await said(alice, "bob", str(number)) for number in range(51)]
    for message_id in ids[:50]:
        assert "message_id" in await pin(alice, "bob", message_id)
    refused = await pin(alice, "bob", ids[50])
    assert (refused["code"], refused["details"]) == ("forbidden", {"most": 50})
    await pin(alice, "bob", ids[0], on=False)
    assert "message_id" in await pin(alice, "bob", ids[50])


async def test_the_conversation_says_who_pinned_a_message_and_nothing_of_a_pin_taken_back(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    one = await said(alice, "bob", "one")
    await pin(alice, "bob", one)
    told = await bob.next("pin_event")
    assert (told["payload"], told["meta"]["sender_id"], "seq" in told["meta"]) == (
        {"message_id": one},
        "alice",
        True,
    )
    await pin(bob, "alice", one, on=False)
    await pin(bob, "alice", one)
    told = await bob.next("pin_event")
    assert (told["payload"], told["meta"]["sender_id"]) == ({"message_id": one}, "bob")
    page = await world.rest("GET", "/api/messages/user/alice", "bob")
    assert [each["type"] for each in page.body["messages"]] == ["chat_message", "pin_event", "pin_event"]
    (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
    assert row["unread"] == 1  # the text alone
    refused = await alice.request("pin_event", {"message_id": one}, "bob")
    assert refused["payload"]["code"] == "forbidden"
    event = page.body["messages"][1]["meta"]["message_id"]
    assert (await alice.request("message_delete", {"message_id": event}, "bob"))["type"] == "error"
