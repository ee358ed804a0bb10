"""Text that begins with a command: it stays a message, and the bot gets it once, whatever happens."""

import random
from pathlib import Path

import pytest
import trio

from relay.testing import RelayWorld
from tests.plugins.bots.people import HELP, ROLL, answer, bot, types, with_dice


async def test_text_that_begins_with_a_command_stays_text_and_invokes_it(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        said = (await alice.request("group_message", {"content": "/roll  2d6 \n"}, "team"))["payload"]
        assert (await bob.next("group_message"))["payload"] == {"content": "/roll  2d6 \n"}
        frame = await dice.next("slash_command")
        assert frame["payload"] == {
            "command": "roll",
            "text": "2d6",
            "place": {"kind": "group", "target_id": "team", "name": "The team"},
            "about": said["message_id"],
        }
        assert frame["meta"]["sender_id"] == "alice"
        await answer(dice, frame["meta"]["message_id"], "7")
        assert (await bob.next("slash_response"))["payload"]["reply_to"] == said["message_id"]


@pytest.mark.parametrize(
    "text",
    [
        "roll",
        " /roll",
        "/",
        "/ roll",
        "//roll",
        "/rolls",
        "/roll2d6 x",
        "/nothing",
        "/roll@bob",
        "/etc/roll",
        "/röll",
    ],
)
async def test_other_text_is_just_text(relay_world: RelayWorld, text: str) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        assert (await alice.request("group_message", {"content": text}, "team"))["type"] == "ack"
        decoy = {"content": "x", "extra": {"content": "/roll"}}
        assert (await alice.request("group_message", decoy, "team"))["type"] == "ack"
        await trio.sleep(1)
        assert await types(dice, "slash_command") == await types(alice, "slash_notice") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/roll", "say /roll@cards or /roll@dice"),
        ("/deal@cards now", "cards has no command /deal"),
        ("/secret " + "x" * 4001, "at most 4000 characters"),
    ],
)
async def test_who_meant_a_command_is_told_why_it_was_none(relay_world: RelayWorld, text: str, says: str) -> None:
    async with with_dice(relay_world) as (world, dice):
        cards = await bot(world, "cards", ROLL, HELP)
        alice, bob = await world.connect("alice"), await world.connect("bob")
        said = (await alice.request("group_message", {"content": text}, "team"))["payload"]["message_id"]
        notice = (await alice.next("slash_notice"))["payload"]
        assert says in notice.pop("message")
        assert notice == {"reason": "refused", "command": text.split()[0][1:], "about": said}
        for device in (dice, cards, bob):
            assert await types(device, "slash_command", "slash_notice") == []


async def test_the_case_of_a_spoken_command_makes_no_difference_and_a_direct_message_does(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        await alice.say("dice", "/Roll")
        frame = await dice.next("slash_command")
        assert (frame["payload"]["command"], "private" in frame["payload"]) == ("roll", False)
        await alice.say("bob", "/ROLL@dice 3")
        assert (await dice.next("slash_command"))["payload"]["private"] is True


async def test_what_was_spoken_before_a_crash_is_carried_after_it_and_once(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with with_dice(relay_world) as (world, _dice):
        alice = await world.connect("alice")
        engine = world.engine

        def keep_back(connection: object) -> None:
            """Leave a row where a crash between the two transactions would."""
            connection.execute(  # type: ignore[attr-defined]
                "INSERT INTO bots_spoken SELECT message_id, sender_id, channel_id, '/roll 9' FROM log"
                " WHERE type = 'group_message'"
            )

        await alice.request("group_message", {"content": "no command"}, "team")
        await engine.runner.write(keep_back)
        for number in range(2):
            async with world.after_crash(tmp_path / f"again-{number}") as again:
                await trio.sleep(1)
                async with again.after_crash(tmp_path / f"third-{number}") as third:
                    await trio.sleep(1)
                    dice = await third.connect("dice", cursor=0, epoch=third.engine.epoch)
                    invoked = [one for one in dice.replayed if one["type"] == "slash_command"]
                    assert [one["payload"]["text"] for one in invoked] == ["9"]
                    left = await third.engine.runner.read(
                        lambda c: c.execute("SELECT count(*) FROM bots_spoken").fetchone()
                    )
                    assert left == (0,)


async def test_a_message_sent_again_invokes_once(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        await alice.request("group_message", {"content": "/roll 1"}, "team", id="m-1", copies=4)
        await trio.sleep(1)
        await alice.request("group_message", {"content": "/roll 1"}, "team", id="m-1")
        await alice.request("group_message", {"content": "/roll 2"}, "team", id="m-2")
        await trio.sleep(1)
        assert [one["payload"]["text"] for one in await types(dice, "slash_command")] == ["1", "2"]


async def test_an_edit_invokes_nothing(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        said = (await alice.request("group_message", {"content": "x"}, "team"))["payload"]["message_id"]
        await alice.request("message_edit", {"message_id": said, "content": "/roll"}, "team")
        await trio.sleep(1)
        assert await types(dice, "slash_command") == []


async def test_one_who_speaks_too_many_commands_is_told_and_others_are_not_held_up(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__INVOCATIONS_PER_MINUTE="5") as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        for number in range(40):
            await alice.say("team", f"/roll {number}", type="group_message")
        await bob.say("team", "/roll bob", type="group_message")
        await trio.sleep(2)
        assert [one["payload"]["text"] for one in await types(dice, "slash_command")] == [*"01234", "bob"]
        notices = await types(alice, "slash_notice")
        assert 20 <= len(notices) < 25
        assert "too many commands" in notices[0]["payload"]["message"]


async def test_switched_off_text_is_text(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__FROM_TEXT="false") as (world, dice):
        alice = await world.connect("alice")
        await alice.say("team", "/roll", type="group_message")
        await trio.sleep(1)
        assert await types(dice, "slash_command") == []


@pytest.mark.parametrize("seed", range(3))
async def test_whenever_it_crashes_each_command_that_was_acked_is_carried_once(
    relay_world: RelayWorld, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__INVOCATIONS_PER_MINUTE="0") as (world, _dice):
        alice = await world.connect("alice")
        acked: list[str] = []
        for number in range(60):
            said = rng.choice(("/roll", "not /roll"))
            await alice.request("group_message", {"content": f"{said} {number}"}, "team")
            if said == "/roll":
                acked.append(str(number))
            for _ in range(rng.randrange(4)):
                await trio.lowlevel.checkpoint()
            if rng.random() < 0.1:
                async with world.after_crash(tmp_path / str(number)) as again:
                    dice = await again.connect("dice", cursor=0, epoch=again.engine.epoch)
                    await trio.sleep(1)
                    came = [*dice.replayed, *await dice.drain()]
                    assert [f["payload"]["text"] for f in came if f["type"] == "slash_command"] == acked
