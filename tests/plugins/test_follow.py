"""`follow`: its payload, and whom its answer and its echo reach; what follows is in tests/services/test_presence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.testing import Device, world


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
async def test_another_payload_is_refused_and_changes_nothing(
    tmp_path: Path, autojump_clock: Any, payload: dict[str, Any]
) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice = await server.connect("alice")
        assert (await send(alice, payload))["payload"]["code"] == "invalid_payload"
        assert await server.engine.presence.following("alice") == []


async def test_the_ack_brings_each_status_once(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice, _ = await server.connect("alice"), await server.connect("bob")
        for _ in range(2):
            answer = await send(alice, {"user_ids": ["bob", "bob", "alice"], "follow": True})
            assert answer["payload"]["statuses"] == [
                {"user_id": user, "status": "online", "text": None, "until": None, "last_seen": None}
                for user in ("bob", "alice")
            ]
        assert len(await server.engine.presence.following("alice")) == 2


async def test_nobody_else_learns_of_it_and_nothing_is_stored(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice, bob = await server.connect("alice"), await server.connect("bob")
        await send(alice, {"user_ids": ["bob"], "follow": True})
        assert await bob.drain() == []
        again = await server.connect("alice", "phone")
        assert again.replayed == []


async def test_it_has_no_target(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice = await server.connect("alice")
        answer = await send(alice, {"user_ids": ["bob"], "follow": True}, target_id="bob")
        assert answer["payload"]["code"] == "bad_envelope"


async def test_one_who_is_not_there_does_not_spoil_the_others(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice = await server.connect("alice")
        answer = await send(alice, {"user_ids": ["bob", "nobody", "x y", "nobody"], "follow": True})
        assert answer["type"] == "ack"
        assert [one["user_id"] for one in answer["payload"]["statuses"]] == ["bob"]
        assert answer["payload"]["unknown"] == ["nobody", "x y"]
        await server.connect("bob")
        assert (await alice.next("status_update"))["payload"]["status"] == "online"
        answer = await send(alice, {"user_ids": ["nobody"], "follow": True})
        assert answer["payload"]["code"] == "not_found"
        answer = await send(alice, {"user_ids": ["nobody", "bob"], "follow": False})
        assert answer["payload"]["unknown"] == ["nobody"]
        assert await server.engine.presence.following("alice") == []


async def test_whom_one_may_not_find_is_unknown_as_who_does_not_exist(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob", "carol", RELAY_ACCOUNTS__DIRECTORY="shared") as server:
        alice, bob = await server.connect("alice"), await server.connect("bob")
        await alice.say("carol", "hello")
        await bob.say("alice", "hello")
        await alice.drain()
        answer = await send(alice, {"user_ids": ["carol", "nobody", "bob"], "follow": True})
        assert answer["payload"]["unknown"] == ["carol", "nobody"]
        assert [one["user_id"] for one in await server.engine.presence.following("alice")] == ["bob"]
