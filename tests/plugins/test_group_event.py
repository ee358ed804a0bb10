"""`group_event`: from the server only, and its schema is what the server sends."""

from __future__ import annotations

import msgspec
import pytest

from relay.protocol.kinds import Role
from relay.testing import World
from tests.plugin.authors import answers, send


@pytest.mark.world("alice")
async def test_a_client_cannot_send_one(world: World) -> None:
    await world.engine.groups.create("alice", "Team", [], "team")
    alice = await world.connect("alice")
    await send(alice, "1", "group_event", "team", event="deleted")
    assert await answers(alice, 1) == {"1": "forbidden"}


async def test_every_event_the_server_sends_fits_the_schema(world: World) -> None:
    groups, alice = world.engine.groups, await world.connect("alice")
    await groups.create("alice", "Team", [], "team")
    await groups.put_member("alice", "team", "bob", Role.MEMBER)
    await groups.put_member("alice", "team", "bob", Role.ADMIN)
    await groups.rename("alice", "team", "New")
    await groups.remove_member("alice", "team", "bob")
    await groups.delete("alice", "team")
    frames = [await alice.next("group_event") for _ in range(6)]
    assert [frame["payload"]["event"] for frame in frames] == [
        "created", "member_added", "role_changed", "renamed", "member_removed", "deleted",
    ]  # fmt: skip
    type_ = world.engine.registry.types["group_event"]
    for frame in frames:
        raw = msgspec.Raw(msgspec.json.encode(frame["payload"]))
        assert msgspec.json.decode(type_.write(type_.read(raw))) == frame["payload"]
        assert frame["meta"]["sender_id"] == "alice"
    assert [frame["meta"]["seq"] for frame in frames] == [1, 2, 3, 4, 5, 6]
