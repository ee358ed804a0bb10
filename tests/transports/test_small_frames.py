"""Pings, pongs and fragments that say next to nothing: bounded for one connection, and nothing to anybody else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio
from wsproto.events import Ping, Pong, TextMessage

from relay.testing import Device, World

HOUR = 3600


def pongs(device: Device, count: int) -> bytes:
    return b"".join(device.frames.send(Pong(b"")) for _ in range(count))


def empty_fragments(device: Device, count: int) -> bytes:
    return b"".join(device.frames.send(TextMessage(data="", message_finished=False)) for _ in range(count))


@pytest.mark.parametrize("flood", [pongs, empty_fragments])
async def test_a_flood_ends_its_own_connection_and_a_bystander_is_not_slowed(
    world: World, flood: Callable[[Device, int], bytes]
) -> None:
    stranger = await world.upgrade()
    alice, bob = await world.connect("alice"), await world.connect("bob")
    data, began = flood(stranger, 20_000), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stranger.stream.send_all, data)
        for number in range(20):
            await alice.request("chat_message", {"content": f"{number}"}, "bob")
            assert (await bob.next("chat_message"))["payload"]["content"] == f"{number}"
    assert trio.current_time() - began < 0.1
    assert (await stranger.closed()).code == 4505


@pytest.mark.world("alice")
async def test_a_client_that_pings_every_second_for_an_hour_is_left_alone(world: World) -> None:
    alice = await world.connect("alice")
    for _ in range(HOUR):
        await alice.stream.send_all(alice.frames.send(Ping(b"still there?")))
        await trio.sleep(1)
        await alice.drain()
    assert alice.end is None


async def test_a_message_in_many_small_fragments_is_one_message(world: World) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    envelope = {"type": "chat_message", "payload": {"content": "é" * 300}, "meta": {"target_id": "bob"}}
    text = json.dumps(envelope, ensure_ascii=False)
    for character in text[:-1]:
        await alice.stream.send_all(alice.frames.send(TextMessage(data=character, message_finished=False)))
    await alice.stream.send_all(alice.frames.send(TextMessage(data=text[-1])))
    assert (await bob.next("chat_message"))["payload"]["content"] == "é" * 300
