"""Having read, and what was not delivered yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.storage import devices
from tests.transports.rest.world import World, open_world

READ = "/api/messages/read"
ACKNOWLEDGE = "/api/messages/acknowledge"
UNDELIVERED = "/api/messages/undelivered"


def receipts(device: Any) -> list[dict[str, Any]]:
    return [frame for frame in device.frames if frame["type"] == "read_receipt"]


async def test_up_to_a_seq_moves_the_pointer_and_tells_what_is_left(world: World):
    for number in range(3):
        await world.say("alice", "bob", str(number))
    answer = await world.post("bob", READ, {"target_id": "alice", "up_to_seq": 2})
    assert answer.ok() == {"read": [{"target_id": "alice", "up_to_seq": 2, "unread": 1}]}
    listed = (await world.get("bob", "/api/conversations")).ok()["conversations"][0]
    assert (listed["read_seq"], listed["unread"]) == (2, 1)


async def test_a_pointer_never_goes_back(world: World):
    for number in range(3):
        await world.say("alice", "bob", str(number))
    await world.post("bob", READ, {"target_id": "alice", "up_to_seq": 3})
    again = await world.post("bob", READ, {"target_id": "alice", "up_to_seq": 1})
    assert again.ok() == {"read": [{"target_id": "alice", "up_to_seq": 3, "unread": 0}]}


async def test_messages_of_several_conversations_count_by_the_newest_of_each(world: World):
    await world.group("alice", "bob")
    direct = [await world.say("alice", "bob", str(number)) for number in range(3)]
    grouped = [await world.say("alice", "team", str(number), group=True) for number in range(2)]
    ids = [direct[1]["message_id"], direct[0]["message_id"], grouped[1]["message_id"]]
    read = (await world.post("bob", READ, {"message_ids": ids})).ok()["read"]
    assert sorted(read, key=lambda item: item["target_id"]) == [
        {"target_id": "alice", "up_to_seq": 2, "unread": 1},
        {"target_id": "team", "up_to_seq": grouped[1]["seq"], "unread": 0},
    ]


async def test_both_sides_devices_learn_of_it_unless_it_is_private(world: World):
    await world.say("alice", "bob", "one")
    await world.say("alice", "bob", "two")
    sender, reader = await world.device("alice", "laptop"), await world.device("bob", "phone")
    await world.post("bob", READ, {"target_id": "alice", "up_to_seq": 1, "private": True})
    assert receipts(sender) == []
    assert receipts(reader)[0]["payload"] == {"up_to_seq": 1, "state": "read", "private": True}
    await world.post("bob", READ, {"target_id": "alice", "up_to_seq": 2})
    told = receipts(sender)[0]
    assert told["payload"] == {"up_to_seq": 2, "state": "read"}
    assert (told["meta"]["sender_id"], told["meta"]["target_id"]) == ("bob", "alice")
    assert receipts(reader)[1]["payload"] == told["payload"]


async def test_a_newcomer_does_not_learn_how_much_was_said_before(world: World):
    await world.group("alice", "bob")
    for number in range(5):
        await world.say("alice", "team", str(number), group=True)
    await world.call("alice", "PUT", "/api/groups/team/members/carol")
    await world.say("alice", "team", "welcome", group=True)
    read = (await world.post("carol", READ, {"target_id": "team", "up_to_seq": 0})).ok()["read"]
    assert read == [{"target_id": "team", "up_to_seq": 0, "unread": 1}]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"target_id": "alice"}, {"up_to_seq": 1}, {"message_ids": [1], "target_id": "alice", "up_to_seq": 1},
        {"message_ids": [1], "up_to_seq": 1}, {"message_ids": []}, {"message_ids": [-1]}, {"message_ids": ["1"]},
        {"message_ids": list(range(1001))}, {"target_id": "alice", "up_to_seq": -1},
        {"target_id": 5, "up_to_seq": 1}, {"target_id": "alice", "up_to_seq": 1, "state": "read"},
        {"target_id": "alice", "up_to_seq": 99}, [],
    ],
    ids=lambda body: str(body)[:60],
)  # fmt: skip
async def test_a_body_of_another_shape_is_refused(world: World, body: Any):
    await world.say("alice", "bob", "one")
    (await world.post("bob", READ, body)).refused(400, "invalid_payload")


async def test_messages_that_are_absent_and_those_of_others_are_refused_alike(world: World):
    seen = await world.say("alice", "bob", "yours")
    hidden = await world.say("alice", "carol", "not yours")
    problems = [
        (await world.post("bob", READ, {"message_ids": [seen["message_id"], other]})).refused(404, "not_found")
        for other in (hidden["message_id"], 4000)
    ]
    assert problems[0] == problems[1]
    assert (await world.get("bob", "/api/conversations")).ok()["conversations"][0]["unread"] == 1


async def test_nothing_is_marked_when_one_conversation_is_over_the_rate(tmp_path: Path):
    limits = {"messages_per_second": 1, "messages_burst": 3}
    async with open_world(tmp_path, "alice", "bob", "carol", "dave", "erin", limits=limits) as world:
        acks = [await world.say(who, "alice", "hi") for who in ("bob", "carol", "dave", "erin")]
        ids = [ack["message_id"] for ack in acks]
        (await world.post("alice", READ, {"message_ids": ids})).refused(429, "rate_limited")
        listed = (await world.get("alice", "/api/conversations")).ok()["conversations"]
        assert [row["unread"] for row in listed] == [1, 1, 1, 1]


async def test_what_no_device_acked_is_undelivered_by_priority(world: World):
    await world.group("alice", "bob")
    await world.say("alice", "team", "to all", group=True)
    await world.say("alice", "bob", "to you")
    answer = (await world.get("bob", UNDELIVERED)).ok()
    assert [envelope["type"] for envelope in answer["messages"]] == [
        "chat_message",
        "group_event",
        "group_message",
    ]
    assert (answer["cursor"], answer["has_more"]) == (3, False)
    assert (await world.get("bob", UNDELIVERED)).ok() == answer, "asking moves nothing"


async def test_an_ack_of_any_device_delivers(world: World):
    await world.say("alice", "bob", "one")
    second = await world.say("alice", "bob", "two")
    await world.device("bob", "phone")
    world.engine.offline_queue.ack_nowait("bob", "phone", second["message_id"] - 1)
    await world.engine.offline_queue.flush()
    answer = (await world.get("bob", UNDELIVERED)).ok()
    assert [e["payload"]["content"] for e in answer["messages"] if e["type"] == "chat_message"] == ["two"]


@pytest.mark.parametrize("name", ["cursor", "after"])
async def test_undelivered_pages_bring_everything_once(world: World, name: str):
    for number in range(25):
        await world.say("alice" if number % 2 else "carol", "bob", str(number))
    found: list[int] = []
    position = 0
    while True:
        answer = (await world.get("bob", UNDELIVERED, limit=4, **{name: position})).ok()
        found += [envelope["meta"]["message_id"] for envelope in answer["messages"]]
        position = answer["cursor"]
        if not answer["has_more"]:
            break
    assert sorted(found) == list(range(1, 26))
    assert len(set(found)) == len(found)


async def test_undelivered_takes_one_position_only(world: World):
    (await world.get("bob", UNDELIVERED, cursor=1, after=1)).refused(400, "invalid_payload")
    (await world.get("bob", UNDELIVERED, before=1)).refused(400, "invalid_payload")
    assert (await world.get("bob", UNDELIVERED)).ok() == {"messages": [], "cursor": 0, "has_more": False}


async def test_a_program_that_only_looks_in_acknowledges_what_it_was_given(world: World):
    for number in range(3):
        await world.say("alice", "bob", str(number))
    sender = await world.device("alice", "laptop")
    seen = (await world.get("bob", UNDELIVERED, limit=2)).ok()
    answer = await world.post("bob", ACKNOWLEDGE, {"cursor": seen["cursor"], "client_id": "cron"})
    assert answer.ok() == {"cursor": seen["cursor"]}
    left = (await world.get("bob", UNDELIVERED)).ok()
    assert [
        envelope["payload"]["content"] for envelope in left["messages"] if "content" in envelope["payload"]
    ] == ["2"]
    await world.engine.router.wait_idle()
    assert [receipt["payload"] for receipt in receipts(sender)] == [{"up_to_seq": 2, "state": "delivered"}]
    assert (await world.post("bob", ACKNOWLEDGE, {"cursor": 1})).ok() == {"cursor": 1}
    again = (await world.get("bob", UNDELIVERED)).ok()
    assert again == left, "an ack never moves back"


async def test_an_acknowledgement_moves_the_named_device_and_else_the_tokens_own(world: World):
    await world.say("alice", "bob", "one")
    await world.device("bob", "phone")
    for body, acked in (({"cursor": 1, "client_id": "phone"}, 1), ({"cursor": 0}, 1)):
        (await world.post("bob", ACKNOWLEDGE, body)).ok()
        found = await world.engine.runner.read(lambda c: devices.get_device(c, "bob", "phone"))
        assert found is None or found.acked == acked
    assert await world.engine.runner.read(lambda c: devices.delivered(c, "bob")) == 1
    assert await world.engine.runner.read(lambda c: devices.delivered(c, "alice")) == 0


@pytest.mark.parametrize("body", [{"cursor": 99}, {"cursor": -1}, {"cursor": "1"}, {}, {"cursor": 0, "x": 1}])
async def test_a_position_that_is_none_is_not_acknowledged(world: World, body: Any):
    await world.say("alice", "bob", "one")
    problem = (await world.post("bob", ACKNOWLEDGE, body)).refused(400, "invalid_payload")
    assert problem["details"]["field"] in ("cursor", "x")
