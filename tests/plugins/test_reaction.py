"""`reaction`: the newest of each message, emoji and sender counts."""

from pathlib import Path
from typing import Any

import pytest

from relay.testing import Device, world


async def react(device: Device, target: str, message_id: Any, emoji: Any, on: Any = True) -> dict[str, Any]:
    """React and return the answer."""
    payload = {"message_id": message_id, "emoji": emoji, "on": on}
    await device.send({"type": "reaction", "payload": payload, "meta": {"target_id": target}})
    return await device.next("ack", "error")


async def said(device: Device, target: str, content: str) -> int:
    await device.say(target, content)
    return (await device.next("ack"))["payload"]["message_id"]


async def test_the_newest_of_each_emoji_counts_live_in_replay_and_in_the_history(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice, bob = await server.connect("alice"), await server.connect("bob")
        message_id = await said(alice, "bob", "cake?")
        for emoji, on in (("🎂", True), ("👍🏽", True), ("🎂", False)):
            assert (await react(bob, "alice", message_id, emoji, on))["type"] == "ack"
            told = await alice.next("reaction")
            assert told["payload"] == {"message_id": message_id, "emoji": emoji, "on": on}
            assert told["meta"]["sender_id"] == "bob"
        again = await server.connect("alice", "alice-2", cursor=0)
        found = {
            frame["payload"]["emoji"]: frame["payload"]["on"]
            for frame in again.replayed
            if frame["type"] == "reaction"
        }
        assert found == {"🎂": False, "👍🏽": True}
        page = await server.engine.history.page("alice", "user", "bob", 10)  # type: ignore[arg-type]
        assert sum(item.type == "reaction" for item in page["latest"]) == 2
        older = await server.engine.history.page("alice", "user", "bob", 10, before=1)  # type: ignore[arg-type]
        assert older["latest"] == []


@pytest.mark.parametrize("emoji", ["", "a b", "x" * 65, "\n", 5, None])
async def test_what_is_no_emoji_is_refused(tmp_path: Path, autojump_clock: Any, emoji: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice = await server.connect("alice")
        message_id = await said(alice, "bob", "x")
        assert (await react(alice, "bob", message_id, emoji))["payload"]["code"] == "invalid_payload"


async def test_one_reacts_to_what_is_there_to_be_seen(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob", "carol") as server:
        alice, bob = await server.connect("alice"), await server.connect("bob")
        elsewhere = await said(alice, "carol", "private")
        assert (await react(bob, "alice", elsewhere, "👀"))["payload"]["code"] == "not_found"
        assert (await react(bob, "alice", 99, "👀"))["payload"]["code"] == "not_found"
