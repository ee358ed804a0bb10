"""`ack` and `error`: the server's, and their schemas are what the server sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.testing import world
from tests.plugin.authors import answers, send


@pytest.mark.parametrize("type_", ["ack", "error"])
async def test_a_client_cannot_send_one(tmp_path: Path, autojump_clock: Any, type_: str) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        alice, bob = await server.connect("alice"), await server.connect("bob")
        await send(alice, "1", type_, timestamp=1.0, duplicate=False)
        assert await answers(alice, 1) == {"1": "forbidden"}
        assert await bob.drain() == []


async def test_what_the_server_answers_fits_the_schemas(tmp_path: Path, autojump_clock: Any) -> None:
    environ = {"RELAY_LIMITS__MESSAGES_PER_SECOND": "1", "RELAY_LIMITS__MESSAGES_BURST": "4"}
    async with world(tmp_path, "alice", "bob", **environ) as server:
        alice = await server.connect("alice")
        await send(alice, "stored", "chat_message", content="x")
        await send(alice, "stored", "chat_message", content="x")
        await send(alice, "stored", "chat_message", content="y")
        await send(alice, "refused", "nonsense")
        await send(alice, "too fast", "chat_message", content="x")
        frames = [await alice.next("ack", "error") for _ in range(5)]
        assert sorted(frame["type"] for frame in frames) == ["ack", "ack", "error", "error", "error"]
        for frame in frames:
            type_ = server.engine.registry.types[frame["type"]]
            raw = msgspec.Raw(msgspec.json.encode(frame["payload"]))
            assert msgspec.json.decode(type_.write(type_.read(raw))) == frame["payload"]
