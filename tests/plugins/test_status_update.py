"""`status_update`: what a user chooses, and what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import EPOCH, Device, world


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
async def test_another_payload_is_refused_and_changes_nothing(
    tmp_path: Path, autojump_clock: Any, payload: dict[str, Any]
) -> None:
    async with world(tmp_path, "alice") as server:
        alice = await server.connect("alice")
        assert (await send(alice, payload))["payload"]["code"] == "invalid_payload"
        assert (await server.engine.presence.statuses("alice", ["alice"]))[0]["status"] == "online"


async def test_a_status_that_is_none_is_told_which_there_are(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice") as server:
        alice = await server.connect("alice")
        said = (await send(alice, {"status": "Busy"}))["payload"]["message"]
        assert "at `payload.status`; right is one of away, busy, offline, online" in said


async def test_it_has_no_target(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice = await server.connect("alice")
        answer = await send(alice, {"status": "busy"}, target_id="bob")
        assert answer["payload"]["code"] == "bad_envelope"


async def test_a_late_retry_of_what_was_stored_in_time_is_a_duplicate(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice") as server:
        alice = await server.connect("alice")
        payload = {"status": "busy", "until": server.engine.now() + 10}
        first = await send(alice, payload)
        await alice.cut()
        await trio.sleep(60)
        again = await send(await server.connect("alice"), payload)
        assert again["payload"] == first["payload"] | {"duplicate": True}


async def test_the_same_one_again_is_a_duplicate_and_another_replaces_it(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with world(tmp_path, "alice") as server:
        alice = await server.connect("alice")
        first = await send(alice, {"status": "busy"})
        again = await send(alice, {"status": "busy"})
        assert again["payload"] == first["payload"] | {"duplicate": True}
        assert (await send(alice, {"status": "away"}))["payload"]["code"] == "conflict"
        await send(alice, {"status": "away", "text": "out"}, id="t")
        phone = await server.connect("alice", "phone")
        assert [frame["payload"] for frame in phone.replayed] == [{"status": "away", "text": "out"}]
