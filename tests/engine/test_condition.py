"""The condition of a server: queues and how far they lag, devices that miss messages, plugins that fail."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from relay.engine.condition import Conditions
from relay.engine.watchdog import Watch, WriterWatch, watching
from relay.testing import RelayWorld, World
from tests.services.test_tracing import say

PLUGIN = """
from relay.plugin import Diagnostics, QueueState, hookimpl

def queues(server, connection):
    return [QueueState(name="mail", waiting=3, oldest_at=5.0, failing=1, text="no route")]

@hookimpl
def relay_diagnostics():
    return [Diagnostics(queues=queues)]
"""


async def test_a_server_that_does_well(world: World) -> None:
    await world.connect("bob")
    await say(world)
    found = await Conditions(world.engine).condition()
    assert (found.state, found.remarks) == ("good", [])
    assert (found.router.stored, found.router.deliveries, found.router.waiting) == (1, 1, 0)
    assert (found.devices.connected, found.devices.users, found.devices.slow) == (1, 1, 0)
    assert found.writer.failing is None
    assert found.writer.p99_seconds is not None
    assert {plugin.state for plugin in found.plugins} == {"running"}


async def test_devices_that_are_away_and_miss_messages(world: World) -> None:
    for client_id in ("bob-1", "bob-2"):
        device = await world.connect("bob", client_id)
        await device.cut()
    alice = await world.connect("alice")
    await trio.sleep(1)
    conditions = Conditions(world.engine)
    found = (await conditions.condition()).devices
    assert (found.connected, found.away, found.waiting, found.waiting_from) == (1, 2, 0, None)
    await alice.request("chat_message", {"content": "Lunch?"}, "bob")
    assert (await conditions.condition()).devices.waiting == 0  # as it was counted a moment ago
    await trio.sleep(31)
    found = (await conditions.condition()).devices
    assert (found.waiting, found.waiting_from) == (2, 0)


async def test_what_a_plugin_says_of_its_queues(relay_world: RelayWorld, tmp_path: Path) -> None:
    (tmp_path / "letters.py").write_text(PLUGIN)
    async with relay_world(tmp_path, "alice") as world:
        found = await Conditions(world.engine).condition()
        (queue,) = found.queues
        assert (queue.plugin, queue.name, queue.waiting, queue.oldest_at) == ("letters", "mail", 3, 5.0)
        assert found.state == "worth a look"
        assert found.remarks == ["letters, mail: 1 fail, 3 wait: no route"]


async def test_a_plugin_that_was_set_aside(world: World) -> None:
    guard = world.engine.registry.guard("search")
    assert guard is not None
    guard.set_aside("too slow today")
    found = await Conditions(world.engine).condition()
    assert found.remarks == ["the plugin search is set aside: too slow today"]


async def test_a_disk_that_takes_nothing(world: World) -> None:
    world.engine.runner.health.reason = "the disk is full"
    found = await Conditions(world.engine).condition()
    assert (found.state, found.writer.failing) == ("bad", "the disk is full")
    assert found.remarks == ["the disk does not take what is written: the disk is full"]


@pytest.mark.real_time
async def test_a_plugin_that_works_is_seen_by_the_watchdog() -> None:
    """The watchdog takes samples: a plugin's calls pay nothing for the time that is told of them."""
    loop = Watch()
    with watching(loop, WriterWatch(), 0.4):
        loop.run("busy", time.sleep, 0.3)
    assert 0.1 < loop.busy["busy"] < 0.6
