"""The page about calling other servers: its plugin is run, and every name it needs is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpcore
import pytest
import trio

import relay.http.client
from relay.testing import RelayWorld, World
from tests.docs.conversation import blocks
from tests.docs.test_docs import read
from tests.http.network import Asked, Network, Reply

PAGE = "docs/plugins/calling.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (plugin,) = [block for block in blocks(read(PAGE)) if block.role == "plugin"]
    made = tmp_path / "plugins.d"
    made.mkdir()
    (made / f"{plugin.device}.py").write_text(plugin.text, encoding="utf-8")
    return made


async def say(world: World) -> None:
    body = {"type": "chat_message", "payload": {"content": "x"}, "meta": {"target_id": "bob"}}
    assert (await world.rest("POST", "/api/messages", "alice", json_body=body)).status == 201


async def test_the_plugin_that_is_shown_tells_each_message_over_a_failure(
    relay_world: RelayWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = [500, 500]

    async def count(_asked: Asked) -> Reply:
        return Reply(statuses.pop() if statuses else 204)

    network = Network(count, counter_example=["93.184.215.14"])
    monkeypatch.setattr(httpcore, "TrioBackend", lambda: network)
    trio.socket.set_custom_hostname_resolver(network)
    settings = {"RELAY_PLUGINS__TALLY__URL": "https://counter.example/in"}
    async with relay_world(folder, "alice", "bob", **settings) as world:
        await trio.sleep(1)
        for _ in range(3):
            await say(world)
        network.addresses["counter.example"] = ["127.0.0.1"]
        await say(world)
        await trio.sleep(4)
        network.addresses["counter.example"] = ["93.184.215.14"]
        await trio.sleep(400)
        taken = [json.loads(asked.body)["messages"] for asked in network.asked[2:]]
        assert sum(taken) == 4
        assert set(network.connected) == {"93.184.215.14"}
        assert world.engine.registry.guard("tally").failures == 0  # type: ignore[union-attr]


def test_every_name_for_calls_is_told() -> None:
    page = read(PAGE)
    client = {
        name for name in relay.http.__all__ if vars(relay.http.client).get(name) is getattr(relay.http, name)
    }
    for name in client | {"is_public"}:
        assert re.search(rf"`{name}\b", page), name
