"""`message_edit`: the message is rewritten, everybody learns of it, and history agrees."""

from pathlib import Path
from typing import Any

import pytest

from relay.testing import Device, World
from relay.testing import world as open_world


async def edit(device: Device, target: str, message_id: int, content: str, id: str = "e") -> dict[str, Any]:
    """Edit a message and return the answer."""
    payload = {"message_id": message_id, "content": content}
    await device.send({"type": "message_edit", "payload": payload, "meta": {"target_id": target, "id": id}})
    return await device.next("ack", "error")


async def said(device: Device, target: str, content: str) -> int:
    await device.say(target, content)
    return (await device.next("ack"))["payload"]["message_id"]


async def test_history_shows_the_message_as_it_now_is(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = await said(alice, "bob", "frist")
    answer = await edit(alice, "bob", message_id, "first")
    assert answer["payload"]["seq"] == 2
    told = await bob.next("message_edit")
    assert told["payload"] == {"message_id": message_id, "content": "first"}
    history = await world.history("bob", "user", "alice")
    assert history[0]["payload"] == {"content": "first"}
    assert history[0]["meta"]["edited_at"] == told["meta"]["timestamp"]
    assert history[1]["payload"]["content"] == "first"


async def test_only_the_newest_edit_keeps_its_text(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "a secret")
    for content in ("less of one", "nothing"):
        await edit(alice, "bob", message_id, content, id=content)
    bob = await world.connect("bob")
    frames = {frame["meta"]["seq"]: frame for frame in bob.replayed if "seq" in frame["meta"]}
    assert frames[1]["payload"] == {"content": "nothing"}
    edits = [frame for frame in frames.values() if frame["type"] == "message_edit"]
    assert [frame["payload"].get("content") for frame in edits if frame["payload"]] == ["nothing"]
    assert all("deleted_at" in frame["meta"] for frame in edits if not frame["payload"])


async def test_a_replay_after_an_edit_brings_the_message_and_the_edit_alike(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "one")
    await edit(alice, "bob", message_id, "two")
    bob = await world.connect("bob")
    assert [(frame["type"], frame["payload"].get("content")) for frame in bob.replayed] == [
        ("chat_message", "two"),
        ("message_edit", "two"),
    ]


async def test_mentions_stay_unless_the_edit_names_others(world: World) -> None:
    alice = await world.connect("alice")
    await alice.send(
        {
            "type": "chat_message",
            "payload": {"content": "hi", "mentions": ["bob"]},
            "meta": {"target_id": "bob"},
        }
    )
    message_id = (await alice.next("ack"))["payload"]["message_id"]
    await edit(alice, "bob", message_id, "hello")
    assert (await world.engine.history.conversations("bob"))["conversations"][0]["unread_mentions"] == 1
    payload = {"message_id": message_id, "content": "hello", "mentions": []}
    await alice.send({"type": "message_edit", "payload": payload, "meta": {"target_id": "bob"}})
    await alice.next("ack")
    row = (await world.engine.history.conversations("bob"))["conversations"][0]
    assert (row["unread"], row["unread_mentions"]) == (1, 0)


@pytest.mark.parametrize(
    ("who", "message", "code"),
    [
        ("bob", 1, "forbidden"),
        ("alice", 2, "not_found"),
        ("alice", 3, "invalid_payload"),
        ("alice", 99, "not_found"),
    ],
)
@pytest.mark.world("alice", "bob", "carol")
async def test_who_may_not_edit_what_is_told_so(world: World, who: str, message: int, code: str) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    first = await said(alice, "bob", "mine")
    elsewhere = await said(alice, "carol", "elsewhere")
    await edit(alice, "bob", first, "still mine")
    an_edit = (await bob.next("message_edit"))["meta"]["message_id"]
    wanted = {1: first, 2: elsewhere, 3: an_edit, 99: 99}[message]
    device, target = (bob, "alice") if who == "bob" else (alice, "bob")
    await device.drain()
    payload = {"message_id": wanted, "content": "x"}
    await device.send({"type": "message_edit", "payload": payload, "meta": {"target_id": target}})
    assert (await device.next("error"))["payload"]["code"] == code
    assert (await world.history("alice", "user", "bob"))[0]["payload"]["content"] == "still mine"


async def test_a_deleted_message_cannot_be_edited(world: World) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "gone")
    await alice.send(
        {"type": "message_delete", "payload": {"message_id": message_id}, "meta": {"target_id": "bob"}}
    )
    await alice.next("ack")
    assert (await edit(alice, "bob", message_id, "back"))["payload"]["code"] == "not_found"


async def test_a_field_set_back_to_its_default_is_cleared_everywhere(world: World) -> None:
    alice = await world.connect("alice")
    said = {"content": "hi @bob", "mentions": ["bob"], "extra": {"colour": "red"}}
    await alice.send({"type": "chat_message", "payload": said, "meta": {"target_id": "bob", "id": "m"}})
    message_id = (await alice.next("ack"))["payload"]["message_id"]
    cleared = {"message_id": message_id, "content": "hi", "mentions": []}
    await alice.send({"type": "message_edit", "payload": cleared, "meta": {"target_id": "bob", "id": "e"}})
    edit_id = (await alice.next("ack"))["payload"]["message_id"]
    history = await world.history("bob", "user", "alice")
    assert history[0]["payload"] == {"content": "hi", "extra": {"colour": "red"}}
    assert history[0]["meta"]["edit_id"] == edit_id
    (row,) = (await world.engine.history.conversations("bob"))["conversations"]
    assert (row["unread"], row["unread_mentions"]) == (1, 0)


async def test_edits_are_ordered_by_position_when_the_clock_is_set_back(tmp_path: Path) -> None:
    from relay.client.events import from_object
    from relay.client.mirror import Mirror

    async with open_world(tmp_path, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        message_id = await said(alice, "bob", "zero")
        mirror = Mirror("bob")
        world.engine.router._now = lambda: 2_000_000_000.0  # type: ignore[method-assign]
        await edit(alice, "bob", message_id, "one", id="1")
        loaded = await world.history("bob", "user", "alice")
        world.engine.router._now = lambda: 1_999_992_800.0  # type: ignore[method-assign]
        await edit(alice, "bob", message_id, "two", id="2")
        mirror.load("alice", 0, [from_object(one) for one in loaded])
        for _ in range(2):
            mirror.apply(from_object(await bob.next("message_edit")))
        assert mirror.conversation("alice").messages[1].payload == {"content": "two"}
        newest = await world.history("bob", "user", "alice")
        mirror.load("alice", 0, [from_object(one) for one in loaded])
        mirror.load("alice", 0, [from_object(one) for one in newest])
        mirror.load("alice", 0, [from_object(one) for one in loaded])
        assert mirror.conversation("alice").messages[1].payload == {"content": "two"}
        assert newest[0]["payload"] == {"content": "two"}


async def test_an_edit_makes_no_message_larger_than_one_may_be(world: World) -> None:
    world.engine.dispatcher._payload_bytes = 100
    alice = await world.connect("alice")
    first = await alice.request("chat_message", {"content": "short", "extra": {"a": "x" * 50}}, "bob")
    edit = {"message_id": first["payload"]["message_id"], "content": "x" * 45}
    answer = await alice.request("message_edit", edit, "bob")
    assert answer["payload"]["details"] == {"reason": "message_too_large", "max_bytes": 100}
