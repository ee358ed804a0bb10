"""`status_update`: what a user chooses, and what they may not."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from relay.testing import EPOCH, Device, World


async def send(device: Device, payload: dict[str, Any], **meta: Any) -> dict[str, Any]:
    await device.send({"type": "status_update", "payload": payload, "meta": {"id": "s", **meta}})
    return await device.next("ack", "error")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"status": "invisible"},
        {"status": "unknown"},
        {"status": "busy", "text": "x" * 201},
        {"status": "busy", "until": EPOCH},
        {"status": "busy", "until": "tomorrow"},
        {"status": "busy", "last_seen": EPOCH},
        {"status": "busy", "mood": "fine"},
    ],
    ids=str,
)
@pytest.mark.world("alice")
async def test_another_payload_is_refused_and_changes_nothing(world: World, payload: dict[str, Any]) -> None:
    alice = await world.connect("alice")
    assert (await send(alice, payload))["payload"]["code"] == "invalid_payload"
    assert (await world.engine.presence.statuses("alice", ["alice"]))[0]["status"] == "online"


@pytest.mark.world("alice")
async def test_a_status_that_is_none_is_told_which_there_are(world: World) -> None:
    alice = await world.connect("alice")
    said = (await send(alice, {"status": "Busy"}))["payload"]["message"]
    assert "at `payload.status`; right is one of away, busy, offline, online" in said


async def test_it_has_no_target(world: World) -> None:
    alice = await world.connect("alice")
    answer = await send(alice, {"status": "busy"}, target_id="bob")
    assert answer["payload"]["code"] == "bad_envelope"


@pytest.mark.world("alice")
async def test_a_late_retry_of_what_was_stored_in_time_is_a_duplicate(world: World) -> None:
    alice = await world.connect("alice")
    payload = {"status": "busy", "until": world.engine.now() + 10}
    first = await send(alice, payload)
    await alice.cut()
    await trio.sleep(60)
    again = await send(await world.connect("alice"), payload)
    assert again["payload"] == first["payload"] | {"duplicate": True}


@pytest.mark.world("alice")
async def test_the_same_one_again_is_a_duplicate_and_another_replaces_it(world: World) -> None:
    alice = await world.connect("alice")
    first = await send(alice, {"status": "busy"})
    again = await send(alice, {"status": "busy"})
    assert again["payload"] == first["payload"] | {"duplicate": True}
    assert (await send(alice, {"status": "away"}))["payload"]["code"] == "conflict"
    await send(alice, {"status": "away", "text": "out"}, id="t")
    phone = await world.connect("alice", "phone")
    assert [frame["payload"] for frame in phone.replayed] == [{"status": "away", "text": "out"}]
