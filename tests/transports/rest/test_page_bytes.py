"""What a page, and a message, may have in bytes, whatever its number of messages and by whatever way it came."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.transports.rest.world import World, message, open_world

PAGE = 4096
LONG = "x" * 1500
SEND = "/api/messages"


def small_pages(folder: Path, **limits: int) -> Any:
    return open_world(folder, "alice", "bob", "carol", limits={"page_bytes": PAGE} | limits)


def ids(page: Any) -> list[int]:
    return [envelope["meta"]["message_id"] for envelope in page["messages"]]


def check_size(page: Any) -> None:
    assert len(page["messages"]) == 1 or len(json.dumps(page["messages"])) < PAGE


async def walk(world: World, who: str, path: str, side: str, onward: str, **query: Any) -> list[int]:
    """Read page after page in one direction, and return what came, in the order of reading."""
    found: list[int] = []
    while True:
        page = (await world.get(who, path, limit=200, **query)).ok()
        check_size(page)
        came = ids(page)
        found += came if side in ("after", "cursor") else came[::-1]
        if not page["has_more"]:
            return found
        assert came, "a page that says there is more has something"
        query[side] = page[onward]


async def test_a_page_of_history_is_as_long_as_its_bytes_allow_and_nothing_is_left_out(tmp_path: Path):
    async with small_pages(tmp_path) as world:
        sizes = [10, 1500, 1500, 9000, 10, 1500, 20, 9000, 9000, 1500, 1, 1]
        said = [(await world.say("alice", "bob", "x" * size))["message_id"] for size in sizes]
        path = "/api/messages/user/alice"
        assert await walk(world, "bob", path, "after", "next_after", after=0) == said
        assert await walk(world, "bob", path, "before", "next_before") == said[::-1]
        for seq in range(1, len(sizes) + 1):
            around = (await world.get("bob", path, around=seq, limit=200)).ok()
            assert said[seq - 1] in ids(around)
            seqs = [envelope["meta"]["seq"] for envelope in around["messages"]]
            assert seqs == list(range(seqs[0], seqs[-1] + 1)), "without a hole"
            assert around["has_more"] == (seqs[0] > 1)


async def test_what_is_undelivered_comes_by_bytes_and_its_cursor_covers_what_came(tmp_path: Path):
    async with small_pages(tmp_path) as world:
        await world.group("alice", "bob")
        start = world.engine.router.position
        said = []
        for number in range(12):
            size = (1500, 9000, 5)[number % 3]
            said.append((await world.say("carol", "bob", "x" * size))["message_id"])
            said.append((await world.say("alice", "team", "x" * size, group=True))["message_id"])
        found, cursor = [], start
        while True:
            page = (await world.get("bob", "/api/messages/undelivered", after=cursor, limit=200)).ok()
            check_size(page)
            came = ids(page)
            assert sorted(came) == [one for one in said if cursor < one <= page["cursor"]]
            found, cursor = found + came, page["cursor"]
            if not page["has_more"]:
                break
        assert sorted(found) == said


async def test_notifications_of_two_channels_come_by_bytes_without_a_hole(tmp_path: Path):
    async with small_pages(tmp_path) as world:
        await world.engine.runner.write(
            lambda c: c.execute("UPDATE users SET role = 'admin' WHERE user_id = 'alice'").rowcount
        )
        said = []
        for number in range(20):
            # Few long ones to everybody between many short ones of one's own, and then the other way round.
            long, target = number % 4 == 0, "*" if (number % 4 == 0) == (number < 10) else "bob"
            payload = {"title": "t", "body": "x" * (2500 if long else 5)}
            body = {"type": "notification", "payload": payload, "meta": {"target_id": target}}
            said.append((await world.post("alice", SEND, body)).ok(201)["message_id"])
        path = "/api/notifications"
        assert await walk(world, "bob", path, "after", "next_after", after=0) == said
        assert await walk(world, "bob", path, "before", "next_before") == said[::-1]


async def test_the_list_of_conversations_comes_by_bytes_of_their_last_messages(tmp_path: Path):
    async with small_pages(tmp_path) as world:
        names = [f"g{number}" for number in range(9)]
        for name in names:
            await world.group("alice", "bob", group_id=name)
            await world.say("alice", name, LONG if name != "g4" else "x" * 9000, group=True)
        listed: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            page = (await world.get("bob", "/api/conversations", **cursor)).ok()
            assert len(page["conversations"]) <= 2
            listed += [row["target_id"] for row in page["conversations"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert listed == names


@pytest.mark.parametrize("order", ["best", "newest"])
async def test_results_of_a_search_come_by_bytes(tmp_path: Path, order: str):
    async with small_pages(tmp_path) as world:
        said = [
            (await world.say("alice", "bob", "needle " + "x" * (9000 if number == 4 else 1500)))["message_id"]
            for number in range(9)
        ]
        found: list[int] = []
        cursor: dict[str, Any] = {}
        while True:
            page = (await world.get("bob", "/api/search", q="needle", order=order, limit=200, **cursor)).ok()
            assert 1 <= len(page["results"]) <= 2
            found += [result["message"]["meta"]["message_id"] for result in page["results"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert sorted(found) == said


async def test_a_message_by_rest_is_no_larger_than_a_frame_and_extra_is_part_of_it(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"frame_bytes": 4096}) as world:
        for payload in ({"content": "x" * 4100}, {"content": "", "extra": {"a": ["x" * 4100]}}):
            body = {"type": "chat_message", "payload": payload, "meta": {"target_id": "bob"}}
            problem = (await world.post("alice", SEND, body)).refused(413, "too_large")
            assert problem["details"] == {"reason": "message_too_large", "max_bytes": 4096}
        await world.say("alice", "bob", "x" * 3900)


async def test_where_a_body_has_no_limit_a_message_by_rest_has_none(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"body_bytes": 0, "content_characters": 0}) as world:
        for size in (2_000_000, 10, 2_000_000):
            await world.say("alice", "bob", "x" * size)
        page = (await world.get("bob", "/api/messages/user/alice")).ok()
        assert ([envelope["meta"]["seq"] for envelope in page["messages"]], page["has_more"]) == ([3], True)


async def test_a_payload_that_grows_as_it_is_written_is_measured_as_it_is_stored(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"frame_bytes": 4096}) as world:
        numbers = "[" + ",".join(["1e15"] * 500) + "]"  # each is stored as 1000000000000000.0
        body = (
            '{"type":"chat_message","payload":{"content":"","extra":{"a":%s}},"meta":{"target_id":"bob"}}'
            % numbers
        )
        answer = await world.post("alice", SEND, body.encode())
        assert "as it is stored" in answer.refused(413, "too_large")["detail"]


async def test_an_edit_makes_no_message_larger_than_one_may_be(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"frame_bytes": 4096}) as world:
        body = message("bob", "x")
        body["payload"]["extra"] = {"a": "y" * 3000}
        said = (await world.post("alice", SEND, body)).ok(201)["message_id"]
        edit = {"type": "message_edit", "payload": {"message_id": said, "content": "x" * 3000}}
        (await world.post("alice", SEND, edit | {"meta": {"target_id": "bob"}})).refused(413, "too_large")
        page = (await world.get("bob", "/api/messages/user/alice")).ok()
        assert [envelope["payload"]["content"] for envelope in page["messages"]] == ["x"]


async def test_a_types_own_bound_holds_by_rest(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", types={"chat_message": {"max_bytes": 2000}}) as world:
        await world.say("alice", "bob", "x" * 1900)
        (await world.post("alice", SEND, message("bob", "x" * 2000))).refused(413, "too_large")


async def test_so_many_pages_are_read_at_once_and_the_next_waits(tmp_path: Path):
    async with open_world(tmp_path, "alice", "bob", limits={"pages_at_once": 1}) as world:
        sent: dict[str, list[Callable[[], None]]] = {"first": [], "second": [], "other": []}
        answered: list[str] = []

        async def ask(who: str, name: str) -> None:
            # An answer counts until it is sent, which a transport says by calling these.
            scope = {"relay": {"address": "192.0.2.1", "after": sent[name]}, "client": ("127.0.0.1", 4000)}
            headers = {"Authorization": f"Bearer {world.tokens[who]}"}
            await world.client.open("/api/conversations", headers=headers, scope_base=scope)
            answered.append(name)

        async with trio.open_nursery() as nursery:
            await ask("alice", "first")
            nursery.start_soon(ask, "alice", "second")
            await trio.testing.wait_all_tasks_blocked()
            await ask("bob", "other")
            assert answered == ["first", "other"]
            for give_back in sent["first"]:
                give_back()
        assert answered == ["first", "other", "second"]
