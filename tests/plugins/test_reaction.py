"""`reaction`: the newest of each message, emoji and sender counts."""

from pathlib import Path
from typing import Any

import pytest

from relay.protocol.kinds import ConversationKind
from relay.testing import Device, World
from relay.testing import world as open_world


async def react(device: Device, target: str, message_id: Any, emoji: Any, on: Any = True) -> dict[str, Any]:
    """React and return the answer."""
    payload = {"message_id": message_id, "emoji": emoji, "on": on}
    await device.send({"type": "reaction", "payload": payload, "meta": {"target_id": target}})
    return await device.next("ack", "error")


async def said(device: Device, target: str, content: str) -> int:
    await device.say(target, content)
    return (await device.next("ack"))["payload"]["message_id"]


async def test_the_newest_of_each_emoji_counts_live_in_replay_and_in_the_history(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id = await said(alice, "bob", "cake?")
    for emoji, on in (("🎂", True), ("👍🏽", True), ("🎂", False)):
        assert (await react(bob, "alice", message_id, emoji, on))["type"] == "ack"
        told = await alice.next("reaction")
        assert told["payload"] == {"message_id": message_id, "emoji": emoji, "on": on}
        assert told["meta"]["sender_id"] == "bob"
    again = await world.connect("alice", "alice-2", cursor=0)
    found = {
        frame["payload"]["emoji"]: frame["payload"]["on"]
        for frame in again.replayed
        if frame["type"] == "reaction"
    }
    assert found == {"🎂": False, "👍🏽": True}
    page = await world.engine.history.page("alice", ConversationKind.USER, "bob", 10)
    assert sum(item.type == "reaction" for item in page["latest"]) == 2
    older = await world.engine.history.page("alice", ConversationKind.USER, "bob", 10, before=1)
    assert older["latest"] == []


@pytest.mark.parametrize(
    "emoji",
    ["👍", "👍🏽", "❤", "❤️", "☺︎", "🇫🇷", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#⃣", "👩‍👩‍👧‍👦", "👩🏽‍❤️‍💋‍👩🏻", "🏳️‍🌈", "👁️‍🗨️", "🧑‍🚀", "🫠", "→", "★", "✔️", "㊗️", "©️",
     "ok", "+1", ":party_parrot:", "да", "हाँ", "好き", "ý", "!?", "x" * 32],
)  # fmt: skip
async def test_one_emoji_or_a_name_is_a_reaction(world: World, emoji: str) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "x")
    assert (await react(alice, "bob", message_id, emoji))["type"] == "ack"


@pytest.mark.parametrize(
    "emoji",
    ["", "a b", "x" * 65, "\n", 5, None, "x" * 33, "👍👍", "👍 👍", "z" + "\u0301" * 3, "\u200b", "a\u202eb", "👍\u200d",
     "👩" + "\u200d👩" * 8, "a👍", "1" + "\ufe0f" * 5, "\ud7ff\ufdd0", "a\u00a0b", "a\u0000"],
)  # fmt: skip
async def test_what_is_no_emoji_is_refused(world: World, emoji: Any) -> None:
    alice = await world.connect("alice")
    message_id = await said(alice, "bob", "x")
    assert (await react(alice, "bob", message_id, emoji))["payload"]["code"] == "invalid_payload"


@pytest.mark.world("alice", "bob", "carol")
async def test_one_reacts_to_what_is_there_to_be_seen(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    elsewhere = await said(alice, "carol", "private")
    assert (await react(bob, "alice", elsewhere, "👀"))["payload"]["code"] == "not_found"
    assert (await react(bob, "alice", 99, "👀"))["payload"]["code"] == "not_found"


@pytest.mark.world("alice", "bob", RELAY_LIMITS__REACTIONS_PER_MESSAGE="3")
async def test_a_user_has_so_many_different_reactions_to_a_message_and_no_more(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    message_id, other = await said(alice, "bob", "x"), await said(alice, "bob", "y")
    for name in ("a", "b", "c"):
        assert (await react(bob, "alice", message_id, name))["type"] == "ack"
    assert (await react(bob, "alice", message_id, "a", on=False))["type"] == "ack"
    for on in (True, False):
        refused = await react(bob, "alice", message_id, "d", on)
        assert refused["payload"]["code"] == "forbidden"
        assert "3 different reactions" in refused["payload"]["message"]
    assert (await react(bob, "alice", message_id, "a"))["type"] == "ack", "one that is there may come and go"
    assert (await react(bob, "alice", other, "d"))["type"] == "ack"
    assert (await react(alice, "bob", message_id, "d"))["type"] == "ack"


async def test_what_is_said_about_a_message_is_bounded_in_a_page(tmp_path: Path) -> None:
    limits = {"RELAY_LIMITS__PAGE_BYTES": "4096", "RELAY_LIMITS__REACTIONS_PER_MESSAGE": "0"}
    async with open_world(tmp_path, "alice", "bob", **limits) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        ids = [await said(alice, "bob", "x") for _ in range(4)]
        for message_id, count in zip(ids, (5, 40, 9, 5), strict=True):
            for number in range(count):
                assert (await react(bob, "alice", message_id, f"e{number}"))["type"] == "ack"
        history = world.engine.history
        page = await history.page("alice", ConversationKind.USER, "bob", 10)
        assert ([item.meta.message_id for item in page["messages"]], page["has_more"]) == ([ids[3]], True)
        assert "latest_limited" not in page
        walked, limited = [], []
        before: int | None = None
        while True:
            page = await history.page("alice", ConversationKind.USER, "bob", 10, before=before)
            walked += [item.meta.message_id for item in page["messages"]][::-1]
            limited.append(page.get("latest_limited", False))
            assert sum(len(bytes(item.payload)) + 300 for item in page["latest"]) <= 2 * 4096
            if not page["has_more"]:
                break
            before = page["next_before"]
        assert walked == ids[::-1], "every message comes, once"
        assert limited == [False, False, True, False], (
            "of too many about one message the newest come, and it is said"
        )
