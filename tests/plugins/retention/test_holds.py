"""Legal hold: nothing of a user or a group is erased, by rules, deletions, edits or expiry."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.protocol.errors import RelayError
from relay.testing import RelayWorld, World
from tests.plugins.retention.test_retention import DAY, QUIET, ruled, run, say, standing, went

BY: Any = {"who": "Counsel", "why": "case 17"}


async def hold(world: World, kind: str, name: str) -> None:
    assert await run(world, "hold add", kind=kind, name=name, **BY) == f"{kind} {name}: on hold"


async def test_nothing_of_a_user_goes_until_the_hold_ends(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", "dave", **ruled(all={"keep_messages": 0})) as world:
        alice, carol = await world.connect("alice"), await world.connect("carol")
        await say(alice, "bob", "to bob")
        await say(carol, "bob", "of carol's to bob")
        await say(carol, "dave", "nobody's on hold")
        await world.engine.groups.create("carol", "Team", ["bob", "dave"], "team")
        await say(carol, "team", "bob may read it", type="group_message")
        await world.engine.groups.remove_member("carol", "team", "bob")
        await hold(world, "user", "bob")
        (row,) = await run(world, "plan")
        assert (row["messages"], row["held"]) == (1, 3)
        assert await run(world, "run") == [row]
        assert await standing(world, "bob", "alice") == ["to bob"]
        assert await standing(world, "carol", "dave") == [None]
        await run(world, "hold remove", kind="user", name="bob", **BY)
        assert await went(world) == {"all": 3}
        assert await standing(world, "bob", "alice") == [None]


async def test_nothing_of_a_group_goes(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ruled(all={"keep_messages": 0})) as world:
        alice = await world.connect("alice")
        for name in ("team", "other"):
            await world.engine.groups.create("alice", "Team", ["bob"], name)
            await say(alice, name, "text", type="group_message")
        await hold(world, "group", "team")
        assert await went(world) == {"all": 1}
        assert (await standing(world, "alice", "team", "group"))[1:] == ["text"]
        assert (await standing(world, "alice", "other", "group"))[1:] == [None]


async def test_what_is_held_can_be_neither_deleted_nor_edited(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ruled(old={"days": 1})) as world:
        alice = await world.connect("alice")
        (first,) = await say(alice, "bob", "the plan")
        (other,) = await say(alice, "carol", "another")
        await hold(world, "user", "bob")
        deleted = await alice.request("message_delete", {"message_id": first}, "bob")
        edited = await alice.request("message_edit", {"message_id": first, "content": "no plan"}, "bob")
        assert [answer["payload"]["code"] for answer in (deleted, edited)] == ["forbidden", "forbidden"]
        assert await standing(world, "bob", "alice") == ["the plan"]
        assert (await alice.request("message_edit", {"message_id": other, "content": "x"}, "carol"))[
            "type"
        ] == "ack"
        assert (await alice.request("message_delete", {"message_id": other}, "carol"))["type"] == "ack"


async def test_what_was_to_expire_stays_as_long_as_the_hold_and_goes_a_day_later(relay_world: RelayWorld) -> None:
    settings = QUIET | ruled(old={"days": 1000}) | {"RELAY_TYPES__CHAT_MESSAGE__TTL_SECONDS": "60"}
    async with relay_world(None, "alice", "bob", "carol", **settings) as world:
        alice = await world.connect("alice")
        await say(alice, "bob", "held")
        await say(alice, "carol", "free")
        await hold(world, "user", "bob")
        await trio.sleep(2 * DAY)
        assert await standing(world, "bob", "alice") == ["held"]
        assert await standing(world, "carol", "alice") == [None]
        await run(world, "hold remove", kind="user", name="bob", **BY)
        await trio.sleep(1.1 * DAY)
        assert await standing(world, "bob", "alice") == [None]


async def test_a_message_for_everybody_is_held_with_its_sender_only(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ruled(all={"keep_messages": 0})) as world:
        for name in ("alice", "bob"):
            await world.engine.runner.write(
                lambda c, name=name: c.execute("UPDATE users SET role = 'admin' WHERE user_id = ?", (name,))
            )
            await (await world.connect(name)).request("notification", {"title": f"of {name}"}, "*")
        await hold(world, "user", "bob")
        assert await went(world) == {"all": 1}


async def test_holds_are_listed_with_who_and_why_also_when_they_are_over(
    relay_world: RelayWorld, caplog: pytest.LogCaptureFixture
) -> None:
    async with relay_world(None, "alice", **ruled(old={"days": 1})) as world:
        await hold(world, "user", "alice")
        assert "user 'alice' is put on hold by Counsel: case 17" in caplog.text
        (row,) = await run(world, "hold list")
        told = {"kind": "user", "name": "alice", "set_by": "Counsel", "why": "case 17", "set_at": row["set_at"]}
        assert row == told
        await run(world, "hold remove", kind="user", name="alice", who="Counsel", why="settled")
        assert "user 'alice' is taken off hold by Counsel: settled" in caplog.text
        assert await run(world, "hold list") == []
        (row,) = await run(world, "hold list", ended=True)
        assert row == told | {"ended_by": "Counsel", "ended_why": "settled", "ended_at": row["ended_at"]}


@pytest.mark.parametrize(
    ("command", "given", "told"),
    [
        ("hold add", {"kind": "user", "name": "nobody"}, "there is no user 'nobody'"),
        ("hold add", {"kind": "group", "name": "alice"}, "there is no group 'alice'"),
        ("hold add", {"kind": "room", "name": "alice"}, "KIND is user or group"),
        ("hold add", {"kind": "user", "name": "alice", "why": ""}, "--why have 1 to 200"),
        ("hold remove", {"kind": "user", "name": "alice"}, "is not on hold"),
    ],
)
async def test_a_hold_that_cannot_be_is_refused(
    relay_world: RelayWorld, command: str, given: dict[str, Any], told: str
) -> None:
    async with relay_world(None, "alice", **ruled(old={"days": 1})) as world:
        with pytest.raises(RelayError, match=told):
            await run(world, command, **(BY | given))
        if "why" not in given:
            await hold(world, "user", "alice")
            with pytest.raises(RelayError, match="on hold already"):
                await run(world, "hold add", kind="user", name="alice", **BY)
