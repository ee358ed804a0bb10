"""Test fixtures for plugin authors: a whole server and its clients in memory, on a clock that jumps.

With relay installed, pytest has the fixture `relay_world`::

    async def test_another_device_gets_it(relay_world):
        async with relay_world(FOLDER_OF_THE_PLUGIN, "alice", "bob") as world:
            alice, bob = await world.connect("alice"), await world.connect("bob")
            await alice.request("my_type", {"text": "hello"}, "bob")
            assert (await bob.next("my_type"))["payload"]["text"] == "hello"

relay's own tests are written with the same parts.
"""

from relay.testing.device import Closed, Device
from relay.testing.pytest_plugin import RelayWorld
from relay.testing.rest import Answer
from relay.testing.shapes import Undescribed
from relay.testing.world import EPOCH, UPGRADE, World, serving, settings_for, world

__all__ = [
    "EPOCH",
    "UPGRADE",
    "Answer",
    "Closed",
    "Device",
    "RelayWorld",
    "Undescribed",
    "World",
    "serving",
    "settings_for",
    "world",
]
