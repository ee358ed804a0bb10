"""Who left a group and came back, who left it, and what is left of a group that is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.plugin.sending import send_as
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.testing import Device, World, world


async def say(server: World, text: str, user: str = "alice", **more: Any) -> int:
    entry = await send_as(server.engine, user, "group_message", {"content": text, **more}, "team")
    assert entry.message_id is not None
    return entry.message_id


async def edit(server: World, message_id: int, text: str) -> None:
    await send_as(server.engine, "alice", "message_edit", {"message_id": message_id, "content": text}, "team")


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


async def test_who_comes_back_gets_what_was_said_before_they_left_and_nothing_of_between(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await team(server)
        cursor = server.engine.router.position
        for text in ("one", "two", "three"):
            await say(server, text)
        await leave(server)
        await say(server, "between")
        await come_back(server)
        await say(server, "four")
        expected = ["one", "two", "three", "member_removed", "member_added", "four"]
        undelivered = await server.rest("GET", f"/api/messages/undelivered?after={cursor}", "bob")
        assert texts(undelivered.body["messages"]) == expected
        bob = await resumed(server, cursor)
        assert texts(bob.replayed) == expected
        assert bob.synced["gaps"] == []
        assert texts(await server.history("bob", "group", "team")) == ["created", *expected]
        page = (await server.engine.history.conversations("bob"))["conversations"][0]
        assert page["unread"] == 4
        for word, found in (("three", 1), ("between", 0), ("four", 1)):
            assert len((await server.rest("GET", f"/api/search?q={word}", "bob")).body["results"]) == found
        await say(server, "five")
        assert (await bob.next("group_message"))["payload"]["content"] == "five"


async def test_gaps_of_a_limited_replay_name_what_one_may_see_through_many_rounds(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with world(tmp_path, "alice", "bob", RELAY_REPLAY__LIMIT="3") as server:
        await team(server)
        seen = []
        for round_ in range(4):
            seen += [await say(server, f"{round_} in") for _ in range(3)]
            await leave(server)
            await say(server, f"{round_} out")
            await say(server, f"{round_} out")
            await come_back(server)
        bob = await resumed(server)
        got = texts(bob.replayed)
        for gap in bob.synced["gaps"]:
            for seq in range(gap["from_seq"], gap["to_seq"] + 1):
                page = await server.history("bob", "group", "team", 1, after=seq - 1)
                assert page[0]["meta"]["seq"] == seq
                got += texts(page)
        assert sorted(text for text in got if text.endswith("in")) == sorted(f"{n // 3} in" for n in range(12))
        assert not [text for text in got if text.endswith("out")]
        history = await server.history("bob", "group", "team")
        assert sorted(texts(history)) == sorted(got)
        older = await server.history("bob", "group", "team", 2, before=history[-1]["meta"]["seq"])
        assert older == history[-3:-1]
        reader = server.engine.history
        for message_id in seen:
            await reader.locate("bob", [message_id])
        out = await server.history("alice", "group", "team", filters=_said("0 out"))
        with pytest.raises(RelayError) as refused:
            await reader.locate("bob", [out[0]["meta"]["message_id"]])
        assert refused.value.code is ErrorCode.NOT_FOUND


def _said(text: str) -> Any:
    from relay.storage.history import Filters

    return Filters(text=text)


async def test_who_comes_back_to_an_open_history_sees_it_all(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await team(server, history="start")
        await say(server, "one")
        await leave(server)
        await say(server, "between")
        await come_back(server)
        assert "between" in texts(await server.history("bob", "group", "team"))


async def test_who_left_sees_messages_as_they_were_then(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob", "carol") as server:
        await team(server)
        first, second, third = [await say(server, text) for text in ("apple", "banana", "cherry")]
        await edit(server, first, "apricot")
        await leave(server)
        await edit(server, first, "avocado")
        await edit(server, first, "almond")
        await edit(server, second, "blueberry")
        await send_as(server.engine, "alice", "message_delete", {"message_id": third}, "team")
        after = await server.rest("GET", "/api/messages/undelivered?after=0", "bob")
        bob = await resumed(server)
        for frames in (after.body["messages"], bob.replayed):
            said = {one["meta"]["message_id"]: one for one in frames if one["type"] == "group_message"}
            assert said[first]["payload"] == {"content": "apricot"}
            assert said[second]["payload"] == {"content": "banana"}
            assert "edited_at" not in said[second]["meta"]
            assert said[third]["payload"] == {}
        for word in ("avocado", "almond", "blueberry", "cherry"):
            assert (await server.rest("GET", f"/api/search?q={word}", "bob")).body["results"] == []
        # Who is there sees what they say now; and so does who comes back, for whom nothing is kept any more.
        assert (await server.rest("GET", "/api/search?q=almond", "alice")).body["results"]
        await come_back(server)
        shown = texts(await server.history("bob", "group", "team"))
        assert "almond" in shown
        assert "apricot" not in shown
        assert await kept(server) == 0


async def kept(server: World) -> int:
    found: int = await server.engine.runner.read(
        lambda connection: connection.execute("SELECT count(*) FROM versions").fetchone()[0]
    )
    return found


async def test_old_texts_are_kept_for_those_who_left_alone_and_go_with_the_message(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await team(server)
        first = await say(server, "apple")
        await edit(server, first, "apricot")
        assert await kept(server) == 0
        await leave(server)
        await edit(server, first, "avocado")
        await edit(server, first, "almond")
        assert await kept(server) == 1
        second = await say(server, "said after bob left")
        await edit(server, second, "not bob's")
        assert await kept(server) == 1
        await send_as(server.engine, "alice", "message_delete", {"message_id": first}, "team")
        assert await kept(server) == 0


async def test_nothing_of_a_deleted_group_can_be_read(tmp_path: Path, autojump_clock: Any) -> None:
    async def data() -> Any:
        yield b"bytes"

    async with world(tmp_path, "alice", "bob", "carol", "dan") as server:
        await server.engine.groups.create("alice", "Team", ["bob", "carol", "dan"], "team")
        file = await server.engine.attachments.receive("alice", "a.txt", data())
        await say(server, "apple", attachments=[file.attachment_id])
        await leave(server, "dan")
        await leave(server, "carol")
        await come_back(server, "carol")
        assert (await server.rest("GET", f"/api/attachments/{file.attachment_id}", "bob")).status == 200
        assert (await server.rest("GET", f"/api/attachments/{file.attachment_id}", "carol")).status == 200
        await server.engine.groups.delete("alice", "team")
        for user, last in (("bob", "deleted"), ("carol", "deleted"), ("dan", "member_removed")):
            undelivered = await server.rest("GET", "/api/messages/undelivered?after=0", user)
            assert texts(undelivered.body["messages"]) == [last]
            device = await server.connect(user, cursor=0)
            assert texts(device.replayed) == [last]
            assert device.synced["gaps"] == []
            assert (await server.rest("GET", "/api/search?q=apple", user)).body["results"] == []
            assert (await server.rest("GET", "/api/search?q=apple&group=team", user)).status == 404
            assert (await server.rest("GET", "/api/messages/group/team", user)).status == 404
            assert (await server.rest("GET", f"/api/attachments/{file.attachment_id}", user)).status == 404
            assert (await server.rest("GET", "/api/conversations", user)).body["conversations"] == []


async def test_stored_notifications_of_a_deleted_group_are_erased(tmp_path: Path, autojump_clock: Any) -> None:
    rule = {
        "RELAY_PLUGINS__ALSO": "notifications",
        "RELAY_PLUGINS__NOTIFICATIONS__RULES": '[{do = "store", kinds = ["group"]}]',
    }
    async with world(tmp_path, "alice", "bob", **rule) as server:
        await team(server)
        first = await say(server, "apple")
        await server.engine.router.wait_idle()
        await told(server, ["apple"])
        await edit(server, first, "apricot")
        await told(server, ["apricot"])
        await say(server, "banana")
        await told(server, ["apricot", "banana"])
        await send_as(server.engine, "alice", "message_delete", {"message_id": first}, "team")
        await told(server, ["banana"])
        await server.engine.groups.delete("alice", "team")
        await told(server, [])


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


async def test_who_left_has_no_history_to_page(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        await team(server)
        await leave(server)
        with pytest.raises(RelayError):
            await server.engine.history.page("bob", ConversationKind.GROUP, "team", 10)
