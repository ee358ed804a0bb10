"""`follow`: its payload, and whom its answer and its echo reach; what follows is in tests/services/test_presence."""

from __future__ import annotations

from typing import Any

import pytest

from relay.testing import Device, World


async def send(device: Device, payload: dict[str, Any], **meta: Any) -> dict[str, Any]:
    await device.send({"type": "follow", "payload": payload, "meta": {"id": "f", **meta}})
    return await device.next("ack", "error")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"user_ids": ["bob"]},
        {"user_ids": [], "follow": True},
        {"user_ids": ["bob"] * 201, "follow": True},
        {"user_ids": [""], "follow": True},
        {"user_ids": "bob", "follow": True},
        {"user_ids": ["bob"], "follow": 1},
        {"user_ids": ["bob"], "follow": True, "for": "ever"},
    ],
    ids=str,
)
async def test_another_payload_is_refused_and_changes_nothing(world: World, payload: dict[str, Any]) -> None:
    alice = await world.connect("alice")
    assert (await send(alice, payload))["payload"]["code"] == "invalid_payload"
    assert await world.engine.presence.following("alice") == []


async def test_the_ack_brings_each_status_once(world: World) -> None:
    alice, _ = await world.connect("alice"), await world.connect("bob")
    for _ in range(2):
        answer = await send(alice, {"user_ids": ["bob", "bob", "alice"], "follow": True})
        assert answer["payload"]["statuses"] == [
            {"user_id": user, "status": "online", "text": None, "until": None, "last_seen": None}
            for user in ("bob", "alice")
        ]
    assert len(await world.engine.presence.following("alice")) == 2


async def test_nobody_else_learns_of_it_and_nothing_is_stored(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await send(alice, {"user_ids": ["bob"], "follow": True})
    assert await bob.drain() == []
    again = await world.connect("alice", "phone")
    assert again.replayed == []


async def test_it_has_no_target(world: World) -> None:
    alice = await world.connect("alice")
    answer = await send(alice, {"user_ids": ["bob"], "follow": True}, target_id="bob")
    assert answer["payload"]["code"] == "bad_envelope"


async def test_one_who_is_not_there_does_not_spoil_the_others(world: World) -> None:
    alice = await world.connect("alice")
    answer = await send(alice, {"user_ids": ["bob", "nobody", "x y", "nobody"], "follow": True})
    assert answer["type"] == "ack"
    assert [one["user_id"] for one in answer["payload"]["statuses"]] == ["bob"]
    assert answer["payload"]["unknown"] == ["nobody", "x y"]
    await world.connect("bob")
    assert (await alice.next("status_update"))["payload"]["status"] == "online"
    answer = await send(alice, {"user_ids": ["nobody"], "follow": True})
    assert answer["payload"]["code"] == "not_found"
    answer = await send(alice, {"user_ids": ["nobody", "bob"], "follow": False})
    assert answer["payload"]["unknown"] == ["nobody"]
    assert await world.engine.presence.following("alice") == []


@pytest.mark.world("alice", "bob", "carol", RELAY_ACCOUNTS__DIRECTORY="shared")
async def test_whom_one_may_not_find_is_unknown_as_who_does_not_exist(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await alice.say("carol", "hello")
    await bob.say("alice", "hello")
    await alice.drain()
    answer = await send(alice, {"user_ids": ["carol", "nobody", "bob"], "follow": True})
    assert answer["payload"]["unknown"] == ["carol", "nobody"]
    assert [one["user_id"] for one in await world.engine.presence.following("alice")] == ["bob"]
