"""Polls: voting, changing, taking back; closing; what is told to whom; what a deletion and a crash leave."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.app.plugin_admin import run_command
from relay.testing import EPOCH, Device, RelayWorld, World

ON = {"RELAY_PLUGINS__ALSO": "polls"}
LUNCH = {"question": "Lunch?", "options": ["pizza", "soup", "nothing"]}


async def asked(device: Device, target: str = "team", **more: Any) -> int:
    """Ask a poll and return its id."""
    answer = await device.request("poll", LUNCH | more, target)
    assert answer["type"] == "ack", answer
    return answer["payload"]["message_id"]


async def vote(device: Device, poll: int, *choices: int, target: str = "team", **more: Any) -> str:
    """Vote, and return "ack" or the code of the refusal."""
    answer = await device.request("poll_vote", {"poll": poll, "choices": list(choices)}, target, **more)
    return "ack" if answer["type"] == "ack" else answer["payload"]["code"]


async def result(device: Device) -> dict[str, Any]:
    """Return what the next result says, less which poll it is of."""
    payload = (await device.next("poll_result"))["payload"]
    return {name: value for name, value in payload.items() if name != "poll"}


async def shown(world: World, user: str, poll: int) -> dict[str, Any]:
    answer = await world.rest("GET", f"/api/polls/{poll}", user)
    assert answer.status == 200, answer.body
    return answer.body


async def team(world: World, *members: str, owner: str = "alice") -> None:
    await world.engine.groups.create(owner, "Team", list(members), "team")


async def test_votes_are_counted_changed_and_taken_back_and_everybody_is_told(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob", "carol")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        poll = await asked(alice)
        assert (await bob.next("poll"))["payload"] == LUNCH
        steps = [
            (bob, (0,), [1, 0, 0], 1),
            (carol, (0,), [2, 0, 0], 2),
            (bob, (1,), [1, 1, 0], 2),
            (carol, (), [0, 1, 0], 1),
        ]
        for device, choices, votes, voters in steps:
            assert await vote(device, poll, *choices) == "ack"
            assert await result(alice) == {"votes": votes, "voters": voters}
        assert await shown(world, "bob", poll) == {
            "message_id": poll,
            "author_id": "alice",
            "question": "Lunch?",
            "options": [
                {"text": "pizza", "votes": 0},
                {"text": "soup", "votes": 1},
                {"text": "nothing", "votes": 0},
            ],
            "multiple": False,
            "anonymous": False,
            "voters": 1,
            "mine": [1],
        }
        voted = (await world.rest("GET", f"/api/polls/{poll}/votes", "alice")).body
        assert voted == {"votes": [{"user_id": "bob", "choices": [1]}], "has_more": False, "next_cursor": None}


async def test_of_many_votes_at_once_one_result_is_told(relay_world: RelayWorld) -> None:
    names = [f"user{number}" for number in range(30)]
    async with relay_world(None, "alice", *names, **ON) as world:
        await team(world, *names)
        alice = await world.connect("alice")
        poll = await asked(alice)
        await trio.sleep(5)
        for name in names:
            assert await vote(await world.connect(name), poll, 2) == "ack"
        await trio.sleep(5)
        results = [frame["payload"] for frame in await alice.drain() if frame["type"] == "poll_result"]
        assert results[-1] == {"poll": poll, "votes": [0, 0, 30], "voters": 30}
        assert len(results) <= 3


async def test_a_page_of_history_brings_the_result_with_the_poll(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        poll = await asked(alice, "bob")
        bob = await world.connect("bob")
        await vote(bob, poll, 1, target="alice")
        await result(bob)
        page = (await world.rest("GET", "/api/messages/user/bob", "alice")).body
        latest = {one["type"]: one["payload"] for one in page["latest"] if one["type"].startswith("poll")}
        assert latest == {
            "poll_vote": {"poll": poll, "choices": [1]},
            "poll_result": {"poll": poll, "votes": [0, 1, 0], "voters": 1},
        }
        found = (await world.rest("GET", "/api/search?q=pizza", "bob")).body["results"]
        assert [one["message"]["meta"]["message_id"] for one in found] == [poll]
        (conversation,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
        assert conversation["unread"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"question": ""},
        {"options": ["one"]},
        {"options": ["same", "same"]},
        {"options": [str(number) for number in range(21)]},
        {"options": ["", "x"]},
        {"closes_at": EPOCH - 1},
        {"winner": 1},
    ],
)
async def test_a_poll_that_cannot_be_one_is_refused(relay_world: RelayWorld, wrong: dict[str, Any]) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        assert (await alice.request("poll", LUNCH | wrong, "bob"))["payload"]["code"] == "invalid_payload"


async def test_votes_that_cannot_be_are_refused(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        poll = await asked(alice)
        said = (await alice.request("group_message", {"content": "no poll"}, "team"))["payload"]["message_id"]
        assert await vote(bob, poll, 3) == "invalid_payload"
        assert await vote(bob, poll, 0, 1) == "invalid_payload"
        assert await vote(bob, poll, 1, 1) == "invalid_payload"
        assert await vote(bob, said, 0) == "invalid_payload"
        assert await vote(bob, 999, 0) == "not_found"
        assert await vote(bob, poll, 0, target="carol") == "not_found"
        assert await vote(carol, poll, 0) == "not_found"
        assert (await world.rest("GET", f"/api/polls/{poll}", "carol")).status == 404
        assert (await world.rest("GET", f"/api/polls/{poll}/votes", "carol")).status == 404
        assert (await world.rest("GET", f"/api/polls/{said}", "bob")).status == 404
        assert (await bob.request("poll_result", {"poll": poll, "votes": [9], "voters": 9}, "team"))["payload"][
            "code"
        ] == "forbidden"
        assert (await shown(world, "bob", poll))["voters"] == 0
        choosy = await asked(alice, multiple=True)
        assert await vote(bob, choosy, 0, 2) == "ack"
        assert (await shown(world, "bob", choosy))["mine"] == [0, 2]


async def test_who_joined_later_cannot_vote_in_what_they_do_not_see(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob")
        alice, carol = await world.connect("alice"), await world.connect("carol")
        poll = await asked(alice)
        await world.rest("PUT", "/api/groups/team/members/carol", "alice", json_body={})
        assert await vote(carol, poll, 0) == "not_found"
        assert (await world.rest("GET", f"/api/polls/{poll}", "carol")).status == 404


async def test_its_author_or_an_admin_of_the_group_closes_a_poll(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob", "carol")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        polls = [await asked(bob) for _ in range(2)]
        refused = await carol.request("poll_close", {"poll": polls[0]}, "team")
        assert refused["payload"]["code"] == "forbidden"
        await vote(carol, polls[0], 1)
        for device, poll in zip((bob, alice), polls, strict=True):
            answer = await device.request("poll_close", {"poll": poll}, "team")
            assert "message_id" in answer["payload"]
            again = await device.request("poll_close", {"poll": poll}, "team")
            assert "message_id" not in again["payload"]
            assert await vote(carol, poll, 0) == "forbidden"
        await trio.sleep(3)
        first, second = await shown(world, "carol", polls[0]), await shown(world, "carol", polls[1])
        assert (first["closed_by"], second["closed_by"]) == ("bob", "alice")
        assert first["mine"] == [1]
        last = [frame["payload"] for frame in await carol.drain() if frame["type"] == "poll_result"][-2:]
        assert {one["poll"]: one["closed_by"] for one in last} == {polls[0]: "bob", polls[1]: "alice"}


async def test_a_poll_closes_at_its_time_also_when_the_server_was_off(
    relay_world: RelayWorld, tmp_path: Path
) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice = await world.connect("alice")
        now = world.engine.now()
        soon, later = [await asked(alice, "bob", closes_at=now + seconds) for seconds in (60, 120)]
        async with world.after_crash(tmp_path / "again") as again:
            await trio.sleep(100)
            assert (await shown(again, "bob", soon))["closed_at"] == now + 60
            assert "closed_at" not in await shown(again, "bob", later)
            bob = await again.connect("bob")
            assert await vote(bob, soon, 0, target="alice") == "forbidden"
            assert await vote(bob, later, 0, target="alice") == "ack"
            await trio.sleep(30)
            told = [frame["payload"] for frame in await bob.drain() if frame["type"] == "poll_result"]
            assert told[-1] == {"poll": later, "votes": [1, 0, 0], "voters": 1, "closed_at": now + 120}
            async with again.after_crash(tmp_path / "third") as third:
                assert await shown(third, "bob", later) == await shown(again, "bob", later)


async def test_of_an_anonymous_poll_nobody_is_told_who_voted_and_in_the_end_nobody_can_tell(
    relay_world: RelayWorld,
) -> None:
    async with relay_world(None, "alice", "bob", "carol", **ON) as world:
        await team(world, "bob", "carol")
        alice, bob, carol = [await world.connect(name) for name in ("alice", "bob", "carol")]
        phone = await world.connect("bob", "bob-phone")
        poll = await asked(alice, anonymous=True)
        assert await vote(bob, poll, 1) == "ack"
        assert (await phone.next("poll_vote"))["payload"] == {"poll": poll, "choices": [1]}
        await trio.sleep(3)
        for device in (alice, carol):
            assert [f["type"] for f in await device.drain() if f["type"].startswith("poll_")] == ["poll_result"]
        for user in ("alice", "carol"):
            assert (await world.rest("GET", f"/api/polls/{poll}/votes", user)).status == 403
            page = (await world.rest("GET", "/api/messages/group/team", user)).body
            assert [one["type"] for one in page["latest"] if one["type"] == "poll_vote"] == []
        assert (await shown(world, "bob", poll))["mine"] == [1]
        await alice.request("poll_close", {"poll": poll}, "team")
        after = await shown(world, "bob", poll)
        assert (after["mine"], after["voters"], after["options"][1]["votes"]) == ([], 1, 1)

        def who(connection: Any) -> list[Any]:
            found = connection.execute("SELECT user_id FROM polls_votes").fetchall()
            return found + connection.execute("SELECT sender_id FROM latest WHERE type = 'poll_vote'").fetchall()

        assert await world.engine.runner.read(who) == []


async def test_a_deleted_poll_takes_its_votes_along(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        poll = await asked(alice, "bob")
        await vote(bob, poll, 0, target="alice")
        await alice.request("message_delete", {"message_id": poll}, "bob")
        assert await vote(bob, poll, 1, target="alice") == "not_found"
        assert (await world.rest("GET", f"/api/polls/{poll}", "bob")).status == 404
        await trio.sleep(10)

        def left(connection: Any) -> list[int]:
            tables = ("polls_polls", "polls_votes", "polls_counts", "latest WHERE type LIKE 'poll%'")
            return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

        assert await world.engine.runner.read(left) == [0, 0, 0, 0]
        assert world.engine.registry.guard("polls").failures == 0


async def test_a_vote_stays_when_its_voter_leaves(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await team(world, "bob")
        alice, bob = await world.connect("alice"), await world.connect("bob")
        poll = await asked(alice)
        await vote(bob, poll, 1)
        await world.rest("DELETE", "/api/groups/team/members/bob", "alice")
        assert await vote(bob, poll, 0) == "not_found"
        assert (await shown(world, "alice", poll))["options"][1]["votes"] == 1
        assert (await world.rest("GET", f"/api/polls/{poll}", "bob")).status == 404


async def test_a_deleted_groups_polls_end_in_silence(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await team(world, "bob")
        alice = await world.connect("alice")
        await asked(alice, closes_at=world.engine.now() + 60)
        await world.engine.groups.delete("alice", "team")
        await trio.sleep(120)
        left = await world.engine.runner.read(lambda c: c.execute("SELECT count(*) FROM polls_polls").fetchone())
        assert (left, world.engine.registry.guard("polls").failures) == ((0,), 0)


async def test_a_retried_vote_or_poll_is_one_also_once_its_time_is_over(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        asked_once = LUNCH | {"closes_at": world.engine.now() + 10}
        first = await alice.request("poll", asked_once, "bob", id="p", copies=2)
        poll = first["payload"]["message_id"]
        assert await vote(bob, poll, 0, target="alice", id="v", copies=3) == "ack"
        await trio.sleep(30)
        late = await alice.request("poll", asked_once, "bob", id="p")
        assert (late["payload"]["duplicate"], late["payload"]["message_id"]) == (True, poll)
        assert await vote(bob, poll, 0, target="alice", id="v") == "ack"
        assert await vote(bob, poll, 1, target="alice", id="w") == "forbidden"
        assert (await shown(world, "bob", poll))["options"][0]["votes"] == 1


async def test_the_commands_list_show_and_close(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        poll = await asked(alice, "bob")
        await vote(bob, poll, 2, target="alice")
        (row,) = await run_command(world.engine, "poll list", {})
        assert row == {
            "poll": poll,
            "conversation": "user:alice:bob",
            "author": "alice",
            "voters": 1,
            "state": "open",
            "closes_at": "",
        }
        table = await run_command(world.engine, "poll show", {"poll": poll})
        assert table[2] == {"option": 2, "text": "nothing", "votes": 1}
        assert await run_command(world.engine, "poll close", {"poll": poll}) == f"poll {poll}: closed"
        assert await run_command(world.engine, "poll close", {"poll": poll}) == f"poll {poll}: closed already"
        assert await run_command(world.engine, "poll list", {}) == []
        assert len(await run_command(world.engine, "poll list", {"all": True})) == 1
        await trio.sleep(3)
        results = [frame["payload"] for frame in await bob.drain() if frame["type"] == "poll_result"]
        assert results[-1]["closed_at"] > 0


async def test_no_two_results_of_a_poll_are_closer_than_the_administrator_wants(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON, RELAY_PLUGINS__POLLS__RESULT_SECONDS="30") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        poll = await asked(alice, "bob")
        times = []
        for choice in (0, 1, 0, 1):
            await vote(bob, poll, choice, target="alice")
            times.append((await alice.next("poll_result"))["meta"]["timestamp"])
        assert all(later - earlier >= 30 for earlier, later in pairwise(times[1:]))


async def test_the_list_of_conversations_has_the_votes_of_a_poll_that_came_last(relay_world: RelayWorld) -> None:
    async with relay_world(None, "alice", "bob", **ON) as world:
        await team(world, "bob")
        alice, bob = await world.connect("alice"), await world.connect("bob")
        poll = await asked(alice)
        assert await vote(bob, poll, 1) == "ack"
        await alice.request("reaction", {"message_id": poll, "emoji": "👍", "on": True}, "team")
        assert await result(alice) == {"votes": [0, 1, 0], "voters": 1}
        (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
        assert [(one["type"], one["meta"]["about"]) for one in row["latest"]] == [
            ("poll_vote", poll),
            ("poll_result", poll),
        ]
        await alice.request("group_message", {"content": "soup it is"}, "team")
        (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
        assert "latest" not in row
