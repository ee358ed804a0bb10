"""The end of an account: erased, or deleted while what its user said stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.app.admin import perform
from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.storage import leaving
from relay.testing import RelayWorld, World


async def said(world: World) -> int:
    """Have bob say something to alice and to a group of his, and react; return the group message."""
    await world.engine.groups.create("bob", "Team", ["alice"], "team", "start")
    await world.engine.submitter.send_as("bob", "chat_message", {"content": "to alice"}, "alice")
    entry = await world.engine.submitter.send_as("bob", "group_message", {"content": "to all"}, "team")
    reaction = {"message_id": entry.message_id, "emoji": "👍", "on": True}
    await world.engine.submitter.send_as("bob", "reaction", reaction, "team")
    assert entry.message_id is not None
    return entry.message_id


async def test_who_is_deleted_cannot_come_in_and_what_they_said_stays(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await said(world)
        bob = await world.connect("bob")
        await perform(world.engine, "user.delete", {"user_id": "bob"})
        assert str(await bob.closed()) == "4502 account disabled"
        assert (await world.rest("GET", "/api/users/me", "bob")).status == 401
        texts = [one["payload"]["content"] for one in await world.history("alice", "user", "bob")]
        assert texts == ["to alice"]
        found = await world.history("alice", "group", "team")
        assert "to all" in [one["payload"].get("content") for one in found]

        def reactions(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT count(*) FROM latest WHERE type = 'reaction' AND sender_id = 'bob'")
            return int(row.fetchone()[0])

        assert await world.engine.runner.read(reactions) == 1
        group = await world.engine.channels.group("team")
        assert group is not None
        assert group.members == {"alice": Role.OWNER}


async def test_nobody_has_a_deleted_account_again_and_it_may_be_erased(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        await said(world)
        await perform(world.engine, "user.delete", {"user_id": "bob"})
        await perform(world.engine, "user.delete", {"user_id": "bob"})
        for op, more in (("user.enable", {}), ("user.passwd", {"password": "a good password"})):
            with pytest.raises(RelayError, match="erased or deleted; nobody can have it again"):
                await perform(world.engine, op, {"user_id": "bob", **more})
        with pytest.raises(RelayError, match="the name 'bob' is taken"):
            await perform(world.engine, "user.add", {"user_id": "bob"})
        acts = [
            one["act"] for one in await perform(world.engine, "audit.list", {}) if one["act"] == "user.deleted"
        ]
        assert acts == ["user.deleted"]
        found = await perform(world.engine, "user.erase", {"user_id": "bob"})
        assert found["erased"] == 2
        assert [one["payload"] for one in await world.history("alice", "user", "bob")] == [{}]


async def test_a_deleted_user_leaves_their_groups_after_a_crash(relay_world: RelayWorld, tmp_path: Path) -> None:
    async with relay_world(tmp_path / "one", "alice", "bob") as world:
        await said(world)
        await world.engine.runner.write(lambda connection: leaving.close_keeping(connection, "bob", 1.0))
        async with world.after_crash(tmp_path / "two") as again:
            for _ in range(100):
                if await again.engine.runner.read(leaving.deleted_member) is None:
                    break
                await again.engine.router.wait_beyond(again.engine.router.position)
            group = await again.engine.channels.group("team")
            assert group is not None
            assert set(group.members) == {"alice"}
