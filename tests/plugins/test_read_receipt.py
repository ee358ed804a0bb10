"""`read_receipt`: a pointer that only moves forward, through a whole server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.testing import Device, World
from relay.testing import world as open_world
from tests.plugin.authors import answers, send


@asynccontextmanager
async def after_five(folder: Path) -> AsyncIterator[tuple[World, Device, Device]]:
    """Run a server on which alice has told bob five things."""
    async with open_world(folder, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        for number in range(5):
            await send(alice, f"m{number}", "chat_message", content="x")
        await answers(alice, 5)
        await bob.drain()
        yield world, alice, bob


async def read(bob: Device, own_id: str, **payload: Any) -> Any:
    await send(bob, own_id, "read_receipt", "alice", **payload)
    return (await answers(bob, 1))[own_id]


async def unread(server: World) -> tuple[int, int]:
    (row,) = (await server.engine.history.conversations("bob"))["conversations"]
    return row["read_seq"], row["unread"]


async def test_reading_moves_the_pointer_and_tells_the_other(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        assert await read(bob, "1", up_to_seq=3) == "ack"
        receipt = await alice.next("read_receipt")
        assert receipt["payload"] == {"up_to_seq": 3, "state": "read"}
        assert receipt["meta"]["sender_id"] == "bob"
        assert "seq" not in receipt["meta"]
        assert await unread(server) == (3, 2)


async def test_messages_count_by_the_highest_of_them(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        assert await read(bob, "1", message_ids=[2, 4, 1]) == "ack"
        assert (await alice.next("read_receipt"))["payload"]["up_to_seq"] == 4
        assert await unread(server) == (4, 1)


async def test_a_pointer_never_moves_back_and_the_other_hears_nothing(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        for own_id, seq in (("1", 4), ("2", 2), ("3", 4)):
            assert await read(bob, own_id, up_to_seq=seq) == "ack"
        assert await unread(server) == (4, 1)
        assert [frame["payload"]["up_to_seq"] for frame in await alice.drain()] == [4]


async def test_sending_is_reading(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, _, bob):
        await send(bob, "1", "chat_message", "alice", content="yes")
        await answers(bob, 1)
        assert await unread(server) == (6, 0)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "invalid_payload"),
        ({"up_to_seq": 1, "message_ids": [1]}, "invalid_payload"),
        ({"up_to_seq": 6}, "invalid_payload"),
        ({"up_to_seq": -1}, "invalid_payload"),
        ({"up_to_seq": 1, "state": "delivered"}, "invalid_payload"),
        ({"message_ids": []}, "not_found"),
        ({"message_ids": [99]}, "not_found"),
        ({"message_ids": [1] * 1001}, "invalid_payload"),
    ],
    ids=str,
)
async def test_another_payload_is_refused(tmp_path: Path, payload: dict[str, Any], code: str) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        assert await read(bob, "1", **payload) == code
        assert await unread(server) == (0, 5)
        assert await alice.drain() == []


async def test_messages_of_another_conversation_are_not_found(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, _, bob):
        await server.user("carol")
        carol = await server.connect("carol")
        await send(carol, "1", "chat_message", "alice", content="between us")
        await answers(carol, 1)
        assert await read(bob, "1", message_ids=[1, 6]) == "not_found"
        assert await unread(server) == (0, 5)


async def test_a_private_one_moves_ones_own_pointer_alone(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        phone = await server.connect("bob", "phone")
        assert await read(bob, "1", up_to_seq=5, private=True) == "ack"
        assert (await phone.next("read_receipt"))["payload"]["private"] is True
        assert await alice.drain() == []
        assert await unread(server) == (5, 0)
        assert await read(bob, "2", up_to_seq=3) == "ack"
        assert (await alice.next("read_receipt"))["payload"]["up_to_seq"] <= 5


async def test_resume_brings_the_newest_only(tmp_path: Path) -> None:
    async with after_five(tmp_path) as (server, alice, bob):
        cursor = 5
        await alice.cut()
        for seq in (1, 2, 3):
            assert await read(bob, f"{seq}", up_to_seq=seq) == "ack"
        back = await server.connect("alice", cursor=cursor, epoch=server.engine.epoch)
        assert [frame["payload"]["up_to_seq"] for frame in back.replayed] == [3]


async def test_who_switched_receipts_off_tells_their_own_devices_only(world: World) -> None:
    alice, bob, tablet = (
        await world.connect("alice"), await world.connect("bob"), await world.connect("bob", "tablet"),
    )  # fmt: skip
    identity = await world.engine.accounts.identify(world.tokens["bob"])

    async def read_next(content: str) -> list[str]:
        """Have alice say something and bob read it; return which receipts alice is told of."""
        await alice.say("bob", content)
        message = await bob.next("chat_message")
        await bob.event("ack", cursor=message["meta"]["message_id"])
        await bob.send(
            {
                "type": "read_receipt",
                "payload": {"up_to_seq": message["meta"]["seq"]},
                "meta": {"target_id": "alice"},
            }
        )
        await bob.next("ack")
        await trio.sleep(1)
        told = [frame["payload"] for frame in await alice.drain() if frame["type"] == "read_receipt"]
        return sorted(payload["state"] for payload in told)

    assert await read_next("one") == ["delivered", "read"]
    await world.engine.logins.change(identity, {"receipts": False})
    await tablet.drain()
    assert await read_next("two") == []
    mirrored = [frame for frame in await tablet.drain() if frame["type"] == "read_receipt"]
    assert [frame["payload"] for frame in mirrored] == [{"up_to_seq": 2, "state": "read", "private": True}]
    rows = (await world.engine.history.conversations("bob"))["conversations"]
    assert [row["unread"] for row in rows] == [0]
    await world.engine.logins.change(identity, {"receipts": True})
    assert await read_next("three") == ["delivered", "read"]
