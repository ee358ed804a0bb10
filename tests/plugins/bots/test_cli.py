"""The commands `relay bot …`, and the registry: bots come and go, with their tokens and commands."""

from functools import partial
from typing import Any

import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.plugin import RelayError
from relay.protocol.errors import Disconnect
from relay.protocol.kinds import ServerRole
from relay.services.audit import Actor
from relay.storage import audit
from relay.storage.accounts import update_user
from relay.storage.audit import Wanted
from relay.testing import RelayWorld
from tests.actors import OPERATOR
from tests.plugins.bots.people import HELP, ON, ROLL, SECRET, answer, bot, invoke, types, with_dice


async def test_a_bot_is_added_listed_and_removed(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", **ON) as world:
        assert await run_command(world.engine, "bot list", {}) == []
        await bot(world, "dice", ROLL, HELP, display_name="The dice", owner="alice")
        (row,) = await run_command(world.engine, "bot list", {})
        assert row == {
            "bot": "dice",
            "display_name": "The dice",
            "owner": "alice",
            "online": True,
            "commands": "help, roll",
        }
        assert (await world.rest("GET", "/api/users/dice", "alice")).body["display_name"] == "The dice"
        assert await run_command(world.engine, "bot remove", {"name": "dice"}) == "bot dice: removed"
        assert await run_command(world.engine, "bot list", {}) == []
        assert (await world.rest("GET", "/api/commands", "alice")).body["commands"] == []


async def test_what_cannot_be_added_is_refused_by_name(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", **ON) as world:
        await bot(world, "dice", ROLL)
        for arguments, says in (
            ({"name": "dice"}, "dice is a bot already"),
            ({"name": "alice"}, "'alice' is taken"),
            ({"name": "a b"}, "cannot be a user id"),
            ({"name": "cards", "owner": "nobody"}, "no user 'nobody'"),
        ):
            with pytest.raises(RelayError, match=says):
                await run_command(world.engine, "bot add", arguments)
        for command in ("bot token", "bot remove"):
            with pytest.raises(RelayError, match="no bot 'alice'"):
                await run_command(world.engine, command, {"name": "alice"})
        assert len(await run_command(world.engine, "bot list", {})) == 1


async def test_a_removed_bot_is_shut_out_and_comes_back_under_its_name_without_its_past(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        old = world.tokens["dice"]
        await run_command(world.engine, "bot remove", {"name": "dice"})
        assert (await dice.closed()).code == 4502
        assert (await invoke(alice, "team", "roll"))["code"] == "not_found"
        world.tokens["dice"] = await run_command(world.engine, "bot add", {"name": "dice"})
        with pytest.raises(Disconnect):
            await world.engine.accounts.identify(old)
        dice = await world.connect("dice")
        assert (await invoke(alice, "team", "roll"))["code"] == "not_found"
        assert (await answer(dice, invoked, "7"))["code"] == "not_found"
        assert "message_id" in (await dice.request("bot_commands", {"commands": [ROLL]}))["payload"]
        assert (await invoke(alice, "team", "roll"))["bot"] == "dice"


async def test_a_disabled_bot_has_no_commands(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        await world.engine.administration.set_disabled(OPERATOR, "dice", True)
        assert (await invoke(alice, "team", "roll"))["code"] == "not_found"
        await world.engine.administration.set_disabled(OPERATOR, "dice", False)
        assert (await invoke(alice, "team", "roll"))["bot"] == "dice"


async def test_a_banned_bot_is_shut_out_and_comes_back_whole(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        await world.engine.moderation.restrict(OPERATOR, "ban", "dice", reason="spam")
        assert (await dice.closed()).code == 4502
        assert (await invoke(alice, "team", "roll"))["code"] == "not_found"
        assert (await world.rest("GET", "/api/commands", "alice")).body["commands"] == []
        assert (await world.rest("GET", "/api/users/me", "dice")).body["details"]["reason"] == "banned"
        await world.engine.moderation.lift(OPERATOR, "ban", "dice")
        await world.connect("dice")
        assert (await invoke(alice, "team", "roll"))["bot"] == "dice"


async def test_bots_are_banned_with_their_owner_and_come_back_with_them(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "mallory", **ON) as world:
        dice, coin = (
            await bot(world, "dice", ROLL, owner="mallory"),
            await bot(world, "coin", HELP, owner="mallory"),
        )
        await bot(world, "other", SECRET, owner="bob")
        moderation, now = world.engine.moderation, world.engine.now

        async def banned() -> dict[str, str]:
            return {one.user_id: one.reason for one in await moderation.in_force(OPERATOR)}

        await moderation.restrict(OPERATOR, "ban", "coin", reason="by itself")
        assert (await coin.closed()).code == 4502
        await trio.sleep(1)
        await moderation.restrict(OPERATOR, "ban", "mallory", reason="spam", until=now() + 3600)
        closed = await dice.closed()
        assert closed.code == 4502
        assert closed.reason.endswith("its owner mallory is banned")
        with pytest.raises(RelayError):  # nor does anything else speak in its name
            await world.engine.submitter.send_as("dice", "chat_message", {"content": "x"}, "alice")
        assert (await world.rest("GET", "/api/users/me", "dice")).body["details"]["reason"] == "banned"
        its_owner = "its owner mallory is banned"
        assert await banned() == {"mallory": "spam", "dice": its_owner, "coin": "by itself"}
        await moderation.restrict(OPERATOR, "ban", "mallory", reason="more spam", until=now() + 7200)
        await trio.sleep(3700)
        assert await banned() == {"mallory": "more spam", "dice": its_owner, "coin": "by itself"}
        found = await world.engine.runner.read(lambda connection: audit.find(connection, Wanted(after=0), 10))
        acts = [(one.payload["act"], one.payload["about"]["id"]) for one in found][-4:]
        assert acts == [("user.banned", "mallory"), ("user.banned", "dice")] * 2
        await moderation.lift(OPERATOR, "ban", "mallory")
        assert await banned() == {"coin": "by itself"}
        await world.connect("dice")
        await moderation.restrict(OPERATOR, "ban", "mallory", until=now() + 100)
        await trio.sleep(101)
        assert await banned() == {"coin": "by itself"}
        await world.connect("dice")
        assert (await world.rest("GET", "/api/users/me", "other")).status == 200


async def test_who_may_not_ban_a_bot_bans_its_owner_alone(relay_world: RelayWorld) -> None:
    async with relay_world(None, "mona", "mallory", **ON) as world:
        await bot(world, "dice", ROLL, owner="mallory")
        for name, role in (("mona", "moderator"), ("dice", "admin")):
            await world.engine.runner.write(partial(update_user, user_id=name, role=role))
        world.engine.accounts.forget()
        mona = Actor("mona", ServerRole.MODERATOR, "rest")
        await world.engine.moderation.restrict(mona, "ban", "mallory")
        assert [one.user_id for one in await world.engine.moderation.in_force(mona)] == ["mallory"]


async def test_a_new_token_stands_beside_the_others_or_in_their_place(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        identify = world.engine.accounts.identify
        second = await run_command(world.engine, "bot token", {"name": "dice"})
        assert [(await identify(token)).user_id for token in (world.tokens["dice"], second)] == ["dice", "dice"]
        third = await run_command(world.engine, "bot token", {"name": "dice", "replace": True})
        assert (await dice.closed()).code == 4503
        assert (await identify(third)).user_id == "dice"
        for token in (world.tokens["dice"], second):
            with pytest.raises(Disconnect):
                await identify(token)


async def test_commands_replace_those_of_before_and_the_same_again_say_nothing_new(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        names = [one["name"] for one in (await world.rest("GET", "/api/commands", "alice")).body["commands"]]
        assert names == ["roll", "secret"]
        same = await dice.request("bot_commands", {"commands": [SECRET, ROLL]})
        assert "message_id" not in same["payload"]
        await dice.request("bot_commands", {"commands": [HELP]})
        (left,) = (await world.rest("GET", "/api/commands", "alice")).body["commands"]
        assert left["name"] == "help"
        await dice.request("bot_commands", {"commands": []})
        assert (await world.rest("GET", "/api/commands", "alice")).body["commands"] == []


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([ROLL, ROLL], "the same name"),
        ([{"name": f"c{number}", "description": "x"} for number in range(4)], "at most 3 commands"),
        ([{"name": "Roll", "description": "x"}], "commands[0].name"),
        ([{"name": "x" * 33, "description": "x"}], "commands[0].name"),
        ([{"name": "x", "description": ""}], "commands[0].description"),
        ([{"name": "x", "description": "x" * 201}], "commands[0].description"),
        ([{"name": "x"}], "description"),
        ([{"name": "x", "description": "x", "run": "rm"}], "run"),
    ],
)
async def test_commands_that_cannot_be_are_refused_and_the_old_ones_stay(
    relay_world: RelayWorld, commands: list[dict[str, Any]], says: str
) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__COMMANDS="3") as (world, dice):
        refused = (await dice.request("bot_commands", {"commands": commands}))["payload"]
        assert refused["code"] == "invalid_payload"
        assert says in refused["message"]
        assert len((await world.rest("GET", "/api/commands", "alice")).body["commands"]) == 2


async def test_only_a_bot_has_commands(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        refused = (await alice.request("bot_commands", {"commands": [ROLL]}))["payload"]
        assert refused["code"] == "forbidden"
        assert "relay bot add" in refused["message"]


async def test_everybody_sees_the_bots_page_by_page(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", **ON) as world:
        for number in range(5):
            await bot(world, f"bot{number}", ROLL, SECRET)
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await world.rest("GET", f"/api/bots?limit=2{cursor}", "alice")).body
            seen += [one["user_id"] for one in page["bots"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [f"bot{number}" for number in range(5)]
        assert page["bots"][0]["commands"] == [
            {"name": "roll", "description": "Roll dice", "private": False, "usage": "2d6"},
            {"name": "secret", "description": "Something for you alone", "private": True},
        ]
        assert (await world.rest("GET", "/api/bots")).status == 401


async def test_completion_says_what_to_type_in_a_conversation(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        await bot(world, "cards", ROLL, HELP)
        await bot(world, "chess", HELP)
        alice = await world.connect("alice")

        async def offered(query: str = "") -> list[str]:
            answered = await world.rest("GET", f"/api/commands{query}", "alice")
            assert answered.status == 200, answered.body
            return [one["invoke"] for one in answered.body["commands"]]

        assert await offered() == ["/help@cards", "/help@chess", "/roll@cards", "/roll@dice", "/secret"]
        await world.rest("PUT", "/api/groups/team/members/cards", "alice", json_body={})
        assert await offered("?target_id=team") == ["/help", "/help@chess", "/roll", "/roll@dice", "/secret"]
        assert await offered("?target_id=dice&q=r") == ["/roll@cards", "/roll"]
        assert await world.engine.channels.at("user:alice:dice") is None
        assert await offered("?q=/se") == ["/secret"]
        assert await offered("?limit=2&cursor=help%20chess") == ["/roll@cards", "/roll@dice"]
        for target in ("team", "dice"):
            for typed in await offered(f"?target_id={target}"):
                assert "bot" in await invoke(alice, target, typed[1:])
        for target in ("team", "none", "bob"):  # nobody learns what there is by asking
            answered = await world.rest("GET", f"/api/commands?target_id={target}", "carol")
            assert [one["invoke"] for one in answered.body["commands"]] == await offered()
        assert (await world.rest("GET", "/api/conversations", "carol")).body["conversations"] == []
        assert (await world.rest("GET", "/api/commands?name=x", "alice")).status == 400


async def test_what_nobody_will_answer_any_more_is_forgotten(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__ANSWER_SECONDS="60") as (world, _dice):
        alice = await world.connect("alice")
        for _ in range(3):
            await invoke(alice, "team", "roll")
        await trio.sleep(4000)
        left = await world.engine.runner.read(
            lambda c: c.execute("SELECT count(*) FROM bots_invocations").fetchone()
        )
        assert left == (0,)


async def test_a_bot_that_speaks_rest_answers_as_well(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        page = (await world.rest("GET", "/api/messages/undelivered", "dice")).body["messages"]
        assert [one["meta"]["message_id"] for one in page if one["type"] == "slash_command"] == [invoked]
        envelope = {"type": "slash_response", "payload": {"invocation": invoked, "content": "7"}}
        assert (await world.rest("POST", "/api/messages", "dice", json_body=envelope)).status == 201
        assert len(await types(alice, "slash_response")) == 1
