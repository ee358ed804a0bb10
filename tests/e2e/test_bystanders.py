"""What people do to a plugin is no fault of the plugin's, and what a plugin does at the end holds nobody up."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.wire import request
from tests.e2e.world import World, message, unique

pytestmark = pytest.mark.e2e

STUBBORN = """
    import trio
    from relay.plugin import *

    async def shielded(server):
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async def stubborn(server):
        while True:
            try:
                await trio.sleep(0.01)
            except BaseException:
                pass

    @hookimpl
    def relay_background():
        return [BackgroundTask(name="odd", run={run})]
"""


def failures(world: World, plugin: str) -> int:
    rows = map(json.loads, world.server.relay("plugins", "list", "--json").splitlines())
    return next(int(row["failures"]) for row in rows if row["name"] == plugin)


def test_long_texts_that_take_long_to_index_are_no_fault_of_the_searchs(make_world: MakeWorld) -> None:
    plugins = {"blocking_seconds": 0.5, "quarantine_failures": 1}
    world = make_world(
        ("alice", "bob", "carol", "dave"), {"plugins": plugins, "limits": {"content_characters": 0}}
    )
    alice, carol, dave = world.device("alice"), world.device("carol"), world.device("dave")
    text = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(15_000))
    refs = [unique("long") for _ in range(80)]
    frames = [json.dumps(message("bob", ref + text, id=ref), ensure_ascii=False) for ref in refs]
    alice.wire.send_all(frames)
    carol.say("dave", "meanwhile")
    dave.wait_content("meanwhile")
    for ref in refs:
        alice.acked(ref)
    assert failures(world, "search") == 0
    found = world.rest("bob").get("/api/search", params={"q": text[14_000:14_004], "limit": 1})
    assert len(found.json()["results"]) == 1


def test_a_body_that_does_not_come_to_its_end_is_no_fault_of_the_plugins(make_world: MakeWorld) -> None:
    settings = {
        "plugins": {"also": ["webhooks"], "quarantine_failures": 3},
        "timeouts": {"handler_seconds": 0.3, "body_seconds": 0.8},
    }
    world = make_world(("alice", "bob"), settings)
    printed = world.server.relay("webhook", "incoming", "builds", "--as", "alice", "--to", "bob", "--json")
    path = json.loads(printed)["path"]
    head = request(path, upgrade=False).replace(b"GET ", b"POST ", 1)
    wires = [world.wire() for _ in range(5)]
    for wire in wires:
        wire.send_bytes(
            head.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nha", 1)
        )
    for wire in wires:
        assert wire.wait_closed() is None
    assert failures(world, "webhooks") == 0
    assert world.rest(None).post(path, content="all of it").status_code == 201


@pytest.mark.parametrize("run", ["shielded", "stubborn"])
def test_a_task_that_will_not_end_is_ended_at_the_end_of_the_drain(
    make_world: MakeWorld, tmp_path: Path, run: str
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "odd.py").write_text(textwrap.dedent(STUBBORN).replace("{run}", run))
    plugins = {"directories": [str(tmp_path / "plugins")]}
    world = make_world(("alice", "bob"), {"plugins": plugins, "timeouts": {"drain_seconds": 1}})
    world.device("alice").say("bob", "the last word")
    assert world.server.stop() == 0
    if run == "stubborn":
        assert "these plugins' tasks, which take no cancellation: odd" in world.server.log.read_text()
    world.server.start()
    assert [row["payload"]["content"] for row in world.history("bob", peer="alice")] == ["the last word"]
