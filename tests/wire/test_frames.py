"""The server says to the SDK what the golden frames say."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.testing.world import world as open_world
from tests.wire.player import Player
from tests.wire.scenario import SCENARIOS, Names, read


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_the_server_keeps_to_a_scenario(path: Path, tmp_path: Path) -> None:
    scenario = read(path)
    async with open_world(tmp_path, *scenario["users"], **scenario.get("settings", {})) as world:
        player = Player(world)
        for number, step in enumerate(scenario["steps"]):
            assert await player.play(step) == [], f"{path.name}, step {number}: {step}"
        assert await player.finish() == []


def test_the_scenarios_cover_every_event_and_type_that_a_client_meets() -> None:
    frames = [
        step["frame"]
        for path in SCENARIOS
        for step in read(path)["steps"]
        if "frame" in step and step["from"] in ("client", "server")
    ]
    met = {
        frame["payload"].get("event", frame["type"]) if frame["type"] == "connection_event" else frame["type"]
        for frame in frames
    }
    closes = {step["close"]["code"] for path in SCENARIOS for step in read(path)["steps"] if "close" in step}
    assert met >= {
        "hello", "ready", "synced", "ack", "heartbeat", "goodbye", "inactive", "active", "device_connected",
        "chat_message", "group_message", "group_event", "notification", "message_edit", "message_delete", "reaction",
        "read_receipt", "status_update", "follow", "typing_indicator", "error",
    }  # fmt: skip
    assert closes >= {1000, 4404, 4501, 4502, 4503, 4510}


def test_a_comparison_is_strict_and_a_name_stands_for_one_value() -> None:
    names = Names()
    assert names.differences({"a": 1}, {"a": 1, "b": 2}) != []
    assert names.differences({"a": 1}, {"a": True}) != []
    assert names.differences([1], [1, 2]) != []
    assert names.differences({"a": "<epoch>", "t": "<time>"}, {"a": "e", "t": 1_700_000_000.0}) == []
    assert names.differences("<epoch>", "another") != []
    assert names.differences("<time>", 5.0) != []
