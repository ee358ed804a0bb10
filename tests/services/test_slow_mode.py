"""Slow mode: once in so many seconds, by every way in; the group's owner and admins as often as they like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.protocol.errors import RelayError
from relay.protocol.kinds import Role
from relay.services.slow_mode import MOST_SECONDS
from relay.testing import Device, World
from relay.testing import world as open_world

pytestmark = pytest.mark.world("alice", "bob", "carol")

PATH = "/api/groups/team"


async def make_team(world: World, seconds: int = 30) -> None:
    await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
    if seconds:
        answer = await world.rest("PATCH", PATH, "alice", json_body={"slow_mode_seconds": seconds})
        assert (answer.status, answer.body["slow_mode_seconds"]) == (200, seconds)


async def say(device: Device, text: str = "hello", id: str | None = None, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await device.request("group_message", {"content": text, **more}, "team", id=id)
    return answer


def refusal(answer: dict[str, Any]) -> Any:
    assert answer["type"] == "error", answer
    return answer["payload"]


async def test_a_member_writes_once_in_so_many_seconds(world: World) -> None:
    await make_team(world)
    bob, carol = await world.connect("bob"), await world.connect("carol")
    assert (await say(bob))["type"] == "ack"
    await trio.sleep(10)
    refused = refusal(await say(bob))
    assert (refused["code"], refused["retry"], refused["retry_after"]) == ("rate_limited", True, 20.0)
    assert refused["details"] == {"reason": "slow_mode", "seconds": 30}
    assert "write again in 20 s" in refused["message"]
    assert (await say(carol))["type"] == "ack"  # each for themself
    assert refusal(await bob.request("group_message", {"content": "x", "thread": 2}, "team"))
    await trio.sleep(20)
    assert (await say(bob))["type"] == "ack"
    assert refusal(await say(bob))["retry_after"] == 30.0


async def test_a_refused_message_does_not_make_the_wait_longer(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    await say(bob)
    for left in (20.0, 10.0):
        await trio.sleep(10)
        assert refusal(await say(bob))["retry_after"] == left


async def test_the_owner_and_admins_write_as_they_like_and_everybody_reacts(world: World) -> None:
    await make_team(world)
    await world.engine.groups.put_member("alice", "team", "carol", Role.ADMIN)
    bob = await world.connect("bob")
    for name in ("alice", "carol"):
        device = await world.connect(name)
        assert [(await say(device))["type"] for _ in range(3)] == ["ack"] * 3
    message_id = (await say(bob))["payload"]["message_id"]
    for type_, payload in (
        ("reaction", {"message_id": message_id, "emoji": "👍", "on": True}),
        ("message_edit", {"message_id": message_id, "content": "better"}),
        ("typing_indicator", {"typing": True}),
        ("message_delete", {"message_id": message_id}),
    ):
        assert (await bob.request(type_, payload, "team"))["type"] == "ack", type_


async def test_a_retry_of_a_stored_message_gets_its_ack(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    first = await say(bob, id="m-1")
    assert (await say(bob, id="m-1"))["payload"]["message_id"] == first["payload"]["message_id"]
    assert refusal(await say(bob, id="m-2"))


async def test_of_two_messages_in_one_batch_one_is_stored(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    for number in (1, 2):
        await bob.say("team", f"text {number}", f"m-{number}", "group_message")
    answers = [await bob.next("ack", "error") for _ in range(2)]
    assert [answer["type"] for answer in answers] == ["ack", "error"]


async def test_a_message_that_its_type_refuses_does_not_count(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    assert refusal(await say(bob, reply_to=999))["code"] == "not_found"
    assert (await say(bob))["type"] == "ack"


async def test_it_holds_for_rest_and_for_what_plugins_send_as_a_user(world: World) -> None:
    await make_team(world)
    body = {"type": "group_message", "payload": {"content": "by rest"}, "meta": {"target_id": "team"}}
    assert (await world.rest("POST", "/api/messages", "bob", json_body=body)).status in (200, 201)
    answer = await world.rest("POST", "/api/messages", "bob", json_body=body)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (429, "rate_limited", "30")
    assert answer.body["details"]["reason"] == "slow_mode"
    server = world.engine.server_of("group_message")
    with pytest.raises(RelayError) as refused:
        await server.send("bob", "group_message", {"content": "by a hook"}, "team")
    assert refused.value.details == {"reason": "slow_mode", "seconds": 30}


async def test_a_restart_does_not_end_the_wait(tmp_path: Path) -> None:
    async with open_world(tmp_path / "one", "alice", "bob", "carol") as world:
        await make_team(world, 3600)
        assert (await say(await world.connect("bob")))["type"] == "ack"
        async with world.after_crash(tmp_path / "two") as again:
            assert 3590 < refusal(await say(await again.connect("bob")))["retry_after"] <= 3600


async def test_it_ends_when_it_is_set_to_nothing(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    await say(bob)
    assert refusal(await say(bob))
    assert (await world.rest("PATCH", PATH, "alice", json_body={"slow_mode_seconds": 0})).status == 200
    assert (await say(bob))["type"] == "ack"
    assert (await say(bob))["type"] == "ack"
    left = await world.engine.runner.read(lambda c: c.execute("SELECT count(*) FROM slow_mode_writes").fetchone())
    assert left == (0,)


async def test_a_clock_that_was_set_back_makes_nobody_wait_longer(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    await say(bob)
    await world.engine.runner.write(lambda c: c.execute("UPDATE slow_mode_writes SET at = at + 99999").rowcount)
    assert refusal(await say(bob))["retry_after"] == 30.0


async def test_its_managers_set_it_and_the_members_are_told(world: World) -> None:
    await make_team(world, 0)
    bob = await world.connect("bob")
    for who, status in (("bob", 403), ("alice", 200)):
        answer = await world.rest("PATCH", PATH, who, json_body={"slow_mode_seconds": 60})
        assert answer.status == status, who
    told = await bob.next("group_event")
    assert told["payload"] == {"event": "changed", "slow_mode_seconds": 60}
    assert "slow_mode" in (await world.rest("GET", PATH, "alice")).body["may"]
    assert "slow_mode" not in (await world.rest("GET", PATH, "bob")).body["may"]
    (row,) = (await world.rest("GET", "/api/conversations", "bob")).body["conversations"]
    assert row["slow_mode_seconds"] == 60
    again = await world.rest("PATCH", PATH, "alice", json_body={"slow_mode_seconds": 60})
    assert again.status == 200
    with trio.move_on_after(1):
        assert await bob.next("group_event") is None  # the same again says nothing


async def test_a_group_says_how_long_its_reader_waits(world: World) -> None:
    await make_team(world)
    await say(await world.connect("bob"))
    await trio.sleep(5)
    waits = [(await world.rest("GET", PATH, who)).body["slow_mode_wait"] for who in ("alice", "bob", "carol")]
    assert waits == [0, 25, 0]


@pytest.mark.parametrize("seconds", [-1, MOST_SECONDS + 1, 1.5, "30"])
async def test_a_number_out_of_bounds_is_refused(world: World, seconds: Any) -> None:
    await make_team(world, 0)
    answer = await world.rest("PATCH", PATH, "alice", json_body={"slow_mode_seconds": seconds})
    assert (answer.status, answer.body["code"]) == (400, "invalid_payload")
    assert "slow_mode_seconds" in answer.body["detail"]


async def test_a_streamed_message_counts_once_from_its_beginning(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    piece = {"stream_id": "s-1", "offset": 0, "text": "so "}
    assert (await bob.request("message_stream", piece, "team"))["type"] == "ack"
    more = {"stream_id": "s-1", "offset": 3, "text": "far"}
    assert (await bob.request("message_stream", more, "team"))["type"] == "ack"
    refused = refusal(await bob.request("message_stream", {**piece, "stream_id": "s-2"}, "team"))
    assert refused["details"]["reason"] == "slow_mode"
    assert (await say(bob, "so far", id="s-1"))["type"] == "ack"  # its end
    assert refusal(await say(bob))


async def test_who_leaves_and_comes_back_waits_all_the_same(world: World) -> None:
    await make_team(world)
    bob = await world.connect("bob")
    await say(bob)
    await world.engine.groups.remove_member("bob", "team", "bob")
    await world.engine.groups.put_member("alice", "team", "bob", Role.MEMBER)
    assert refusal(await say(bob))


async def test_nothing_of_it_is_left_of_a_deleted_group_and_an_erased_user(world: World) -> None:
    await make_team(world)
    await say(await world.connect("bob"))
    await say(await world.connect("carol"))

    async def rows() -> list[str]:
        found = await world.engine.runner.read(
            lambda c: c.execute("SELECT user_id FROM slow_mode_writes").fetchall()
        )
        return [user_id for (user_id,) in found]

    assert await rows() == ["bob", "carol"]
    await world.rest("DELETE", PATH, "alice")
    assert await rows() == []
