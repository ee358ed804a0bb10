"""`conversation_mark` and `saved_message`: one's own marks, on all of one's devices and nobody else's."""

from __future__ import annotations

from typing import Any

from relay.testing import Device, RelayWorld, World


async def mark(device: Device, target: str, mark: str, on: bool = True, **more: int) -> Any:
    """Set a mark, and return the ack's or the error's payload."""
    return (await device.request("conversation_mark", {"mark": mark, "on": on, **more}, target))["payload"]


async def save(device: Device, target: str, message_id: int, on: bool = True) -> Any:
    return (await device.request("saved_message", {"message_id": message_id, "on": on}, target))["payload"]


async def marks(world: World, user: str) -> list[tuple[str, dict[str, Any]]]:
    found = (await world.rest("GET", "/api/marks", user)).body["marks"]
    return [(one["meta"]["target_id"], one["payload"]) for one in found]


async def saved(world: World, user: str, query: str = "") -> list[str | None]:
    found = (await world.rest("GET", f"/api/saved{query}", user)).body["saved"]
    return [one["message"]["payload"].get("content") for one in found]


async def say(world: World, sender: str, target: str, content: str, type_: str = "chat_message") -> int:
    body = {"type": type_, "payload": {"content": content}, "meta": {"target_id": target}}
    answer = await world.rest("POST", "/api/messages", sender, json_body=body)
    message_id: int = answer.body["message_id"]
    return message_id


async def test_a_mark_reaches_ones_own_devices_and_nobody_else(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(world, "bob", "alice", "one")
        alice, phone = await world.connect("alice", "laptop"), await world.connect("alice", "phone")
        bob = await world.connect("bob")
        await mark(alice, "bob", "pinned")
        told = await phone.next("conversation_mark")
        assert told["payload"] == {"mark": "pinned", "on": True}
        assert (told["meta"]["only_for"], told["meta"]["target_id"]) == ("alice", "bob")
        assert [one for one in await bob.drain() if one["type"] == "conversation_mark"] == []
        assert await marks(world, "alice") == [("bob", {"mark": "pinned", "on": True})]
        assert await marks(world, "bob") == []
        later = await world.hello("alice", "tablet", cursor=0)
        replayed = await later.drain()
        assert [one["payload"]["mark"] for one in replayed if one["type"] == "conversation_mark"] == ["pinned"]


async def test_the_newest_of_each_mark_counts(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(world, "bob", "alice", "one")
        alice = await world.connect("alice")
        await mark(alice, "bob", "pinned")
        await mark(alice, "bob", "unread", up_to_seq=1, from_seq=1)
        await mark(alice, "bob", "archived", up_to_seq=1)
        await mark(alice, "bob", "pinned", on=False)
        assert await marks(world, "alice") == [
            ("bob", {"mark": "unread", "on": True, "up_to_seq": 1, "from_seq": 1}),
            ("bob", {"mark": "archived", "on": True, "up_to_seq": 1}),
            ("bob", {"mark": "pinned", "on": False}),
        ]


async def test_a_mark_that_makes_no_sense_is_refused_with_what_would(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await say(world, "bob", "alice", "one")
        alice = await world.connect("alice")
        for more, said in (
            ({"mark": "archived"}, "'archived' that is on needs up_to_seq"),
            ({"mark": "pinned", "up_to_seq": 1}, "'pinned' that is on takes no up_to_seq"),
            ({"mark": "archived", "up_to_seq": 2}, "up_to_seq is 2, and the newest message has seq 1"),
            ({"mark": "archived", "up_to_seq": 1, "from_seq": 1}, "from_seq is for 'unread' that is on"),
            ({"mark": "unread", "up_to_seq": 1, "from_seq": 2}, "not after up_to_seq"),
        ):
            answer = await mark(alice, "bob", **more)
            assert answer["code"] == "invalid_payload"
            assert said in answer["message"]
        assert (await mark(alice, "nobody", "pinned"))["code"] == "not_found"


async def test_saved_messages_are_listed_by_when_they_were_saved_page_by_page(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol") as world:
        first, second = await say(world, "bob", "alice", "first"), await say(world, "alice", "bob", "second")
        other = await say(world, "carol", "alice", "other")
        alice = await world.connect("alice")
        for target, message_id in (("bob", second), ("carol", other), ("bob", first)):
            await save(alice, target, message_id)
        assert await saved(world, "alice") == ["first", "other", "second"]
        assert await saved(world, "bob") == []
        answer = (await world.rest("GET", "/api/saved?limit=2", "alice")).body
        assert answer["has_more"]
        assert await saved(world, "alice", f"?cursor={answer['next_cursor']}") == ["second"]
        await save(alice, "carol", other, on=False)
        assert await saved(world, "alice") == ["first", "second"]
        page = (await world.rest("GET", "/api/messages/user/bob", "alice")).body
        assert [one["type"] for one in page["latest"]] == ["saved_message", "saved_message"]
        assert "saved_message" not in str((await world.rest("GET", "/api/messages/user/alice", "bob")).body)


async def test_a_saved_message_goes_when_it_is_deleted_or_seen_no_longer(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await world.engine.groups.create("bob", "Team", ["alice"], "team")
        kept = await say(world, "bob", "alice", "kept")
        gone, left = (
            await say(world, "bob", "alice", "gone"),
            await say(world, "bob", "team", "left", "group_message"),
        )
        alice, bob = await world.connect("alice"), await world.connect("bob")
        for target, message_id in (("bob", kept), ("bob", gone), ("team", left)):
            assert "message_id" in await save(alice, target, message_id)
        await mark(alice, "team", "pinned")
        assert (await save(bob, "alice", left))["code"] == "not_found"
        await bob.request("message_delete", {"message_id": gone}, "alice")
        assert await saved(world, "alice") == ["left", "kept"]
        await world.rest("DELETE", "/api/groups/team/members/alice", "alice")
        assert await saved(world, "alice") == ["kept"]
        assert await marks(world, "alice") == []
        assert (await mark(alice, "team", "pinned"))["code"] == "not_found"


async def test_marks_go_with_the_account(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        kept = await say(world, "bob", "alice", "kept")
        alice = await world.connect("alice")
        await mark(alice, "bob", "pinned")
        await save(alice, "bob", kept)
        await world.engine.leaving.erase("alice")
        rows = await world.engine.runner.read(
            lambda connection: connection.execute(
                "SELECT count(*) FROM latest WHERE type IN ('conversation_mark', 'saved_message')"
            ).fetchone()
        )
        assert rows == (0,)
