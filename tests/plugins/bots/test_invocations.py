"""Invocations: the bot that is meant gets each of them once, whatever happens."""

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.plugin import Role
from relay.testing import RelayWorld
from tests.plugins.bots.people import HELP, ON, ROLL, answer, bot, invoke, types, with_dice


async def test_a_bot_gets_who_where_and_what_though_it_is_not_there(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        acked = await invoke(alice, "team", "roll", "2d6")
        assert (acked["bot"], "seq" in acked) == ("dice", False)
        frame = await dice.next("slash_command")
        assert frame["payload"] == {
            "command": "roll",
            "text": "2d6",
            "place": {"kind": "group", "target_id": "team", "name": "The team"},
        }
        meta = frame["meta"]
        assert (meta["message_id"], meta["sender_id"]) == (acked["message_id"], "alice")
        assert "target_id" not in meta
        assert meta["expires_at"] == pytest.approx(world.engine.now() + 900, abs=1)
        assert await types(bob, "slash_command") == []
        assert await world.history("bob", "group", "team") == (await world.history("alice", "group", "team"))
        assert len(await world.history("bob", "group", "team")) == 1


async def test_an_invocation_waits_for_a_bot_that_is_away_and_comes_once(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        cursor = world.engine.router.position
        await dice.cut()
        await invoke(alice, "team", "roll", "2d6", id="i-1", copies=3)
        again = await world.connect("dice", cursor=cursor, epoch=world.engine.epoch)
        (frame,) = [one for one in again.replayed if one["type"] == "slash_command"]
        assert (frame["payload"]["text"], frame["meta"]["replay"]) == ("2d6", True)
        await again.event("ack", cursor=frame["meta"]["message_id"])
        third = await world.connect("dice", "other", cursor=frame["meta"]["message_id"], epoch=world.engine.epoch)
        assert [one for one in third.replayed if one["type"] == "slash_command"] == []


async def test_an_invocation_survives_a_crash_and_can_be_answered_after_it(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        async with world.after_crash(tmp_path / "again") as again:
            dice = await again.connect("dice", cursor=0, epoch=again.engine.epoch)
            assert [f["meta"]["message_id"] for f in dice.replayed if f["type"] == "slash_command"] == [invoked]
            assert "message_id" in await answer(dice, invoked, "7")
            bob = await again.connect("bob", cursor=0, epoch=again.engine.epoch)
            assert [f["payload"]["content"] for f in bob.replayed if f["type"] == "slash_response"] == ["7"]


async def test_what_can_no_longer_be_answered_is_not_asked_any_more(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__ANSWER_SECONDS="60") as (world, dice):
        alice = await world.connect("alice")
        await dice.cut()
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        await trio.sleep(61)
        dice = await world.connect("dice", cursor=0, epoch=world.engine.epoch)
        (frame,) = [one for one in dice.replayed if one["type"] == "slash_command"]
        assert (frame["payload"], "deleted_at" in frame["meta"]) == ({}, True)
        assert (await answer(dice, invoked, "7"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("rol", "not_found", "did you mean /roll?"),
        ("nothing", "not_found", "there is no command /nothing"),
        ("roll@bob", "not_found", "bob has no command /roll"),
        ("roll@cards", "not_found", "cards has no command /roll"),
        ("Roll!", "invalid_payload", "payload.command"),
        ("", "invalid_payload", "payload.command"),
    ],
)
async def test_a_command_that_is_none_is_refused_by_name(
    relay_world: RelayWorld, command: str, code: str, says: str
) -> None:
    async with with_dice(relay_world) as (world, _dice):
        await bot(world, "cards", HELP)
        alice = await world.connect("alice")
        refused = await invoke(alice, "team", command)
        assert refused["code"] == code
        assert says in refused["message"]


async def test_who_is_not_in_a_conversation_invokes_nothing_there(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        carol = await world.connect("carol")
        assert (await invoke(carol, "team", "roll"))["code"] == "not_found"
        assert (await invoke(carol, "nobody", "roll"))["code"] == "not_found"


async def test_of_several_bots_the_one_in_the_conversation_is_meant_or_the_addressed_one(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        cards = await bot(world, "cards", ROLL, HELP)
        alice = await world.connect("alice")
        refused = await invoke(alice, "team", "roll")
        assert refused["code"] == "conflict"
        assert "/roll@cards or /roll@dice" in refused["message"]
        assert (await invoke(alice, "team", "roll@dice"))["bot"] == "dice"
        assert (await invoke(alice, "cards", "roll"))["bot"] == "cards"
        await world.rest("PUT", "/api/groups/team/members/dice", "alice", json_body={})
        assert (await invoke(alice, "team", "roll"))["bot"] == "dice"
        assert (await invoke(alice, "team", "roll@cards"))["bot"] == "cards"
        assert (await invoke(alice, "team", "help"))["bot"] == "cards"
        assert len(await types(dice, "slash_command")) == 2
        assert len(await types(cards, "slash_command")) == 3


async def test_what_the_server_says_of_an_invocation_nobody_else_may(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        for more in ({"about": 1}, {"private": True}, {"place": {"kind": "group", "target_id": "x"}}):
            refused = await alice.request("slash_command", {"command": "roll", **more}, "team")
            assert refused["payload"]["code"] == "invalid_payload"
        refused = await alice.request("slash_notice", {"reason": "refused", "message": "x", "command": "y"})
        assert refused["payload"]["code"] == "forbidden"


async def test_a_retry_gets_the_first_ack_also_when_the_bot_is_gone(relay_world: RelayWorld) -> None:
    from relay.app.plugin_admin import run_command

    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        first = await invoke(alice, "team", "roll", id="i-1")
        await run_command(world.engine, "bot remove", {"name": "dice"})
        again = await invoke(alice, "team", "roll", id="i-1")
        assert (again["duplicate"], again["message_id"]) == (True, first["message_id"])
        assert "seq" not in again
        assert (await invoke(alice, "team", "roll", id="i-2"))["code"] == "not_found"


async def test_too_many_invocations_a_minute_are_refused(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__INVOCATIONS_PER_MINUTE="3") as (world, _dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        answers = [await invoke(alice, "team", "roll") for _ in range(4)]
        assert [one.get("code") for one in answers] == [None, None, None, "rate_limited"]
        assert 0 < answers[3]["retry_after"] <= 20
        assert "bot" in await invoke(bob, "team", "roll")
        await trio.sleep(21)
        assert "bot" in await invoke(alice, "team", "roll")


async def test_bots_invoke_nothing_unless_the_administrator_lets_them(relay_world: RelayWorld) -> None:
    for lets in (False, True):
        async with with_dice(relay_world, RELAY_PLUGINS__BOTS__BOTS_INVOKE=str(lets).lower()) as (world, dice):
            cards = await bot(world, "cards", HELP)
            said: dict[str, Any] = await invoke(cards, "dice", "roll")
            assert ("bot" in said) is lets
            assert (said.get("code") == "forbidden") is not lets
            await cards.say("dice", "/roll")
            await trio.sleep(1)
            assert len(await types(dice, "slash_command")) == 2 * lets


async def test_off_it_costs_nothing_and_knows_nothing(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob") as world:
        alice = await world.connect("alice")
        assert (await invoke(alice, "bob", "roll"))["code"] == "unknown_type"
        assert (await world.rest("GET", "/api/bots", "alice")).status == 404
    assert ON


async def test_bots_that_invoke_each_other_come_to_an_end_and_people_are_not_held_up(
    relay_world: RelayWorld,
) -> None:
    environ = {"RELAY_PLUGINS__BOTS__BOTS_INVOKE": "true"}
    async with with_dice(relay_world, **environ) as (world, dice):
        alice = await world.connect("alice")
        luck = await bot(world, "luck", {"name": "luck", "description": "Luck"})
        for name in ("dice", "luck"):
            await world.engine.groups.put_member("alice", "team", name, Role.MEMBER)
        await invoke(alice, "team", "roll")
        depths = []
        for _ in range(9):
            frame = await dice.next("slash_command")
            depths.append(frame["meta"].get("depth", 0))
            if "code" in await invoke(dice, "team", "luck"):
                break
            frame = await luck.next("slash_command")
            depths.append(frame["meta"]["depth"])
            if "code" in await invoke(luck, "team", "roll"):
                break
        assert depths == [0, 1, 2, 3, 4, 5, 6, 7, 8]
        assert "8 times in a row" in (await invoke(dice, "team", "luck"))["message"]
        refused = await luck.request(
            "slash_response", {"invocation": frame["meta"]["message_id"], "content": "no"}
        )
        assert refused["type"] == "error"
        again = await invoke(alice, "team", "roll")
        frame = await dice.next("slash_command")
        assert (frame["meta"]["message_id"], "depth" in frame["meta"]) == (again["message_id"], False)
        assert "bot" in await invoke(dice, "team", "luck")
