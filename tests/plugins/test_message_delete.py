"""`message_delete`: a tombstone keeps its place and says nothing any more."""

from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import Role
from relay.testing import Device, World


async def delete(device: Device, target: str, message_id: int, **more: Any) -> dict[str, Any]:
    """Delete a message and return the answer."""
    payload = {"message_id": message_id, **more}
    await device.send({"type": "message_delete", "payload": payload, "meta": {"target_id": target}})
    return await device.next("ack", "error")


async def said(device: Device, target: str, content: str, type: str = "chat_message") -> int:
    await device.say(target, content, type=type)
    return (await device.next("ack"))["payload"]["message_id"]


async def team(server: World) -> None:
    """Make a group of an owner, an admin and two members."""
    await server.engine.groups.create("alice", "Team", ["bob", "carol", "dave"], "team")
    await server.engine.groups.put_member("alice", "team", "bob", Role.ADMIN)


async def test_a_deleted_message_keeps_its_seq_without_its_payload(world: World, tmp_path: Path) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = await said(alice, "bob", "regretted")
    await said(alice, "bob", "kept")
    assert (await world.engine.history.conversations("bob"))["conversations"][0]["unread"] == 2
    await delete(alice, "bob", message_id)
    told = await bob.next("message_delete")
    assert told["payload"] == {"message_id": message_id}
    history = await world.history("bob", "user", "alice")
    assert [frame["meta"]["seq"] for frame in history] == [1, 2, 3]
    assert history[0]["payload"] == {}
    assert history[0]["meta"]["deleted_at"] == told["meta"]["timestamp"]
    assert (await world.engine.history.conversations("bob"))["conversations"][0]["unread"] == 1
    raw = (tmp_path / "relay.db-wal").read_bytes() + (tmp_path / "relay.db").read_bytes()
    assert await world.engine.runner.read(
        lambda connection: connection.execute("SELECT payload FROM log WHERE message_id = 1").fetchone()
    ) == (None,)
    assert b"kept" in raw


@pytest.mark.world("alice", "bob", "carol", "dave")
async def test_a_removal_says_that_it_is_none_of_the_authors_and_is_no_clients_to_say(world: World) -> None:
    await team(world)
    alice, carol = await world.connect("alice"), await world.connect("carol")
    message_id = await said(carol, "team", "rude", "group_message")
    forged = await delete(carol, "team", message_id, removed=True)
    assert forged["payload"]["code"] == "invalid_payload"
    await delete(alice, "team", message_id)
    assert (await carol.next("message_delete"))["payload"] == {"message_id": message_id, "removed": True}
    (tombstone,) = [
        frame for frame in await world.history("carol", "group", "team") if frame["type"] == "group_message"
    ]
    assert (tombstone["payload"], tombstone["meta"]["removed"]) == ({}, True)


async def test_a_replay_brings_the_tombstone(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "regretted")
    await delete(alice, "bob", message_id)
    bob = await world.connect("bob")
    assert [(frame["type"], frame["payload"]) for frame in bob.replayed] == [
        ("chat_message", {}),
        ("message_delete", {"message_id": message_id}),
    ]


async def test_its_edits_and_reactions_go_with_it(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = await said(alice, "bob", "one")
    payload = {"message_id": message_id, "content": "two"}
    await alice.send({"type": "message_edit", "payload": payload, "meta": {"target_id": "bob"}})
    await alice.next("ack")
    like = {"message_id": message_id, "emoji": "+1", "on": True}
    await bob.send({"type": "reaction", "payload": like, "meta": {"target_id": "alice"}})
    await bob.next("ack")
    await delete(alice, "bob", message_id)
    later = await world.connect("bob", "bob-2", cursor=0)
    assert [frame["payload"] for frame in later.replayed if frame["type"] != "read_receipt"] == [
        {},
        {},
        {"message_id": message_id},
    ]


@pytest.mark.parametrize(("who", "allowed"), [("alice", True), ("bob", True), ("carol", True), ("dave", False)])
@pytest.mark.world("alice", "bob", "carol", "dave")
async def test_in_a_group_the_author_and_who_presides_may_delete(world: World, who: str, allowed: bool) -> None:
    await team(world)
    carol = await world.connect("carol")
    message_id = await said(carol, "team", "hello", "group_message")
    answer = await delete(await world.connect(who, "another"), "team", message_id)
    assert (answer["type"] == "ack") is allowed
    if not allowed:
        assert answer["payload"]["code"] == "forbidden"


@pytest.mark.world("alice", "bob", "carol")
async def test_what_is_no_message_of_this_conversation_is_not_found(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    elsewhere = await said(alice, "carol", "private")
    assert (await delete(bob, "alice", elsewhere))["payload"]["code"] == "not_found"
    assert (await delete(bob, "alice", 99))["payload"]["code"] == "not_found"
    message_id = await said(alice, "bob", "x")
    await bob.drain()
    assert (await delete(bob, "alice", message_id))["payload"]["code"] == "forbidden"
    assert (await delete(alice, "bob", message_id))["type"] == "ack"
    assert (await delete(alice, "bob", message_id))["payload"]["code"] == "not_found"


@pytest.mark.world("alice", "bob", "carol", "dave")
async def test_what_the_server_says_and_deletions_cannot_be_deleted(world: World) -> None:
    await team(world)
    alice = await world.connect("alice", cursor=0)
    created = next(frame for frame in alice.replayed if frame["type"] == "group_event")
    answer = await delete(alice, "team", created["meta"]["message_id"])
    assert answer["payload"]["code"] == "invalid_payload"
    message_id = await said(alice, "team", "x", "group_message")
    deletion = await delete(alice, "team", message_id)
    answer = await delete(alice, "team", deletion["payload"]["message_id"])
    assert answer["payload"]["code"] == "invalid_payload"


@pytest.mark.world("alice", "bob", "carol", "dave", "eve")
async def test_a_newcomer_cannot_reach_what_was_before_them(world: World) -> None:
    await team(world)
    alice = await world.connect("alice")
    message_id = await said(alice, "team", "early", "group_message")
    await world.engine.groups.put_member("alice", "team", "eve", Role.ADMIN)
    eve = await world.connect("eve")
    assert (await delete(eve, "team", message_id))["payload"]["code"] == "not_found"
