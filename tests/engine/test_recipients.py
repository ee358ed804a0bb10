"""What single users get: a `for_recipient` hook holds on every way on which a message reaches somebody."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from relay.engine.loader import load
from relay.plugin import read_records
from relay.settings import load as read_settings
from relay.testing import RelayWorld, World
from relay.testing.world import serving

HOOK = """
from relay.plugin import MessageHook, hookimpl

asked = []

def for_recipient(server, delivery, user_id):
    asked.append((delivery.type, user_id))
    text = delivery.payload.content
    if "fail" in text and user_id == "carol":
        raise ZeroDivisionError("on purpose")
    if "junk" in text:
        return {"content": 5}
    if user_id != "carol" or "secret" not in text:
        return None
    delivery.payload.content = text.replace("secret", "*****")
    return delivery.payload

@hookimpl
def relay_message_hooks():
    types = frozenset({"group_message", "message_edit"})
    return [MessageHook(types=types, for_recipient=for_recipient, required=REQUIRED)]
"""
TEXT = "the secret plan"
SHOWN = "the ***** plan"


@asynccontextmanager
async def hooked(relay_world: RelayWorld, folder: Path, *, required: bool = False) -> AsyncIterator[World]:
    (folder / "redact.py").write_text(HOOK.replace("REQUIRED", str(required)))
    async with relay_world(folder, "alice", "bob", "carol", RELAY_PLUGINS__ALSO="webhooks") as world:
        body = {"group_id": "team", "name": "Team", "members": ["bob", "carol"]}
        assert (await world.rest("POST", "/api/groups", "alice", json_body=body)).status == 201
        yield world


async def get(world: World, user: str, path: str) -> Any:
    answer = await world.rest("GET", path, user)
    assert answer.status == 200, answer.body
    return answer.body


def contents(messages: list[dict[str, Any]]) -> list[str]:
    return [one["payload"].get("content", "withheld") for one in messages if one["type"] == "group_message"]


async def test_on_every_way_a_user_gets_what_the_hook_says_and_the_others_the_message_itself(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with hooked(relay_world, tmp_path) as world:
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        second = await world.connect("alice", "alice-2")
        sent = await alice.request("group_message", {"content": TEXT}, "team", id="m-1")
        for device, text in ((bob, TEXT), (carol, SHOWN), (second, TEXT)):
            assert (await device.next("group_message"))["payload"] == {"content": text}, "live"
        place = sent["payload"]["message_id"]
        for user, text in (("bob", TEXT), ("carol", SHOWN)):
            for window in ("", "?before=99", "?after=1", f"?around={sent['payload']['seq']}", "?q=plan"):
                page = await get(world, user, f"/api/messages/group/team{window}")
                assert contents(page["messages"]) == [text], window
            listed = (await get(world, user, "/api/conversations"))["conversations"]
            assert [one["last_message"]["payload"]["content"] for one in listed] == [text]
            found = (await get(world, user, "/api/search?q=plan"))["results"]
            assert contents([one["message"] for one in found]) == [text]
            assert ("secret" in found[0]["snippet"]) is (text == TEXT)
            late = await world.connect(user, f"{user}-late", cursor=0)
            assert contents(late.replayed) == [text], "replay"
            waiting = await get(world, user, "/api/messages/undelivered?after=0")
            assert contents(waiting["messages"]) == [text], "undelivered"
            server = world.engine.server_of("webhooks")
            (record,) = (await server.read(lambda found, at=place: read_records(found, [at]))).values()
            (shown,) = server.envelopes(user, [record])
            assert contents([json.loads(msgspec.json.encode(shown))]) == [text], "what plugins show"
        edit = {"message_id": place, "content": "a secret after all"}
        assert (await alice.request("message_edit", edit, "team"))["type"] == "ack"
        assert (await carol.next("message_edit"))["payload"]["content"] == "a ***** after all"
        assert contents((await get(world, "carol", "/api/messages/group/team"))["messages"]) == [
            "a ***** after all"
        ]
        stored = await world.engine.runner.read(
            lambda found: found.execute("SELECT payload FROM log WHERE message_id = ?", (place,)).fetchone()
        )
        assert json.loads(stored[0])["content"] == "a secret after all", "nothing of it is stored"


@pytest.mark.parametrize("path", ["/api/search?q=secret", "/api/messages/group/team?q=secret"])
async def test_a_search_does_not_tell_what_was_changed(relay_world: RelayWorld, tmp_path: Path, path: str) -> None:
    async with hooked(relay_world, tmp_path) as world:
        alice = await world.connect("alice")
        await alice.request("group_message", {"content": TEXT}, "team")
        for user, count in (("bob", 1), ("carol", 0)):
            page = await get(world, user, path)
            assert len(page.get("results", page.get("messages"))) == count


async def test_notifications_say_what_the_user_gets(relay_world: RelayWorld, tmp_path: Path) -> None:
    (tmp_path / "redact.py").write_text(HOOK.replace("REQUIRED", "False"))
    (tmp_path / "relay.toml").write_text(
        f'[storage]\npath = "{tmp_path}/relay.db"\n[plugins]\nalso = ["notifications"]\n'
        f'directories = ["{tmp_path}"]\n[[plugins.notifications.rules]]\ndo = "store"\nwords = ["plan"]\n'
    )
    async with serving(read_settings(tmp_path / "relay.toml", {})) as world:
        assert world.engine.registry.broken == []
        await world.user("alice", "bob", "carol")
        body = {"group_id": "team", "name": "Team", "members": ["bob", "carol"]}
        assert (await world.rest("POST", "/api/groups", "alice", json_body=body)).status == 201
        alice = await world.connect("alice")
        sent = await alice.request("group_message", {"content": TEXT}, "team")
        await trio.sleep(2)
        for user, text in (("bob", TEXT), ("carol", SHOWN)):
            told = (await get(world, user, "/api/notifications"))["messages"]
            assert [one["payload"]["body"] for one in told] == [text], user
        edit = {"message_id": sent["payload"]["message_id"], "content": "plan: secret"}
        await alice.request("message_edit", edit, "team")
        await trio.sleep(2)
        told = (await get(world, "carol", "/api/notifications"))["messages"]
        assert [one["payload"]["body"] for one in told] == ["plan: *****"]


@pytest.mark.parametrize("text", ["fail", "junk"])
@pytest.mark.parametrize("required", [False, True])
async def test_where_it_fails_the_message_goes_out_as_it_is_or_is_withheld_if_the_hook_is_required(
    relay_world: RelayWorld, tmp_path: Path, required: bool, text: str
) -> None:
    async with hooked(relay_world, tmp_path, required=required) as world:
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        await alice.request("group_message", {"content": text}, "team")
        got = await carol.next("group_message")
        paged = (await get(world, "carol", "/api/messages/group/team"))["messages"][-1]
        for one in (got, paged):
            assert one["payload"] == ({} if required else {"content": text})
            assert one["meta"].get("withheld", False) is required
            assert one["meta"]["seq"] == 2
        others = (await bob.next("group_message"))["payload"]
        assert others == ({} if required and text == "junk" else {"content": text}), (
            "one's failure is not another's"
        )
        guard = world.engine.registry.guard("redact")
        assert guard is not None
        assert guard.failures == 2, "once for the message, and once for the page"
        if required:
            found = (await get(world, "carol", f"/api/search?q={text}"))["results"]
            assert found == []
        while not guard.quarantined:
            guard.failed("a test", ZeroDivisionError())
        await alice.request("group_message", {"content": TEXT}, "team")
        got = await carol.next("group_message")
        assert got["payload"] == ({} if required else {"content": TEXT})


async def test_it_is_asked_for_those_who_are_there_and_for_its_types_only(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with hooked(relay_world, tmp_path) as world:
        asked: list[Any] = sys.modules["relay_plugin_redact"].asked
        alice, _bob = [await world.connect(name) for name in ("alice", "bob")]
        await alice.request("group_message", {"content": "hello"}, "team")
        await alice.request("chat_message", {"content": "hello"}, "bob")
        assert sorted(asked) == [("group_message", "alice"), ("group_message", "bob")]
        assert not world.engine.recipients.concern("chat_message")


def test_one_that_an_edit_would_go_around_is_remarked_on(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from relay.plugin import MessageHook, hookimpl\n"
        "@hookimpl\ndef relay_message_hooks():\n"
        "    look = lambda server, delivery, user_id: None\n"
        "    return [MessageHook(types=frozenset({'chat_message'}), for_recipient=look)]\n"
    )
    (remark,) = load(("chat_message", "message_edit"), [tmp_path], {}).remarks
    assert "its for_recipient is for 'chat_message', whose edits come as message_edit" in remark


def test_an_async_one_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from relay.plugin import MessageHook, hookimpl\n"
        "async def look(server, delivery, user_id): ...\n"
        "@hookimpl\ndef relay_message_hooks():\n    return [MessageHook(for_recipient=look)]\n"
    )
    (broken,) = load((), [tmp_path], {}).broken
    assert "odd.py:5: TypeError: MessageHook: for_recipient is called and not awaited" in broken.reason
