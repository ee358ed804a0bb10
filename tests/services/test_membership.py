"""Who left a group and came back, who left it, and what is left of a group that is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.storage.observer import unpurged_erasures
from relay.testing import Device, World
from relay.testing import world as open_world


async def say(server: World, text: str, user: str = "alice", **more: Any) -> int:
    entry = await server.engine.submitter.send_as(user, "group_message", {"content": text, **more}, "team")
    assert entry.message_id is not None
    return entry.message_id


async def edit(server: World, message_id: int, text: str) -> None:
    await server.engine.submitter.send_as(
        "alice", "message_edit", {"message_id": message_id, "content": text}, "team"
    )


async def team(server: World, **more: Any) -> None:
    await server.engine.groups.create("alice", "Team", ["bob"], "team", **more)


async def leave(server: World, user: str = "bob") -> None:
    await server.engine.groups.remove_member("alice", "team", user)


async def come_back(server: World, user: str = "bob") -> None:
    await server.engine.groups.put_member("alice", "team", user, Role.MEMBER)


def texts(frames: list[dict[str, Any]]) -> list[str]:
    return [one["payload"].get("content") or one["payload"].get("event", "") for one in frames]


async def resumed(server: World, cursor: int | None = 0) -> Device:
    return await server.connect("bob", cursor=cursor)


async def test_who_comes_back_gets_what_was_said_before_they_left_and_nothing_of_between(world: World) -> None:
    await team(world)
    cursor = world.engine.router.position
    for text in ("one", "two", "three"):
        await say(world, text)
    await leave(world)
    await say(world, "between")
    await come_back(world)
    await say(world, "four")
    expected = ["one", "two", "three", "member_removed", "member_added", "four"]
    undelivered = await world.rest("GET", f"/api/messages/undelivered?after={cursor}", "bob")
    assert texts(undelivered.body["messages"]) == expected
    bob = await resumed(world, cursor)
    assert texts(bob.replayed) == expected
    assert bob.synced["gaps"] == []
    assert texts(await world.history("bob", "group", "team")) == ["created", *expected]
    page = (await world.engine.history.conversations("bob"))["conversations"][0]
    assert page["unread"] == 4
    for word, found in (("three", 1), ("between", 0), ("four", 1)):
        assert len((await world.rest("GET", f"/api/search?q={word}", "bob")).body["results"]) == found
    await say(world, "five")
    assert (await bob.next("group_message"))["payload"]["content"] == "five"


@pytest.mark.world("alice", "bob", RELAY_REPLAY__LIMIT="3")
async def test_gaps_of_a_limited_replay_name_what_one_may_see_through_many_rounds(world: World) -> None:
    await team(world)
    seen = []
    for round_ in range(4):
        seen += [await say(world, f"{round_} in") for _ in range(3)]
        await leave(world)
        await say(world, f"{round_} out")
        await say(world, f"{round_} out")
        await come_back(world)
    bob = await resumed(world)
    got = texts(bob.replayed)
    for gap in bob.synced["gaps"]:
        for seq in range(gap["from_seq"], gap["to_seq"] + 1):
            page = await world.history("bob", "group", "team", 1, after=seq - 1)
            assert page[0]["meta"]["seq"] == seq
            got += texts(page)
    assert sorted(text for text in got if text.endswith("in")) == sorted(f"{n // 3} in" for n in range(12))
    assert not [text for text in got if text.endswith("out")]
    history = await world.history("bob", "group", "team")
    assert sorted(texts(history)) == sorted(got)
    older = await world.history("bob", "group", "team", 2, before=history[-1]["meta"]["seq"])
    assert older == history[-3:-1]
    reader = world.engine.history
    for message_id in seen:
        await reader.locate("bob", [message_id])
    out = await world.history("alice", "group", "team", filters=_said("0 out"))
    with pytest.raises(RelayError) as refused:
        await reader.locate("bob", [out[0]["meta"]["message_id"]])
    assert refused.value.code is ErrorCode.NOT_FOUND


def _said(text: str) -> Any:
    from relay.storage.history import Filters

    return Filters(text=text)


async def test_who_comes_back_to_an_open_history_sees_it_all(world: World) -> None:
    await team(world, history="start")
    await say(world, "one")
    await leave(world)
    await say(world, "between")
    await come_back(world)
    assert "between" in texts(await world.history("bob", "group", "team"))


@pytest.mark.world("alice", "bob", "carol")
async def test_who_left_sees_messages_as_they_were_then(world: World) -> None:
    await team(world)
    first, second, third = [await say(world, text) for text in ("apple", "banana", "cherry")]
    await edit(world, first, "apricot")
    await leave(world)
    await edit(world, first, "avocado")
    await edit(world, first, "almond")
    await edit(world, second, "blueberry")
    await world.engine.submitter.send_as("alice", "message_delete", {"message_id": third}, "team")
    after = await world.rest("GET", "/api/messages/undelivered?after=0", "bob")
    bob = await resumed(world)
    for frames in (after.body["messages"], bob.replayed):
        said = {one["meta"]["message_id"]: one for one in frames if one["type"] == "group_message"}
        assert said[first]["payload"] == {"content": "apricot"}
        assert said[second]["payload"] == {"content": "banana"}
        assert "edited_at" not in said[second]["meta"]
        assert said[third]["payload"] == {}
    for word in ("avocado", "almond", "blueberry", "cherry"):
        assert (await world.rest("GET", f"/api/search?q={word}", "bob")).body["results"] == []
    # Who is there sees what they say now; and so does who comes back, for whom nothing is kept any more.
    assert (await world.rest("GET", "/api/search?q=almond", "alice")).body["results"]
    await come_back(world)
    shown = texts(await world.history("bob", "group", "team"))
    assert "almond" in shown
    assert "apricot" not in shown
    assert await kept(world) == 0


async def test_of_two_who_left_each_sees_the_text_of_their_time_and_what_is_needed_no_more_is_purged(
    world: World,
) -> None:
    await world.user("carol")
    await team(world)
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    message_id = await say(world, "apple")
    for user, text in (("bob", "apricot"), ("carol", "avocado")):
        await leave(world, user)
        await edit(world, message_id, text)
    for user, text in (("bob", "apple"), ("carol", "apricot")):
        device = await world.connect(user, cursor=0)
        (said,) = [one for one in device.replayed if one["type"] == "group_message"]
        assert said["payload"] == {"content": text}
        await device.cut()
    await trio.sleep(120)
    assert await world.engine.runner.read(unpurged_erasures) is None
    await come_back(world)
    assert await world.engine.runner.read(unpurged_erasures) is not None
    await come_back(world, "carol")
    assert await kept(world) == 0


async def kept(server: World) -> int:
    found: int = await server.engine.runner.read(
        lambda connection: connection.execute("SELECT count(*) FROM versions").fetchone()[0]
    )
    return found


async def test_old_texts_are_kept_for_those_who_left_alone_and_go_with_the_message(world: World) -> None:
    await team(world)
    first = await say(world, "apple")
    await edit(world, first, "apricot")
    assert await kept(world) == 0
    await leave(world)
    await edit(world, first, "avocado")
    await edit(world, first, "almond")
    assert await kept(world) == 1
    second = await say(world, "said after bob left")
    await edit(world, second, "not bob's")
    assert await kept(world) == 1
    await world.engine.submitter.send_as("alice", "message_delete", {"message_id": first}, "team")
    assert await kept(world) == 0


async def test_nothing_of_a_deleted_group_can_be_read(tmp_path: Path) -> None:
    async def data() -> Any:
        yield b"bytes"

    async with open_world(tmp_path, "alice", "bob", "carol", "dan") as world:
        await world.engine.groups.create("alice", "Team", ["bob", "carol", "dan"], "team")
        file = await world.engine.attachments.receive("alice", "a.txt", data())
        await say(world, "apple", attachments=[file.attachment_id])
        await leave(world, "dan")
        await leave(world, "carol")
        await come_back(world, "carol")
        assert (await world.rest("GET", f"/api/attachments/{file.attachment_id}", "bob")).status == 200
        assert (await world.rest("GET", f"/api/attachments/{file.attachment_id}", "carol")).status == 200
        await world.engine.groups.delete("alice", "team")
        for user, last in (("bob", "deleted"), ("carol", "deleted"), ("dan", "member_removed")):
            undelivered = await world.rest("GET", "/api/messages/undelivered?after=0", user)
            assert texts(undelivered.body["messages"]) == [last]
            device = await world.connect(user, cursor=0)
            assert texts(device.replayed) == [last]
            assert device.synced["gaps"] == []
            assert (await world.rest("GET", "/api/search?q=apple", user)).body["results"] == []
            assert (await world.rest("GET", "/api/search?q=apple&group=team", user)).status == 404
            assert (await world.rest("GET", "/api/messages/group/team", user)).status == 404
            assert (await world.rest("GET", f"/api/attachments/{file.attachment_id}", user)).status == 404
            assert (await world.rest("GET", "/api/conversations", user)).body["conversations"] == []


async def test_stored_notifications_of_a_deleted_group_are_erased(tmp_path: Path) -> None:
    rule = {
        "RELAY_PLUGINS__ALSO": "notifications",
        "RELAY_PLUGINS__NOTIFICATIONS__RULES": '[{do = "store", kinds = ["group"]}]',
    }
    async with open_world(tmp_path, "alice", "bob", **rule) as world:
        await team(world)
        first = await say(world, "apple")
        await world.engine.router.wait_idle()
        await told(world, ["apple"])
        await edit(world, first, "apricot")
        await told(world, ["apricot"])
        await say(world, "banana")
        await told(world, ["apricot", "banana"])
        await world.engine.submitter.send_as("alice", "message_delete", {"message_id": first}, "team")
        await told(world, ["banana"])
        await world.engine.groups.delete("alice", "team")
        await told(world, [])


async def told(server: World, expected: list[str]) -> None:
    import trio

    await trio.sleep(30)
    page = await server.engine.history.notifications("bob", 100)
    found = [one.payload for one in page["messages"]]
    assert [text for text in (_body(bytes(raw)) for raw in found) if text] == expected


def _body(raw: bytes) -> str:
    import json

    body: str = json.loads(raw).get("body", "")
    return body


async def test_who_left_has_no_history_to_page(world: World) -> None:
    await team(world)
    await leave(world)
    with pytest.raises(RelayError):
        await world.engine.history.page("bob", ConversationKind.GROUP, "team", 10)
