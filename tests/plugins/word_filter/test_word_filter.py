"""The word filter at work: what is masked, refused or reported, wherever people write."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ServerRole
from relay.storage import accounts
from relay.testing import Device, World
from relay.testing import world as open_world

WORDS = '["frak", {word = "darn*", action = "mask"}, {word = "smeg", action = "report"}]'
ON = {"RELAY_PLUGINS__ALSO": "word_filter", "RELAY_PLUGINS__WORD_FILTER__WORDS": WORDS}
filtered = pytest.mark.world("alice", "bob", **ON)


async def said(device: Device, content: str, target: str = "bob", type: str = "chat_message") -> Any:
    return (await device.request(type, {"content": content}, target))["payload"]


@filtered
async def test_a_word_is_refused_and_named_as_it_was_written(world: World) -> None:
    alice = await world.connect("alice")
    refused = await said(alice, "what the FRÁK?")
    assert (refused["code"], refused["details"]) == ("forbidden", {"reason": "word_refused", "word": "FRÁK"})
    assert "message_id" in await said(alice, "frakking is another word")


@filtered
async def test_a_word_is_masked_for_everybody_in_messages_edits_and_streams(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = (await said(alice, "Darned darn it"))["message_id"]
    assert (await bob.next("chat_message"))["payload"]["content"] == "•••••• •••• it"
    edited = {"message_id": message_id, "content": "oh darn"}
    assert (await alice.request("message_edit", edited, "bob"))["type"] == "ack"
    assert (await bob.next("message_edit"))["payload"]["content"] == "oh ••••"
    refused = await alice.request("message_edit", {"message_id": message_id, "content": "oh frak"}, "bob")
    assert refused["payload"]["details"]["reason"] == "word_refused"
    piece = {"stream_id": "s1", "offset": 0, "text": "well, darn it"}
    assert (await alice.request("message_stream", piece, "bob"))["type"] == "ack"
    assert (await bob.next("message_stream"))["payload"]["text"] == "well, •••• it"
    (shown, *_edits) = await world.history("bob", "user", "alice")
    assert shown["payload"]["content"] == "oh ••••"


@filtered
async def test_a_word_is_reported_and_nobody_in_the_conversation_is_told(world: World) -> None:
    await world.user("mona")
    await world.engine.runner.write(partial(accounts.update_user, user_id="mona", role=ServerRole.MODERATOR))
    alice = await world.connect("alice")
    mona = await world.connect("mona")
    message_id = (await said(alice, "you smeg"))["message_id"]
    report = await mona.next("report")
    assert (report["meta"]["sender_id"], report["payload"]["text"]) == ("word_filter", "smeg")
    assert report["payload"]["message"]["payload"] == {"content": "you smeg"}
    mild = (await said(alice, "you"))["message_id"]
    await alice.request("message_edit", {"message_id": mild, "content": "you smeg, too"}, "bob")
    report = await mona.next("report")
    assert report["payload"]["message"]["message_id"] == mild != message_id


@filtered
async def test_names_of_users_and_groups_have_no_word_of_the_list(world: World) -> None:
    for path, method, body in (
        ("/api/users/me", "PATCH", {"display_name": "Mister Frak"}),
        ("/api/groups", "POST", {"name": "The darned"}),
    ):
        refused = await world.rest(method, path, "alice", json_body=body)
        assert (refused.status, refused.body["details"]["reason"]) == (403, "word_refused")
    assert (await world.rest("POST", "/api/groups", "alice", json_body={"name": "Fine"})).status == 201


@pytest.mark.world("alice", "bob", **ON, RELAY_PLUGINS__WORD_FILTER__EXEMPT_GROUPS='["dev"]')
async def test_a_group_may_be_exempt(world: World) -> None:
    for group in ("dev", "team"):
        await world.engine.groups.create("alice", "Group", ["bob"], group)
    alice = await world.connect("alice")
    assert "message_id" in await said(alice, "frak", "dev", "group_message")
    assert (await said(alice, "frak", "team", "group_message"))["code"] == "forbidden"


async def test_words_come_from_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("# what nobody says\nfrak\nmask: darn  # mild\n\n", encoding="utf-8")
    options = {"RELAY_PLUGINS__ALSO": "word_filter", "RELAY_PLUGINS__WORD_FILTER__FILE": str(file)}
    async with open_world(tmp_path, "alice", "bob", **options) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        assert (await said(alice, "frak"))["code"] == "forbidden"
        await said(alice, "darn")
        assert (await bob.next("chat_message"))["payload"]["content"] == "••••"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("WORDS", '["..."]', "has no letter and no digit"),
        ("FILE", "/nowhere/words.txt", "cannot be read"),
        ("ACTION", "shout", "mask"),
    ],
)
async def test_a_list_that_cannot_be_used_is_told(tmp_path: Path, option: str, value: str, told: str) -> None:
    options = {"RELAY_PLUGINS__ALSO": "word_filter", f"RELAY_PLUGINS__WORD_FILTER__{option}": value}
    async with open_world(tmp_path, "alice", **options) as world:
        assert any(told in str(remark) for remark in world.engine.registry.broken), world.engine.registry.broken


@pytest.mark.world(
    "alice", "bob", **ON, RELAY_PLUGINS__REQUIRED="word_filter", RELAY_PLUGINS__WORD_FILTER__FILE="/nowhere.txt"
)
async def test_where_it_is_required_nothing_passes_without_it(world: World) -> None:
    alice = await world.connect("alice")
    assert (await said(alice, "anything"))["code"] == "overloaded"
