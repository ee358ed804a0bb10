"""Import of records, as another system's program writes them, on a server in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from typing import Any

import pytest

from relay.app.admin import perform
from relay.protocol.records import CHUNK_BYTES
from relay.testing import RelayWorld, World

BYTES = bytes(range(256)) * 4000
"""More than one line takes."""


def chunk(start: int, data: bytes, *, last: bool = False) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"record": "chunk", "attachment_id": "F01", "start": start, "data": encoded, "last": last}


def said(number: int | str, place: str, by: str, content: str, **more: Any) -> dict[str, Any]:
    type_ = "group_message" if place.startswith("group:") else "chat_message"
    payload = {"content": content} | more.pop("payload", {})
    base = {"record": "message", "id": number, "conversation": place, "type": type_, "by": by, "at": 1.5e9}
    return base | {"payload": payload} | more


FILE: list[dict[str, Any]] = [
    {"record": "export", "version": 1, "source": "slack:T1", "reading": "all"},
    {"record": "user", "user_id": "ann", "name": "Ann", "mail": "ann@example.com", "created_at": 1.4e9},
    {"record": "user", "user_id": "ben"},
    {"record": "attachment", "attachment_id": "F01", "user_id": "ann", "name": "plan", "size": len(BYTES)},
    chunk(0, BYTES[:CHUNK_BYTES]),
    chunk(CHUNK_BYTES, BYTES[CHUNK_BYTES:], last=True),
    {"record": "group", "group_id": "lunch", "name": "Lunch", "members": [{"user_id": "ann"}, {"user_id": "ben"}]},
    said("C1", "group:lunch", "ann", "Lunch?", payload={"mentions": ["ben"], "attachments": ["F01"]}),
    said("C2", "group:lunch", "ben", "Yes!", payload={"thread": "C1", "reply_to": "C1"}, edited_at=1.5e9 + 9),
    {"record": "message", "id": "C3", "conversation": "group:lunch", "type": "group_message", "by": "ben", "at": 1.5e9}
    | {"deleted_at": 1.5e9 + 1},
    {"record": "value", "id": "r1", "conversation": "group:lunch", "type": "reaction", "by": "ben", "at": 1.5e9}
    | {"payload": {"message_id": "C1", "emoji": "👍", "on": True}},
    said("D1", "user:ben:ann", "ben", "psst"),
    {"record": "restriction", "group": "lunch", "user_id": "ben", "kind": "timeout", "at": 1.5e9, "until": 9e9},
    {"record": "end", "lines": 13},
]  # fmt: skip


def lines(*records: dict[str, Any]) -> list[str]:
    return [json.dumps(one) for one in records]


async def take(world: World, *records: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await perform(world.engine, "import", {"lines": lines(*records), **more})
    return answer


async def sign_in(world: World, user: str) -> None:
    world.tokens[user] = await perform(world.engine, "token.create", {"user_id": user})


async def refusal(world: World, record: dict[str, Any], source: str | None = "slack:T1") -> str:
    """Have one record refused, and return why."""
    answer = await take(world, record, source=source)
    assert answer["stored"] == 0
    assert [problem["line"] for problem in answer["problems"]] == [0]
    return f"{answer['problems'][0]['code']}: {answer['problems'][0]['message']}"


async def test_a_file_of_another_system_brings_all_that_it_has(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        answer = await take(world, *FILE)
        assert answer["problems"] == []
        assert (answer["stored"], answer["duplicates"]) == (12, 2)
        first, second, third = await world.history("ben", "group", "lunch")
        root = first["meta"]["message_id"]
        assert (first["payload"]["content"], first["meta"]["timestamp"]) == ("Lunch?", 1.5e9)
        assert first["payload"]["files"][0]["size"] == len(BYTES)
        assert (second["payload"]["thread"], second["payload"]["reply_to"]) == (root, root)
        assert second["meta"]["edited_at"] == 1.5e9 + 9
        assert (third["payload"], third["meta"]["deleted_at"]) == ({}, 1.5e9 + 1)
        (direct,) = await world.history("ann", "user", "ben")
        assert direct["payload"]["content"] == "psst"
        await sign_in(world, "ann")
        answer = await world.rest("GET", "/api/attachments/F01", "ann")
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(BYTES).digest()
        (lunch,) = (
            one
            for one in (await world.rest("GET", "/api/conversations", "ann")).body["conversations"]
            if one["target_id"] == "lunch"
        )
        assert (lunch["unread"], lunch["last_seq"]) == (0, 3)
        found = (await world.rest("GET", "/api/search?q=lunch", "ann")).body["results"]
        assert [one["message"]["meta"]["message_id"] for one in found] == [root]


async def test_a_second_time_adds_nothing_and_half_a_time_goes_on(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        await take(world, *FILE[:9])
        answer = await take(world, *FILE)
        assert (answer["stored"], answer["duplicates"]) == (4, 10)
        before = await world.history("ben", "group", "lunch")
        answer = await take(world, *FILE)
        assert (answer["stored"], answer["duplicates"]) == (0, 14)
        assert await world.history("ben", "group", "lunch") == before


async def test_what_is_there_stays_and_new_messages_come_behind_it(relay_world: RelayWorld) -> None:
    async with relay_world(None, "ann", "eve") as world:
        await world.engine.groups.create("eve", "Our lunch", ["ann"], "lunch", "start")
        ann = await world.connect("ann")
        answer = await take(world, *FILE)
        assert (answer["stored"], answer["problems"]) == (11, [])
        group = await world.engine.channels.group("lunch")
        assert group is not None
        assert (group.name, set(group.members)) == ("Our lunch", {"eve", "ann", "ben"})
        history = await world.history("ben", "group", "lunch")
        assert [one["meta"]["seq"] for one in history] == [2, 3, 4]  # the group's making is not for him
        assert history[1]["payload"]["reply_to"] == history[0]["meta"]["message_id"]
        live = [await ann.next("group_message") for _ in range(3)]  # whoever is connected misses nothing
        assert [one["meta"]["seq"] for one in live] == [2, 3, 4]
        assert live[2]["meta"]["deleted_at"] == 1.5e9 + 1


async def test_nothing_is_done_because_of_the_past(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        seen: list[str] = []
        world.engine.hooks.observe = lambda submission: seen.append(submission.entry.type)  # type: ignore[method-assign]
        await take(world, *FILE)
        assert world.engine.hooks._committed  # there are hooks that would have been called
        pinned = FILE[10] | {"id": "p1", "type": "pin", "payload": {"message_id": "C1", "on": True}}
        assert (await take(world, pinned, source="slack:T1"))["stored"] == 1
        await world.engine.router.wait_idle()
        kinds = [one["type"] for one in await world.history("ben", "group", "lunch")]
        assert kinds == ["group_message"] * 3  # and no `pin_event`


async def test_what_is_no_message_holds_at_once(relay_world: RelayWorld) -> None:
    place = {"user_id": "ann", "at": 1.5e9}
    facts = [
        {"record": "block", "other": "ben", **place},
        {"record": "follow", "other": "ben", **place},
        {"record": "thread", "root": "C1", "user_id": "ann", "follows": False},
        {"record": "restriction", "user_id": "ben", "kind": "ban", "reason": "spam", "at": 1.5e9},
    ]
    async with relay_world(None) as world:
        await take(world, *FILE)
        answer = await take(world, *facts, source="slack:T1")
        assert (answer["stored"], answer["problems"]) == (3, [])  # the thread was followed, and read as far
        engine = world.engine
        group = await engine.channels.group("lunch")
        assert group is not None
        assert engine.restrictions.timeout_of("ben", group.channel_id) is not None
        assert engine.restrictions.bans["ben"].reason == "spam"
        assert engine.blocks.holds("ann", "ben")
        assert (await take(world, *facts, source="slack:T1"))["stored"] == 0


WRONG = [
    (said("X1", "group:none", "ann", "Hi"), "not_found: there is no conversation 'group:none' here"),
    (said("X1", "team", "ann", "Hi"), "invalid_payload: there is no conversation 'team'; write group:ID, user:ONE:OTHER"),
    (said("X1", "group:lunch", "zoe", "Hi"), "not_found: there is no user 'zoe' here, or in the lines before this one"),
    (said("X1", "user:ann:zoe", "ann", "Hi"), "not_found: there is no user 'zoe' here"),
    (said("X1", "group:lunch", "ann", "Hi", payload={"reply_to": "C9"}), "not_found: there is no message with the id 'C9', which"),
    (said("X1", "group:lunch", "ann", "Hi", payload={"attachments": ["F9"]}), "not_found: there is no attachment with the id 'F9'"),
    (said("X1", "group:lunch", "ann", "Hi", payload={"shout": 1}), "invalid_payload: group_message: Object contains unknown"),
    (said("X1", "group:lunch", "ann", "Hi", type="group_mesage"), "unknown_type: this server knows no type 'group_mesage'"),
    (said("X1", "group:lunch", "ann", "Hi", type="reaction"), "invalid_payload: a reaction is a `value`"),
    (said("X1", "group:lunch", "ann", "Hi", deleted_at=5), "invalid_payload: a message has a payload, and a tombstone"),
    ({"record": "messages"}, "invalid_payload: not a record of an export: Invalid value 'messages'"),
    ({"record": "user", "user_id": "zed", "nick": "Z"}, "invalid_payload: not a record of an export: Object contains unknown field `nick`"),
    ({"record": "user", "user_id": "-zed"}, "invalid_payload: '-zed' cannot be a user id"),
    ({"record": "user", "user_id": "ANN"}, "conflict: the name 'ANN' is taken: 'ann' differs in case only"),
    ({"record": "user", "user_id": "lunch"}, "conflict: the name 'lunch' is taken"),
    ({"record": "group", "group_id": "new", "name": "N", "rights": {"wriet": "owner"}}, "invalid_payload: rights has 'wriet'"),
    ({"record": "group", "group_id": "new", "name": "N", "rights": {"write": "me"}}, "invalid_payload: not a record of"),
    ({"record": "group", "group_id": "new", "name": "\u200b"}, "invalid_payload: name"),
    ({"record": "group", "group_id": "ann", "name": "A"}, "conflict: 'ann' is a user here"),
    ({"record": "group", "group_id": "new", "name": "N", "members": [{"user_id": "zoe"}]}, "invalid_payload: there is no user 'zoe'"),
    ({"record": "attachment", "attachment_id": "F9", "user_id": "ann", "name": "n", "path": "f"}, "invalid_payload: the bytes of a file"),
    (chunk(0, b"x", last=True) | {"attachment_id": "F9"}, "not_found: there is no attachment with the id 'F9'"),
    ({"record": "row", "table": "users", "values": {"user_id": "zed"}}, "not_found: there is no plugin here whose table 'users'"),
    ({"record": "row", "table": "pins", "values": {"pinned": 1}}, "invalid_payload: pins has no column 'pinned'; its columns are"),
    ({"record": "export", "version": 2, "source": "slack:T1"}, "invalid_payload: version is 2, and this relay reads 1"),
    ({"record": "read", "conversation": "group:lunch", "user_id": "ann", "up_to": "C9"}, "not_found: there is no message with the id 'C9'"),
]  # fmt: skip


async def test_a_line_that_cannot_be_is_refused_with_what_is_wrong(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        await take(world, *FILE)
        for record, told in WRONG:
            found = await refusal(world, record)
            assert found.startswith(told), found


async def test_a_file_begins_with_where_it_is_from(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        found = await refusal(world, FILE[1], None)
        assert found.startswith("invalid_payload: the first line of a file is its record `export`")
        found = await refusal(world, FILE[1], "slack:T2")
        assert found.startswith("not_found: there is no record `export` of the source 'slack:T2'")
        own = {"record": "export", "version": 1, "source": f"relay:{world.engine.epoch}"}
        found = await refusal(world, own, None)
        assert found.startswith("conflict: this is an export of this very server")


async def test_a_refused_line_ends_an_import_or_is_passed_over(relay_world: RelayWorld) -> None:
    wrong = said("X1", "group:lunch", "zoe", "Hi")
    async with relay_world(None) as world:
        answer = await take(world, *FILE[:8], wrong, *FILE[8:])
        assert (answer["taken"], [one["line"] for one in answer["problems"]]) == (8, [8])
        before = answer["stored"]  # with some of those behind it, which were on their way
        answer = await take(world, *FILE[:8], wrong, *FILE[8:], go_on=True)
        assert (answer["taken"], before + answer["stored"]) == (15, 12)
        assert [one["line"] for one in answer["problems"]] == [8]


async def test_a_file_that_is_not_what_its_record_says_is_refused(relay_world: RelayWorld) -> None:
    record = {**FILE[3], "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    async with relay_world(None) as world:
        answer = await take(world, *FILE[:3], record, chunk(0, b"xyz", last=True))
        assert answer["problems"][0]["message"].startswith(
            "attachment 'F01' is not the file that its record describes"
        )
        answer = await take(world, record, chunk(0, b"abc", last=True), source="slack:T1")
        assert (answer["stored"], answer["problems"]) == (2, [])
        answer = await take(world, FILE[3] | {"attachment_id": "F02"}, source="slack:T1")
        odd = chunk(5, BYTES[:CHUNK_BYTES]) | {"attachment_id": "F02"}
        assert "come in order" in await refusal(world, odd)


async def test_a_newer_value_stays_and_a_pointer_only_moves_forward(relay_world: RelayWorld) -> None:
    async with relay_world(None) as world:
        await take(world, *FILE)
        older = FILE[10] | {"id": "r0", "at": 1.4e9, "payload": {"message_id": "C1", "emoji": "👍", "on": False}}
        answer = await take(world, older, source="slack:T1")
        assert (answer["stored"], answer["duplicates"]) == (0, 1)
        back = {"record": "read", "conversation": "group:lunch", "user_id": "ann", "up_to": "C1"}
        assert (await take(world, back, source="slack:T1"))["stored"] == 0

        def reads(connection: sqlite3.Connection) -> tuple[Any, ...]:
            row = "SELECT payload ->> 'on', read_seq FROM latest, pointers WHERE type = 'reaction' AND user_id = 'ann'"
            return tuple(connection.execute(f"{row} ORDER BY read_seq DESC").fetchone())

        assert await world.engine.runner.read(reads) == (1, 3)


@pytest.mark.parametrize("reading", ["own", "records"])
async def test_how_far_everybody_has_read_is_as_the_file_says(relay_world: RelayWorld, reading: str) -> None:
    async with relay_world(None) as world:
        await take(world, FILE[0] | {"reading": reading}, *FILE[1:])
        await sign_in(world, "ben")
        answer = await world.rest("GET", "/api/conversations", "ben")
        unread = {one["target_id"]: one["unread"] for one in answer.body["conversations"]}
        assert unread == {"lunch": 0 if reading == "own" else 1, "ann": 0}
