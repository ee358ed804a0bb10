"""`message_stream` through a whole server: pieces, late readers, ends, silence, filters and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import Device, World
from tests.plugin.authors import plugged

FAST = {"RELAY_LIMITS__CONTENT_CHARACTERS": "50"}


async def piece(device: Device, offset: int, text: str, target: str = "bob", id: str = "s1", **more: Any) -> Any:
    """Send a piece and return what it is answered: the ack's payload, or the error's."""
    payload = {"stream_id": id, "offset": offset, "text": text, **more}
    return (await device.request("message_stream", payload, target))["payload"]


async def said(device: Device) -> tuple[str, list[dict[str, Any]]]:
    """Return the text that a reader makes of the pieces that have come, and the other frames."""
    text, others = "", []
    for frame in await device.drain():
        if frame["type"] == "message_stream":
            payload = frame["payload"]
            offset = payload.get("offset", 0)
            assert offset <= len(text) or not text, "a piece is missing"
            text = text[:offset] + payload.get("text", "")
        elif frame["type"] not in ("ack", "connection_event", "read_receipt"):
            others.append(frame)
    return text, others


async def read(device: Device) -> str:
    """Return the text that a reader makes of the pieces, once all of them have been passed on."""
    await trio.sleep(0.2)
    return (await said(device))[0]


async def test_a_text_grows_for_its_readers_and_ends_as_one_message(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    answer = await piece(alice, 0, "Once")
    assert (answer["offset"], answer["type"]) == (4, "chat_message")
    frame = await bob.next("message_stream")
    assert frame["payload"] == {"stream_id": "s1", "text": "Once"}
    assert {name: frame["meta"].get(name) for name in ("sender_id", "target_id", "client_id", "message_id")} == {
        "sender_id": "alice", "target_id": "bob", "client_id": "alice-1", "message_id": None,
    }  # fmt: skip
    await piece(alice, 4, " upon")
    await piece(alice, 9, " a time")
    frame = await bob.next("message_stream")
    assert frame["payload"] == {"stream_id": "s1", "offset": 4, "text": " upon a time"}
    ack = await alice.request("chat_message", {"content": "Once upon a time."}, "bob", id="s1")
    assert ack["payload"]["seq"] == 1
    frame = await bob.next("chat_message")
    assert (frame["meta"]["id"], frame["payload"]) == ("s1", {"content": "Once upon a time."})
    await trio.sleep(40)
    assert await said(bob) == ("", [])
    assert [one["meta"]["seq"] for one in await world.history("bob", "user", "alice")] == [1]
    (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
    assert row["unread"] == 1
    assert (await world.rest("GET", "/api/streams/alice", "bob")).body == {"streams": []}


async def test_however_fast_the_pieces_come_readers_get_ten_a_second(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    for number in range(300):
        await piece(alice, number, "x")
        await trio.sleep(0.01)
    frames = [frame for frame in await bob.drain() if frame["type"] == "message_stream"]
    assert 28 <= len(frames) <= 32
    assert "".join(frame["payload"]["text"] for frame in frames) == "x" * 300


async def test_a_piece_says_what_the_text_is_from_its_offset_on(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await piece(alice, 0, "Hello wurld")
    await trio.sleep(1)
    answer = await piece(alice, 7, "orld 🌍")
    assert answer["offset"] == 13  # characters are code points
    assert (await piece(alice, 13, "!"))["offset"] == 14
    assert await read(bob) == "Hello world 🌍!"
    again = await piece(alice, 13, "!")  # its ack was lost
    assert again["offset"] == 14
    await piece(alice, 0, "Anew")
    await trio.sleep(1)
    assert await read(bob) == "Anew"


async def test_a_gap_is_refused_with_the_offset_to_go_on_from(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    refused = await piece(alice, 7, "late")
    assert (refused["code"], refused["retry"], refused["details"]) == ("conflict", False, {"offset": 0})
    await piece(alice, 0, "abc")
    refused = await piece(alice, 7, "late")
    assert (refused["code"], refused["details"]) == ("conflict", {"offset": 3})
    assert await read(bob) == "abc"


async def test_who_comes_late_or_back_gets_the_text_so_far(world: World) -> None:
    alice = await world.connect("alice")
    await piece(alice, 0, "The first half")
    await trio.sleep(5)
    bob = await world.connect("bob")
    assert await read(bob) == "The first half"
    await bob.event("inactive")
    await piece(alice, 14, ", the second")
    await trio.sleep(1)
    assert await read(bob) == ""
    await bob.event("active")
    assert await read(bob) == "The first half, the second"
    await bob.cut()
    await piece(alice, 26, " and more")
    bob = await world.connect("bob", cursor=0)
    assert await read(bob) == "The first half, the second and more"
    (found,) = (await world.rest("GET", "/api/streams/alice", "bob")).body["streams"]
    assert (found["stream_id"], found["sender_id"], found["type"]) == ("s1", "alice", "chat_message")
    assert found["text"] == "The first half, the second and more"


@pytest.mark.world("alice", "bob", "carol", "eve")
async def test_a_group_reads_it_and_nobody_else(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice, bob, eve = await world.connect("alice"), await world.connect("bob"), await world.connect("eve")
    phone = await world.connect("alice", "phone")
    assert (await piece(alice, 0, "To all", "team"))["type"] == "group_message"
    assert (await read(bob), await read(phone)) == ("To all", "To all")
    assert (await said(alice), await said(eve)) == (("", []), ("", []))
    assert (await world.rest("GET", "/api/streams/team", "eve")).body == {"streams": []}
    assert await read(await world.connect("eve", "eve-2")) == ""
    refused = await piece(eve, 0, "me too", "team", id="s2")
    assert refused["code"] == "not_found"
    await world.engine.groups.remove_member("alice", "team", "bob")
    await bob.drain()
    await piece(alice, 6, " of you", "team")
    await trio.sleep(1)
    assert await read(bob) == ""


async def test_a_sender_who_falls_silent_leaves_what_there_is(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await bob.say("alice", "Tell me")
    answered = (await alice.next("chat_message"))["meta"]["message_id"]
    await piece(alice, 0, "Half a", reply_to=answered)
    await trio.sleep(25)
    await piece(alice, 6, "")  # a sign of life
    await alice.cut()
    await trio.sleep(25)
    assert (await said(bob))[1] == []
    await trio.sleep(6)
    (frame,) = (await said(bob))[1]
    assert frame["payload"] == {"content": "Half a", "reply_to": answered, "interrupted": True}
    assert (frame["meta"]["id"], frame["meta"]["sender_id"]) == ("s1", "alice")
    assert "edited_at" not in frame["meta"]
    alice = await world.connect("alice")
    refused = (await alice.request("chat_message", {"content": "Half a loaf"}, "bob", id="s1"))["payload"]
    assert (refused["code"], refused["details"]) == ("conflict", {"message_id": frame["meta"]["message_id"]})
    edit = {"message_id": refused["details"]["message_id"], "content": "Half a loaf"}
    assert (await alice.request("message_edit", edit, "bob"))["type"] == "ack"
    (_, whole, _) = await world.history("bob", "user", "alice")
    assert whole["payload"]["content"] == "Half a loaf"
    late = await piece(alice, 0, "again")
    assert (late["code"], "details" in late) == ("conflict", False)


async def test_nothing_is_left_of_a_stream_that_is_empty_or_cancelled(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await piece(alice, 0, "", id="empty")
    await piece(alice, 0, "never mind", id="s1")
    await bob.drain()
    assert (await alice.request("message_stream", {"stream_id": "s1", "cancelled": True}, "bob"))["type"] == "ack"
    assert (await bob.next("message_stream"))["payload"] == {"stream_id": "s1", "cancelled": True}
    await trio.sleep(31)
    assert (await bob.next("message_stream"))["payload"] == {"stream_id": "empty", "cancelled": True}
    assert await world.history("bob", "user", "alice") == []
    assert (await alice.request("message_stream", {"stream_id": "s1", "cancelled": True}, "bob"))["type"] == "ack"


async def test_a_server_that_was_killed_goes_on_with_what_the_sender_has(world: World, tmp_path: Path) -> None:
    alice = await world.connect("alice")
    await piece(alice, 0, "Before ")
    await alice.request("chat_message", {"content": "kept"}, "bob", id="s0")
    async with world.after_crash(tmp_path / "again") as again:
        alice, bob = await again.connect("alice"), await again.connect("bob")
        assert (await piece(alice, 7, "after"))["details"] == {"offset": 0}
        await piece(alice, 0, "Before after")
        assert await read(bob) == "Before after"
        first = await alice.request("chat_message", {"content": "Before after"}, "bob", id="s1")
        second = await alice.request("chat_message", {"content": "Before after"}, "bob", id="s1")
        assert (second["payload"]["duplicate"], second["payload"]["seq"]) == (True, first["payload"]["seq"])
        await piece(alice, 0, "kept", id="s0")  # that one ended before the crash
        await trio.sleep(40)
        ids = [one["meta"]["id"] for one in await again.history("bob", "user", "alice")]
        assert ids == ["s0", "s1"]


FILTER = """
from relay.plugin import MessageHook

def before(draft: Draft) -> None:
    if "frak" in draft.payload.content:
        raise RelayError(ErrorCode.FORBIDDEN, "mind your words")
    draft.payload.content = draft.payload.content.replace("damn", "****")

@hookimpl
def relay_message_hooks(options: Any) -> list[MessageHook]:
    return [MessageHook(types=frozenset({"chat_message"}), before=before)]
"""


async def test_what_a_filter_forbids_is_not_seen_in_the_pieces_either(tmp_path: Path) -> None:
    async with plugged(tmp_path, FILTER) as (world, alice, bob):
        await piece(alice, 0, "well, da")
        await piece(alice, 8, "mn it")
        await trio.sleep(1)
        assert await read(bob) == "well, **** it"
        await piece(alice, 13, ", fra")
        assert (await piece(alice, 18, "k you"))["code"] == "forbidden"
        frames = await bob.drain()
        assert "frak" not in str(frames)
        assert frames[-1]["payload"] == {"stream_id": "s1", "cancelled": True}
        assert (await world.rest("GET", "/api/streams/alice", "bob")).body == {"streams": []}
        await piece(alice, 0, "damn", id="s2")
        await trio.sleep(31)
        assert (await bob.next("chat_message"))["payload"] == {"content": "****", "interrupted": True}


@pytest.mark.world("alice", "bob", RELAY_PLUGINS__MESSAGE_STREAM__STREAMS_PER_USER="2", **FAST)
async def test_streams_are_bounded_in_number_and_length(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await piece(alice, 0, "x" * 50)
    assert (await piece(alice, 50, "y"))["code"] == "too_large"
    frames = await bob.drain()
    assert frames[-1]["payload"] == {"stream_id": "s1", "cancelled": True}
    await piece(alice, 0, "a", id="s2")
    await piece(alice, 0, "b", id="s3")
    refused = await piece(alice, 0, "c", id="s4")
    assert (refused["code"], refused["retry"]) == ("rate_limited", True)
    assert "end one first" in refused["message"]
    assert (await piece(alice, 0, "d", "alice", id="s2"))["code"] == "conflict"
    unknown = await piece(alice, 0, "e", reply_to=99, id="s2")
    assert unknown["offset"] == 1  # it is told at the beginning only
    await alice.request("message_stream", {"stream_id": "s2", "cancelled": True}, "bob")
    assert (await piece(alice, 0, "f", reply_to=99, id="s5"))["code"] == "not_found"


@pytest.mark.world("alice", "bob", RELAY_PLUGINS__MESSAGE_STREAM__PIECES_PER_SECOND="2")
async def test_pieces_have_a_rate_of_their_own(world: World) -> None:
    alice = await world.connect("alice")
    answers = [await piece(alice, number, "x") for number in range(21)]
    assert [answer.get("code") for answer in answers] == [None] * 20 + ["rate_limited"]
    typing = await alice.request("typing_indicator", {"typing": True}, "bob")
    assert typing["type"] == "ack"


async def test_the_streams_of_an_erased_account_go_with_it(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await piece(alice, 0, "my secret")
    assert await read(bob) == "my secret"
    await world.engine.leaving.erase("alice")
    assert (await bob.next("message_stream"))["payload"] == {"stream_id": "s1", "cancelled": True}
    assert (await world.rest("GET", "/api/streams/alice", "bob")).body == {"streams": []}


REDACTS = """
from relay.plugin import MessageHook

def for_recipient(server: Any, delivery: Any, user_id: str) -> Any:
    return None

@hookimpl
def relay_message_hooks(options: Any) -> list[MessageHook]:
    return [MessageHook(types=frozenset({"chat_message"}), for_recipient=for_recipient)]
"""


async def test_no_text_is_shown_before_its_end_where_readers_may_get_different_ones(tmp_path: Path) -> None:
    async with plugged(tmp_path, REDACTS) as (world, alice, bob):
        assert (await piece(alice, 0, "for some eyes only"))["offset"] == 18
        assert await read(bob) == ""
        (found,) = (await world.rest("GET", "/api/streams/alice", "bob")).body["streams"]
        assert found["text"] == ""
        assert "eyes" not in str(await (await world.connect("bob", "phone")).drain())
