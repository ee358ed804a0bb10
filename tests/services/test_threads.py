"""Threads: replies beside a conversation, who follows them, and how much of them is unread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ConversationKind, Role
from relay.testing import Device, World
from relay.testing import world as open_world


async def say(device: Device, target: str, content: str, **payload: Any) -> int:
    """Send a text that must be stored; return its message_id."""
    type_ = "group_message" if target == "team" else "chat_message"
    answer = await device.request(type_, {"content": content, **payload}, target)
    assert answer["type"] == "ack", answer
    return int(answer["payload"]["message_id"])


async def followed(world: World, user: str, **query: Any) -> dict[str, Any]:
    path = "/api/threads" + "".join(f"?{name}={value}" for name, value in query.items())
    body: dict[str, Any] = (await world.rest("GET", path, user)).body
    return body


async def replies(world: World, user: str, root: int, query: str = "") -> dict[str, Any]:
    answer = await world.rest("GET", f"/api/messages/thread/{root}{query}", user)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def said(page: dict[str, Any]) -> list[str]:
    return [one["payload"]["content"] for one in page["messages"]]


async def page_of(world: World, user: str, kind: str, target: str) -> dict[str, Any]:
    body: dict[str, Any] = (await world.rest("GET", f"/api/messages/{kind}/{target}", user)).body
    return body


async def test_a_reply_is_a_message_of_the_conversation_and_is_found_by_its_thread(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    root = await say(alice, "bob", "Lunch?")
    first = await say(bob, "alice", "Yes", thread=root)
    await say(alice, "bob", "Something else")
    last = await say(alice, "bob", "At noon", thread=root, thread_shown=True)
    heard = await alice.next("chat_message")
    assert heard["payload"] == {"content": "Yes", "thread": root}
    assert heard["meta"]["seq"] == 2
    page = await page_of(world, "bob", "user", "alice")
    assert said(page) == ["Lunch?", "Yes", "Something else", "At noon"]
    (thread,) = page["threads"]
    assert {name: thread[name] for name in thread if name != "last_at"} == {
        "thread": root, "replies": 2, "last_seq": 4, "last_id": last, "repliers": ["alice", "bob"],
        "follows": True, "read_seq": 2, "unread": 1, "mentions": 0,
    }  # fmt: skip
    found = await replies(world, "alice", root)
    assert found["root"]["payload"]["content"] == "Lunch?"
    assert said(found) == ["Yes", "At noon"]
    assert found["thread"]["unread"] == 0  # whoever replies has read the thread
    assert (found["has_more"], found["next_before"], found["next_after"]) == (False, 2, 4)
    assert [
        one["meta"]["message_id"] for one in (await replies(world, "alice", root, "?limit=1"))["messages"]
    ] == [last]
    older = await replies(world, "alice", root, "?before=4")
    assert [one["meta"]["message_id"] for one in older["messages"]] == [first]


@pytest.mark.parametrize("root", ["elsewhere", "unknown", "deleted"])
async def test_a_thread_begins_at_a_message_that_one_sees_here(world: World, root: str) -> None:
    alice = await world.connect("alice")
    elsewhere = await say(alice, "alice", "Note to myself")
    deleted = await say(alice, "bob", "Oops")
    await alice.request("message_delete", {"message_id": deleted}, "bob")
    message_id = {"elsewhere": elsewhere, "unknown": 10_000, "deleted": deleted}[root]
    refused = await alice.request("chat_message", {"content": "x", "thread": message_id}, "bob")
    assert refused["payload"]["code"] == "not_found"


async def test_a_thread_has_no_thread_and_only_a_reply_is_shown_beside_one(world: World) -> None:
    alice = await world.connect("alice")
    root = await say(alice, "bob", "Lunch?")
    reply = await say(alice, "bob", "Or dinner", thread=root)
    refused = (await alice.request("chat_message", {"content": "x", "thread": reply}, "bob"))["payload"]
    assert (refused["code"], refused["details"]) == ("invalid_payload", {"thread": root})
    refused = (await alice.request("chat_message", {"content": "x", "thread_shown": True}, "bob"))["payload"]
    assert refused["code"] == "invalid_payload"


async def test_a_retry_is_counted_once(world: World) -> None:
    alice = await world.connect("alice")
    root = await say(alice, "bob", "Lunch?")
    for _ in range(2):
        await alice.send(
            {
                "type": "chat_message",
                "payload": {"content": "x", "thread": root},
                "meta": {"id": "one", "target_id": "bob"},
            }
        )
        assert (await alice.next("ack", "error"))["type"] == "ack"
    assert (await replies(world, "alice", root))["thread"]["replies"] == 1


@pytest.mark.world("alice", "bob", "carol", "dan")
async def test_who_begins_replies_or_is_mentioned_follows_until_they_say_otherwise(world: World) -> None:
    await world.engine.groups.create("alice", "The team", ["bob", "carol", "dan"], "team")
    alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
    root = await say(alice, "team", "Who comes?")
    await say(bob, "team", "Me, and Carol", thread=root, mentions=["carol"])
    for user, unread, mentions in (("alice", 1, 0), ("bob", 0, 0), ("carol", 1, 1)):
        answer = await followed(world, user)
        (thread,) = answer["threads"]
        assert (thread["thread"], thread["kind"], thread["target_id"]) == (root, "group", "team")
        assert (thread["unread"], thread["mentions"]) == (unread, mentions), user
        assert answer["unread"] == unread
        assert thread["root"]["payload"]["content"] == "Who comes?"
    assert (await followed(world, "dan"))["threads"] == []
    assert (await carol.request("thread_follow", {"thread": root, "on": False}, "team"))["type"] == "ack"
    await say(bob, "team", "Carol?", thread=root, mentions=["carol"])
    assert (await followed(world, "carol"))["threads"] == []  # a mention alone does not bring them back
    await say(carol, "team", "Here", thread=root)
    assert [one["thread"] for one in (await followed(world, "carol"))["threads"]] == [root]
    dan = await world.connect("dan")
    await dan.request("thread_follow", {"thread": root, "on": True}, "team")
    assert (await followed(world, "dan"))["threads"][0]["unread"] == 0  # what was there is not news


async def test_a_thread_is_read_by_itself_and_only_ones_own_devices_learn_of_it(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    phone = await world.connect("alice", "alice-2")
    root = await say(alice, "bob", "Lunch?")
    await say(bob, "alice", "Yes", thread=root)
    (row,) = (await world.rest("GET", "/api/conversations", "alice")).body["conversations"]
    assert (row["unread"], row["in_threads"]) == (1, {"unread": 1, "mentions": 0})
    assert (await alice.request("thread_read", {"thread": root, "up_to_seq": 2}, "bob"))["type"] == "ack"
    told = await phone.next("thread_read")
    assert (told["payload"], told["meta"]["about"], told["meta"]["only_for"]) == (
        {"thread": root, "up_to_seq": 2}, root, "alice",
    )  # fmt: skip
    assert all(frame["type"] != "thread_read" for frame in await bob.drain())
    assert (await followed(world, "alice"))["unread"] == 0
    page = await page_of(world, "alice", "user", "bob")
    assert [one["type"] for one in page["latest"] if one["meta"].get("about") == root] == ["thread_read"]
    assert [
        one for one in (await page_of(world, "bob", "user", "alice"))["latest"] if one["type"] == "thread_read"
    ] == []
    again = await alice.request("thread_read", {"thread": root, "up_to_seq": 1}, "bob")
    assert "message_id" not in again["payload"]  # it moves forward only
    beyond = await alice.request("thread_read", {"thread": root, "up_to_seq": 9}, "bob")
    assert beyond["payload"]["code"] == "invalid_payload"


async def test_the_conversations_own_pointer_leaves_the_thread_unread(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    root = await say(alice, "bob", "Lunch?")
    await say(bob, "alice", "Yes", thread=root)
    await alice.request("read_receipt", {"up_to_seq": 2}, "bob")
    (row,) = (await world.rest("GET", "/api/conversations", "alice")).body["conversations"]
    assert row["unread"] == 0
    assert "in_threads" not in row
    assert (await followed(world, "alice"))["unread"] == 1


async def test_a_deleted_reply_is_counted_out_and_a_deleted_root_keeps_its_replies(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    root = await say(alice, "bob", "Lunch?")
    first = await say(bob, "alice", "Yes", thread=root)
    await say(bob, "alice", "No", thread=root)
    await bob.request("message_edit", {"message_id": first, "content": "Yes!"}, "alice")
    assert said(await replies(world, "alice", root)) == ["Yes!", "No"]
    await bob.request("message_delete", {"message_id": first}, "alice")
    found = await replies(world, "alice", root)
    assert (said(found), found["thread"]["replies"], found["thread"]["unread"]) == (["No"], 1, 1)
    await alice.request("message_delete", {"message_id": root}, "bob")
    found = await replies(world, "bob", root)
    assert (found["root"]["payload"], found["root"]["meta"]["deleted_at"] is not None) == ({}, True)
    assert said(found) == ["No"]


@pytest.mark.world("alice", "bob", "carol")
async def test_members_see_of_a_thread_what_they_see_of_the_group(world: World) -> None:
    await world.engine.groups.create("alice", "The team", ["bob"], "team")
    alice = await world.connect("alice")
    root = await say(alice, "team", "Before Carol")
    await say(alice, "team", "Reply before Carol", thread=root)
    assert (await world.rest("GET", f"/api/messages/thread/{root}", "carol")).status == 404
    await world.engine.groups.put_member("alice", "team", "carol", Role.MEMBER)
    assert (await world.rest("GET", f"/api/messages/thread/{root}", "carol")).status == 404
    carol = await world.connect("carol")
    refused = await carol.request("group_message", {"content": "x", "thread": root}, "team")
    assert refused["payload"]["code"] == "not_found"
    bob = await world.connect("bob")
    await say(bob, "team", "Bob was here", thread=root)
    await world.engine.groups.remove_member("alice", "team", "bob")
    assert (await followed(world, "bob"))["threads"] == []
    assert (await world.rest("GET", f"/api/messages/thread/{root}", "bob")).status == 404


async def test_an_erased_account_leaves_no_reply_and_follows_nothing(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    root = await say(alice, "bob", "Lunch?")
    await say(bob, "alice", "Yes", thread=root)
    await world.engine.leaving.erase("bob")
    count = (
        "SELECT (SELECT count(*) FROM thread_replies), (SELECT count(*) FROM thread_members WHERE user_id = 'bob')"
    )
    assert await world.engine.runner.read(lambda c: c.execute(count).fetchone()) == (0, 0)
    assert (await replies(world, "alice", root))["thread"] is None


async def test_threads_come_in_pages_the_newest_reply_first(world: World) -> None:
    alice = await world.connect("alice")
    roots = [await say(alice, "bob", f"Root {number}") for number in range(3)]
    for root in (roots[1], roots[0], roots[2], roots[0]):
        await say(alice, "bob", "Reply", thread=root)
    first = await followed(world, "alice", limit=2)
    assert [one["thread"] for one in first["threads"]] == [roots[0], roots[2]]
    assert first["has_more"]
    rest = await followed(world, "alice", cursor=first["next_cursor"])
    assert [one["thread"] for one in rest["threads"]] == [roots[1]]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)


async def test_threads_outlive_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        alice = await world.connect("alice")
        root = await say(alice, "bob", "Lunch?")
        await say(alice, "bob", "Anybody?", thread=root)
    async with open_world(tmp_path) as world:
        page = await world.engine.history.page("bob", ConversationKind.USER, "alice", 10)
        assert [thread["replies"] for thread in page["threads"]] == [1]
