"""Responses: whom they reach and until when; a bot may do nothing else where it is no member."""

from typing import Any

import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.client import Event, Mirror
from relay.testing import RelayWorld
from tests.plugins.bots.people import HELP, answer, bot, invoke, types, with_dice


async def test_everybody_in_the_conversation_gets_an_answer(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        invoked = (await invoke(alice, "team", "roll", "2d6"))["message_id"]
        acked = await answer(dice, invoked, "2d6: 7", id="a-1")
        assert (acked["private"], "seq" in acked) == (False, False)
        for device in (alice, bob):
            frame = await device.next("slash_response")
            assert frame["payload"] == {
                "invocation": invoked,
                "content": "2d6: 7",
                "command": "roll",
                "invoked_by": "alice",
            }
            meta = frame["meta"]
            assert (meta["sender_id"], meta["target_id"], meta["seq"]) == ("dice", "team", 2)
        history = await world.history("bob", "group", "team")
        assert [one["type"] for one in history] == ["group_event", "slash_response"]
        found = (await world.rest("GET", "/api/search?q=7", "bob")).body["results"]
        assert [one["message"]["meta"]["sender_id"] for one in found] == ["dice"]
        assert (await world.rest("GET", "/api/conversations", "bob")).body["conversations"][0]["unread"] == 1


async def test_a_private_answer_reaches_all_devices_of_the_invoker_and_nobody_else(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        phone = await world.connect("alice", "alice-phone")
        for command, more in (("roll", {"private": True}), ("secret", {})):
            invoked = (await invoke(alice, "team", command))["message_id"]
            private = (await dice.next("slash_command"))["payload"].get("private", False)
            assert private is (command == "secret")
            assert (await answer(dice, invoked, "psst", **more))["private"] is True
            for device in (alice, phone):
                frame = await device.next("slash_response")
                assert frame["payload"]["private"] is True
                assert "target_id" not in frame["meta"]
        assert await types(bob, "slash_response") == []
        assert len(await world.history("bob", "group", "team")) == 1
        told = (await world.rest("GET", "/api/notifications", "alice")).body["messages"]
        assert [one["payload"]["content"] for one in told] == ["psst", "psst"]


async def test_between_two_others_an_answer_is_private_and_with_the_bot_itself_it_is_said_there(
    relay_world: RelayWorld,
) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        between = (await invoke(alice, "bob", "roll"))["message_id"]
        frame = await dice.next("slash_command")
        assert frame["payload"]["private"] is True
        assert frame["payload"]["place"] == {"kind": "user", "target_id": "bob"}
        await answer(dice, between, "7")
        assert "target_id" not in (await alice.next("slash_response"))["meta"]
        assert await world.history("bob", "user", "alice") == []
        alone = (await invoke(alice, "dice", "roll"))["message_id"]
        await answer(dice, alone, "8")
        frame = await alice.next("slash_response")
        assert (frame["meta"]["sender_id"], frame["meta"]["target_id"]) == ("dice", "alice")
        assert [one["payload"]["content"] for one in await world.history("alice", "user", "dice")] == ["8"]
        assert await types(bob, "slash_response") == []


async def test_a_bot_that_is_not_there_can_answer_and_do_nothing_else(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        cards = await bot(world, "cards", HELP)
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        said = (await answer(dice, invoked, "7"))["message_id"]
        payloads = [
            ("group_message", {"content": "hello"}),
            ("message_edit", {"message_id": said, "content": "8"}),
            ("reaction", {"message_id": said, "emoji": "x", "on": True}),
            ("slash_command", {"command": "help"}),
        ]
        for type_, payload in payloads:
            assert (await dice.request(type_, payload, "team"))["payload"]["code"] == "not_found"
        assert (await world.rest("GET", "/api/messages/group/team", "dice")).status == 404
        assert (await answer(cards, invoked, "mine"))["code"] == "not_found"
        assert (await answer(alice, invoked, "mine"))["code"] == "not_found"
        assert (await answer(dice, said, "no invocation"))["code"] == "not_found"
        for more in ({"command": "x"}, {"invoked_by": "bob"}, {"reply_to": 1}, {"content": 5}):
            payload: dict[str, Any] = {"invocation": invoked, "content": "x"} | more
            assert (await dice.request("slash_response", payload))["payload"]["code"] == "invalid_payload"
        targeted = await dice.request("slash_response", {"invocation": invoked, "content": "x"}, "team")
        assert targeted["payload"]["code"] == "bad_envelope"


async def test_an_answer_may_be_retried_for_ever_but_not_begun_too_late(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__ANSWER_SECONDS="60") as (world, dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        first = await answer(dice, invoked, "7", id="a-1")
        assert (await answer(dice, invoked, "7", id="a-1"))["duplicate"] is True
        assert (await answer(dice, invoked, "9", id="a-1"))["code"] == "conflict"
        await dice.cut()
        await trio.sleep(70)
        dice = await world.connect("dice")
        again = await answer(dice, invoked, "7", id="a-1")
        assert (again["duplicate"], again["message_id"]) == (True, first["message_id"])
        assert "seq" not in again
        refused = await answer(dice, invoked, "8", id="a-2")
        assert refused["code"] == "not_found"
        assert "60 s" in refused["message"]
        history = await world.history("bob", "group", "team")
        assert [one["payload"]["content"] for one in history if one["type"] == "slash_response"] == ["7"]


async def test_there_are_only_so_many_answers(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__BOTS__ANSWERS="2") as (world, dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        codes = [(await answer(dice, invoked, str(number))).get("code") for number in range(3)]
        assert codes == [None, None, "not_found"]


async def test_who_invokes_and_leaves_is_answered_in_private_only(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        invoked = (await invoke(bob, "team", "roll"))["message_id"]
        await world.rest("DELETE", "/api/groups/team/members/bob", "alice")
        refused = await answer(dice, invoked, "7")
        assert refused["code"] == "not_found"
        assert "private" in refused["message"]
        assert (await answer(dice, invoked, "7", private=True))["private"] is True
        assert (await bob.next("slash_response"))["payload"]["content"] == "7"
        assert await types(alice, "slash_response") == []


async def test_an_answer_brings_files_and_calls_members_by_name(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        uploaded = await world.rest(
            "POST", "/api/attachments?name=dice.txt", "dice", data=b"7", headers={"Content-Type": "text/plain"}
        )
        file = uploaded.body["attachment_id"]
        assert (await world.rest("GET", f"/api/attachments/{file}", "bob")).status == 404
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        assert (await answer(dice, invoked, "x", mentions=["carol"]))["code"] == "invalid_payload"
        assert (await answer(dice, invoked, "x", attachments=["none"]))["code"] == "not_found"
        await answer(dice, invoked, "see", attachments=[file], mentions=["bob"])
        assert (await bob.next("slash_response"))["payload"]["attachments"] == [file]
        assert (await world.rest("GET", f"/api/attachments/{file}", "bob")).body == b"7"
        (team,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
        assert team["unread_mentions"] == 1


@pytest.mark.parametrize("from_text", [False, True])
async def test_the_invoker_is_told_once_of_a_bot_that_is_silent(relay_world: RelayWorld, from_text: bool) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        phone = await world.connect("alice", "alice-phone")
        if from_text:
            said = await alice.request("group_message", {"content": "/roll"}, "team")
            about = {"about": said["payload"]["message_id"]}
        else:
            await invoke(alice, "team", "roll")
            about = {}
        invoked = (await dice.next("slash_command"))["meta"]["message_id"]
        await trio.sleep(9)
        assert await types(alice, "slash_notice") == []
        await trio.sleep(2)
        for device in (alice, phone):
            (notice,) = await types(device, "slash_notice")
            assert notice["payload"] == {
                "reason": "no_answer",
                "message": "dice has not answered yet",
                "command": "roll",
                "bot": "dice",
                "invocation": invoked,
                **about,
            }
        assert "message_id" in await answer(dice, invoked, "late but there")
        await trio.sleep(10)
        assert await types(alice, "slash_notice") == await types(bob, "slash_notice") == []


async def test_nobody_is_told_of_a_bot_that_answers_in_time(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        await answer(dice, invoked, "7")
        await trio.sleep(30)
        assert await types(alice, "slash_notice") == []


async def test_a_bot_in_the_group_is_a_member_like_others(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        await world.rest("PUT", "/api/groups/team/members/dice", "alice", json_body={})
        alice = await world.connect("alice")
        invoked = (await invoke(alice, "team", "roll"))["message_id"]
        said = (await answer(dice, invoked, "7"))["message_id"]
        edit = await dice.request("message_edit", {"message_id": said, "content": "8"}, "team")
        assert edit["type"] == "ack"
        assert (await world.history("alice", "group", "team"))[-2]["payload"]["content"] == "8"
        await run_command(world.engine, "bot remove", {"name": "dice"})
        assert (await dice.closed()).code == 4502


async def test_a_mirror_counts_answers_and_polls_as_the_server_does(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world, RELAY_PLUGINS__ALSO="bots,polls") as (world, dice):
        alice = await world.connect("alice")
        for more in ({}, {"private": True}, {}):
            await answer(dice, (await invoke(alice, "team", "roll"))["message_id"], "7", **more)
        await alice.request("poll", {"question": "Again?", "options": ["yes", "no"]}, "team")
        for user in ("alice", "bob"):
            mirror = Mirror(user)
            device = await world.connect(user, "late", cursor=0, epoch=world.engine.epoch)
            for frame in device.replayed:
                mirror.apply(Event(frame["type"], frame["payload"], frame["meta"]))
            (team,) = (await world.rest("GET", "/api/conversations", user)).body["conversations"]
            own = (await world.rest("GET", "/api/notifications", user)).body
            now = world.engine.now()
            assert mirror.conversation("team").unread(user, now) == team["unread"]
            assert mirror.conversation("self").unread(user, now) == own["unread"]
            assert (team["unread"], own["unread"]) == ((0, 1) if user == "alice" else (3, 0))
            assert sorted(mirror.conversation("team").messages) == [1, 2, 3, 4]


async def test_what_is_invoked_in_a_thread_is_answered_in_that_thread(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, bob = await world.connect("alice"), await world.connect("bob")
        root = (await alice.request("group_message", {"content": "Who begins?"}, "team"))["payload"]["message_id"]
        asked = {"command": "roll", "thread": root}
        invoked = (await alice.request("slash_command", asked, "team"))["payload"]["message_id"]
        frame = await dice.next("slash_command")
        assert (frame["payload"]["thread"], "about" in frame["payload"]) == (root, False)
        told = await answer(dice, invoked, "7")
        assert (await bob.next("slash_response"))["payload"]["thread"] == root
        said = (await bob.request("group_message", {"content": "/roll 2", "thread": root}, "team"))["payload"]
        frame = await dice.next("slash_command")
        assert (frame["payload"]["thread"], frame["payload"]["about"]) == (root, said["message_id"])
        again = await answer(dice, frame["meta"]["message_id"], "3")
        await answer(dice, frame["meta"]["message_id"], "for you", private=True)
        for_all, private = [(await bob.next("slash_response"))["payload"] for _ in range(2)]
        assert (for_all["thread"], private["private"], "thread" in private) == (root, True, False)
        page = (await world.rest("GET", f"/api/messages/thread/{root}", "alice")).body
        contents = [one["meta"]["message_id"] for one in page["messages"]]
        assert contents == [told["message_id"], said["message_id"], again["message_id"]]


async def test_a_thread_that_is_none_takes_no_command(relay_world: RelayWorld) -> None:
    async with with_dice(relay_world) as (world, dice):
        alice, carol = await world.connect("alice"), await world.connect("carol")
        root = (await alice.request("group_message", {"content": "Who begins?"}, "team"))["payload"]["message_id"]
        reply = {"content": "I do", "thread": root}
        inside = (await alice.request("group_message", reply, "team"))["payload"]["message_id"]
        for thread, says in ((inside, f"reply in the thread of message {root}"), (9999, "message 9999")):
            refused = await alice.request("slash_command", {"command": "roll", "thread": thread}, "team")
            assert says in refused["payload"]["message"]
        refused = await carol.request("slash_command", {"command": "roll", "thread": root}, "bob")
        assert refused["payload"]["code"] == "not_found"
        assert await types(dice, "slash_command") == []
