"""Answers to actions: who may give them, how often, and who gets them."""

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.plugin import NOTIFY
from relay.testing import RelayWorld
from tests.plugins.actions.pressing import BOTH, ask, newest, press, with_team


async def types(device: Any, *wanted: str) -> list[dict[str, Any]]:
    return [frame for frame in await device.drain() if frame["type"] in wanted]


async def test_the_author_alone_gets_an_answer_and_it_counts_as_nothing_unread(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, alice, bob, carol):
        asked = await ask(bob, BOTH)
        acked = await press(alice, asked, "approve", id="a-1", copies=3)
        assert "seq" not in acked
        (frame,) = await types(bob, "action")
        assert frame["payload"] == {
            "message_id": asked, "action": "approve", "type": "group_message",
            "place": {"kind": "group", "target_id": "team", "name": "The team"},
        }  # fmt: skip
        assert frame["meta"]["sender_id"] == "alice"
        assert await types(alice, "action") == await types(carol, "action") == []
        assert (await world.rest("GET", "/api/notifications", "bob")).body["unread"] == 0
        assert len(await world.history("carol", "group", "team")) == 2


async def test_all_see_the_state_and_each_user_their_own_answer(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, alice, bob, carol):
        asked = await ask(bob, BOTH)
        await press(alice, asked, "approve")
        assert await newest(carol, "action_state") == {"message_id": asked, "answers": 1}
        assert await newest(alice, "action_answer") == {"message_id": asked, "action": "approve"}
        await press(carol, asked, "reject")
        await newest(carol, "action_answer")
        assert await newest(bob, "action_state") == {"message_id": asked, "answers": 2}
        assert await types(bob, "action_answer") == []
        for user, own in (("alice", ["approve"]), ("carol", ["reject"]), ("bob", [])):
            page = (await world.rest("GET", "/api/messages/group/team", user)).body
            told = [one["payload"]["action"] for one in page["latest"] if one["type"] == "action_answer"]
            assert told == own


async def test_an_answer_waits_for_an_author_who_is_away_and_survives_a_crash(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with with_team(relay_world) as (world, alice, bob, _carol):
        asked = await ask(bob, BOTH)
        cursor = world.engine.router.position
        await bob.cut()
        await press(alice, asked, "approve", id="a-1")
        async with world.after_crash(tmp_path / "again") as again:
            back = await again.connect("bob", cursor=cursor, epoch=again.engine.epoch)
            assert [one["payload"]["action"] for one in back.replayed if one["type"] == "action"] == ["approve"]
            other = await again.connect("alice", "other", cursor=cursor, epoch=again.engine.epoch)
            assert (await press(other, asked, "approve", id="a-1"))["duplicate"]
            assert (await press(other, asked, "reject"))["code"] == "conflict"


@pytest.mark.parametrize(("once", "second"), [("user", "conflict"), ("never", None)])
async def test_a_user_answers_as_often_as_the_message_says(
    relay_world: RelayWorld, once: str, second: str | None
) -> None:
    async with with_team(relay_world, RELAY_PLUGINS__ACTIONS__ANSWERS="2") as (_world, alice, bob, _):
        asked = await ask(bob, BOTH | {"once": once})
        await press(alice, asked, "approve")
        assert (await press(alice, asked, "reject")).get("code") == second
        if once == "never":
            third = await press(alice, asked, "reject")
            assert (third["code"], "2 times" in third["message"]) == ("forbidden", True)
            assert (await newest(bob, "action_state"))["answers"] == 2


async def test_the_first_answer_of_all_wins_where_one_is_enough(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (_world, alice, bob, carol):
        asked = await ask(bob, BOTH | {"once": "message"})
        await press(alice, asked, "approve")
        late = await press(carol, asked, "reject")
        assert (late["code"], late["message"]) == ("conflict", f"alice has answered message {asked} already")
        state = await newest(carol, "action_state")
        assert (state["closed_by"], state["answers"]) == ("alice", 1)
        await bob.request("action_close", {"message_id": asked, "outcome": "Approved"})
        assert (await newest(carol, "action_state"))["outcome"] == "Approved"


@pytest.mark.parametrize(
    ("allowed", "code"), [("admins", "forbidden"), (["alice"], "forbidden"), (["carol"], None), ("everyone", None)]
)
async def test_only_those_for_whom_they_are_may_answer(
    relay_world: RelayWorld, allowed: Any, code: str | None
) -> None:
    async with with_team(relay_world) as (_world, alice, bob, carol):
        asked = await ask(bob, BOTH | {"for": allowed})
        assert (await press(carol, asked, "approve")).get("code") == code
        if allowed == "admins":
            assert "code" not in await press(alice, asked, "approve")


async def test_who_does_not_see_the_message_or_has_left_cannot_answer(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, alice, bob, carol):
        asked = await ask(bob, BOTH)
        private = await bob.request("chat_message", {"content": "?", "actions": BOTH}, "alice")
        assert (await press(carol, private["payload"]["message_id"], "approve"))["code"] == "not_found"
        assert "code" not in await press(alice, private["payload"]["message_id"], "approve")
        await world.rest("DELETE", "/api/groups/team/members/carol", "carol")
        assert (await press(carol, asked, "approve"))["code"] == "not_found"
        plain = await bob.request("group_message", {"content": "no actions"}, "team")
        refused = await press(alice, plain["payload"]["message_id"], "approve")
        assert (refused["code"], "has no actions" in refused["message"]) == ("invalid_payload", True)


async def test_a_notification_has_actions_too_and_its_page_tells_the_answer(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, alice, bob, _carol):
        sent = await world.engine.submitter.send_as(
            "bob", "notification", {"title": "Deploy?", "actions": BOTH}, "alice", scopes=frozenset({NOTIFY})
        )
        asked = sent.message_id or 0
        await press(alice, asked, "approve")
        assert (await newest(bob, "action"))["place"] == {"kind": "self"}
        assert (await newest(alice, "action_answer"))["action"] == "approve"
        page = (await world.rest("GET", "/api/notifications", "alice")).body
        assert {one["type"] for one in page["latest"]} == {"action_state", "action_answer"}


async def test_the_author_and_admins_of_the_group_close_actions(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (_world, alice, bob, carol):
        asked = await ask(bob, BOTH)
        close = {"message_id": asked}
        assert (await carol.request("action_close", close))["payload"]["code"] == "forbidden"
        assert (await alice.request("action_close", close))["type"] == "ack"
        assert (await newest(carol, "action_state"))["closed_by"] == "alice"
        refused = await press(carol, asked, "approve")
        assert (refused["code"], refused["message"]) == ("forbidden", f"the actions of message {asked} are closed")


async def test_an_edit_with_other_actions_begins_anew(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (_world, alice, bob, carol):
        asked = await ask(bob, BOTH | {"once": "message"})
        await press(alice, asked, "approve")
        await newest(carol, "action_state")
        edit = {"message_id": asked, "content": "And now?"}
        await bob.request("message_edit", edit, "team")
        assert (await press(carol, asked, "approve"))["code"] == "conflict"
        again = {"elements": [{"type": "button", "id": "go", "label": "Go"}]}
        await bob.request("message_edit", edit | {"actions": again}, "team")
        assert await newest(carol, "action_state") == {"message_id": asked, "answers": 0, "round": 1}
        assert "it has go" in (await press(alice, asked, "approve"))["message"]
        assert "code" not in await press(alice, asked, "go")
        await bob.request("message_edit", edit | {"actions": {"elements": []}}, "team")
        assert (await press(carol, asked, "go"))["code"] == "invalid_payload"


async def test_with_the_message_go_its_answers_and_its_state(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, alice, bob, carol):
        asked = await ask(bob, BOTH)
        answered = (await press(alice, asked, "approve"))["message_id"]
        await newest(carol, "action_state")
        await bob.request("message_delete", {"message_id": asked}, "team")
        await trio.sleep(5)
        left = await world.engine.runner.read(
            lambda connection: [
                connection.execute(query).fetchall()
                for query in (
                    "SELECT * FROM actions_messages", "SELECT * FROM actions_answers", "SELECT * FROM latest WHERE type LIKE 'action%'",
                    f"SELECT payload FROM log WHERE message_id = {answered}",
                )
            ]
        )  # fmt: skip
        assert left == [[], [], [], [(None,)]]
        assert (await press(carol, asked, "approve"))["code"] == "not_found"


async def test_an_erased_user_leaves_no_answer(relay_world: RelayWorld) -> None:
    async with with_team(relay_world) as (world, _alice, bob, carol):
        asked = await ask(bob, BOTH | {"once": "message"})
        await press(carol, asked, "approve")
        await newest(bob, "action_state")
        await world.engine.leaving.erase("carol")
        state = await newest(bob, "action_state")
        assert (state["answers"], state.get("closed_by"), state["closed_at"] > 0) == (0, None, True)
