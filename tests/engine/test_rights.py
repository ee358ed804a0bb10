"""Rights of groups on the way of a message: by socket, while they change, and for what plugins post."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.protocol.rights import ANNOUNCEMENT
from relay.testing import World
from tests.plugin.authors import plugged

CHOSEN = {name: holder.value for name, holder in ANNOUNCEMENT._asdict().items()}


async def say(device: Any, name: str, type_: str = "group_message", **payload: Any) -> Any:
    """Send something to the group, and return its ack or the details of its refusal."""
    meta = {"id": name, "target_id": "team"}
    await device.send({"type": type_, "payload": payload, "meta": meta})
    frame = await device.next("ack", "error")
    assert frame["meta"]["ref"] == name
    return frame["payload"] if frame["type"] == "ack" else frame["payload"]["details"]


@pytest.mark.world("alice", "bob")
async def test_an_announcement_group_lets_its_members_react_and_reply_in_threads_alone(world: World) -> None:
    groups = world.engine.groups
    await groups.create("alice", "News", ["bob"], "team")
    await groups.change("alice", "team", {"rights": CHOSEN})
    alice, bob = await world.connect("alice"), await world.connect("bob")
    news = (await say(alice, "1", content="news"))["message_id"]
    refused = {"reason": "group_role", "role": "admin", "right": "write"}
    assert await say(bob, "2", content="hello") == refused
    assert "message_id" in await say(bob, "4", content="reply", thread=news)
    assert "message_id" in await say(bob, "5", "reaction", message_id=news, emoji="👍", on=True)
    refused = {"reason": "group_role", "role": "admin", "right": "mention_all"}
    assert await say(bob, "6", content="all", thread=news, mentions=["*"]) == refused
    await groups.put_member("alice", "team", "bob", Role.ADMIN)
    assert "message_id" in await say(bob, "7", content="hello")


@pytest.mark.world("alice", "bob")
async def test_what_is_on_its_way_when_a_group_is_closed_is_refused_and_not_stored(world: World) -> None:
    engine = world.engine
    await engine.groups.create("alice", "Team", ["bob"], "team")
    bob = await world.connect("bob")
    await say(bob, "first", content="x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.groups.change, "alice", "team", {"closed": True})
        for number in range(50):
            await bob.say("team", f"{number}", f"m{number}", "group_message")
    told = [await bob.next("ack", "error") for _ in range(50)]
    for frame in told:
        assert frame["type"] == "ack" or frame["payload"]["details"] == {"reason": "group_closed"}
    messages = await world.history("alice", "group", "team")
    (closing,) = [one["meta"]["seq"] for one in messages if one["payload"].get("closed")]
    assert max(one["meta"]["seq"] for one in messages) == closing


async def test_a_plugin_posts_nothing_into_a_closed_group_and_roles_hold_beside_rights(tmp_path: Path) -> None:
    given = "roles=frozenset({Role.OWNER}), targets=frozenset({ConversationKind.GROUP})"
    async with plugged(tmp_path, "from relay.plugin import ConversationKind, Role\n", given) as (
        server,
        alice,
        bob,
    ):
        engine = server.engine
        await engine.groups.create("alice", "Team", ["bob"], "team")
        assert "seq" in await say(alice, "1", "t", n=1)
        assert await say(bob, "2", "t", n=1) == {"reason": "group_role", "role": "owner"}
        group = await engine.channels.group("team")
        assert group is not None
        plugin = engine.server_of(engine.registry.owner("t").plugin)
        await plugin.post("bob", "t", {"n": 2}, group)
        await engine.groups.change("alice", "team", {"closed": True})
        with pytest.raises(RelayError, match="closed"):
            await plugin.post("bob", "t", {"n": 3}, group)
