"""`ack` and `error`: the server's, and their schemas are what the server sends."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from relay.testing import World
from relay.testing import world as open_world
from tests.plugin.authors import answers, send


@pytest.mark.parametrize("type_", ["ack", "error"])
async def test_a_client_cannot_send_one(world: World, type_: str) -> None:
    alice, bob = await world.connect("alice"), await world.connect("bob")
    await send(alice, "1", type_, timestamp=1.0, duplicate=False)
    assert await answers(alice, 1) == {"1": "forbidden"}
    assert await bob.drain() == []


async def test_what_the_server_answers_fits_the_schemas(tmp_path: Path) -> None:
    environ = {"RELAY_LIMITS__MESSAGES_PER_SECOND": "1", "RELAY_LIMITS__MESSAGES_BURST": "4"}
    async with open_world(tmp_path, "alice", "bob", **environ) as world:
        alice = await world.connect("alice")
        await send(alice, "stored", "chat_message", content="x")
        await send(alice, "stored", "chat_message", content="x")
        await send(alice, "stored", "chat_message", content="y")
        await send(alice, "refused", "nonsense")
        await send(alice, "too fast", "chat_message", content="x")
        frames = [await alice.next("ack", "error") for _ in range(5)]
        assert sorted(frame["type"] for frame in frames) == ["ack", "ack", "error", "error", "error"]
        for frame in frames:
            type_ = world.engine.registry.types[frame["type"]]
            raw = msgspec.Raw(msgspec.json.encode(frame["payload"]))
            assert msgspec.json.decode(type_.write(type_.read(raw))) == frame["payload"]
