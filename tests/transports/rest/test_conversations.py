"""The list of conversations."""

from __future__ import annotations

from tests.transports.rest.world import World, message

LIST = "/api/conversations"


async def test_one_call_draws_the_first_screen(world: World):
    await world.engine.runner.write(
        lambda c: c.execute("UPDATE users SET display_name = 'Bob B.' WHERE user_id = 'bob'").rowcount
    )
    await world.say("alice", "bob", "hello")
    await world.say("bob", "alice", "hi")
    await world.group("carol", "alice")
    answer = (await world.get("alice", LIST)).ok()
    assert (answer["has_more"], answer["next_cursor"]) == (False, None)
    direct, group = answer["conversations"]
    assert {name: direct[name] for name in ("kind", "target_id", "name", "last_seq", "read_seq", "unread")} == {
        "kind": "user", "target_id": "bob", "name": "Bob B.", "last_seq": 2, "read_seq": 1, "unread": 1,
    }  # fmt: skip
    assert direct["last_message"]["payload"] == {"content": "hi"}
    assert (group["kind"], group["target_id"], group["name"], group["role"]) == (
        "group", "team", "The team", "member",
    )  # fmt: skip
    assert group["last_message"]["payload"]["event"] == "created"


async def test_sending_is_reading(world: World):
    await world.say("bob", "alice", "one")
    await world.say("alice", "bob", "two")
    assert (await world.get("alice", LIST)).ok()["conversations"][0]["unread"] == 0


async def test_a_message_that_was_refused_leaves_no_conversation_behind(world: World):
    (await world.post("alice", "/api/messages", message("bob", "x", group=True))).refused(400, "invalid_payload")
    for who in ("alice", "bob"):
        assert (await world.get(who, LIST)).ok()["conversations"] == []


async def test_groups_that_were_left_or_deleted_are_gone(world: World):
    await world.group("alice", "bob", group_id="one")
    await world.group("alice", "bob", group_id="two")
    (await world.call("bob", "DELETE", "/api/groups/one/members/bob")).done()
    (await world.call("alice", "DELETE", "/api/groups/two")).done()
    assert (await world.get("bob", LIST)).ok()["conversations"] == []


async def test_pages_bring_every_conversation_once(world: World):
    await world.add(*(f"user{number}" for number in range(12)))
    for number in range(12):
        await world.say("alice", f"user{number}", "hi")
    found: list[str] = []
    query: dict[str, int] = {}
    while True:
        answer = (await world.get("alice", LIST, limit=5, **query)).ok()
        assert len(answer["conversations"]) <= 5
        found += [row["target_id"] for row in answer["conversations"]]
        if not answer["has_more"]:
            break
        query = {"cursor": answer["next_cursor"]}
    assert found == [f"user{number}" for number in range(12)]


async def test_others_conversations_are_not_listed(world: World):
    await world.say("alice", "bob", "secret")
    assert (await world.get("carol", LIST)).ok()["conversations"] == []
