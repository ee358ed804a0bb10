"""The engine: services on one database, what is left when it closes, and what an administrator changed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from relay.engine.opening import open_engine
from relay.storage.errors import StorageError
from relay.testing import World, settings_for
from relay.testing import world as open_world
from tests.plugin.authors import answers, send, write
from tests.services.recorder import submission


async def test_the_position_goes_on_where_it_was(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        epoch = world.engine.epoch
        for _ in range(3):
            await world.engine.router.send(await submission(world.engine, "alice", "bob"))
    async with open_world(tmp_path) as world:
        assert (world.engine.epoch, world.engine.router.position) == (epoch, 3)
        entry = await world.engine.router.send(await submission(world.engine, "alice", "bob"))
        assert (entry.message_id, entry.seq) == (4, 4)


async def test_what_was_taken_is_saved_when_it_closes(tmp_path: Path) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        for _ in range(50):
            world.engine.router.submit_nowait(await submission(world.engine, "alice", "bob"))
    async with open_world(tmp_path) as world:
        assert len(await world.history("bob", "user", "alice")) == 50


async def test_one_database_has_one_engine(tmp_path: Path) -> None:
    async with open_world(tmp_path):
        with pytest.raises(StorageError, match="in use"):
            async with open_engine(settings_for(tmp_path), inline=True):
                pytest.fail("a second engine")


async def test_a_broken_plugin_is_logged_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "plugins", "bad", "1 / 0")
    with caplog.at_level(logging.ERROR, "relay"):
        async with open_world(tmp_path, RELAY_PLUGINS__DIRECTORIES=f'["{path.parent}"]') as world:
            assert [broken.name for broken in world.engine.registry.broken] == ["bad"]
    assert f"plugin 'bad' ({path}) is left out: bad.py:" in caplog.text


@pytest.mark.world("alice", "bob", RELAY_TYPES__CHAT_MESSAGE__MAX_BYTES="50")
async def test_an_administrators_bound_holds(world: World) -> None:
    alice = await world.connect("alice")
    await send(alice, "fits", "chat_message", content="x")
    await send(alice, "over", "chat_message", content="x" * 50)
    assert await answers(alice, 2) == {"fits": "ack", "over": "too_large"}


@pytest.mark.world("alice", "bob", RELAY_TYPES__GROUP_MESSAGE__PRIORITY="1")
async def test_an_administrators_priority_orders_the_replay(world: World) -> None:
    await world.engine.groups.create("alice", "Team", ["bob"], "team")
    alice = await world.connect("alice")
    await send(alice, "1", "chat_message", content="x")
    await send(alice, "2", "group_message", "team", content="x")
    await answers(alice, 2)
    bob = await world.connect("bob")
    assert [frame["type"] for frame in bob.replayed] == ["group_message", "chat_message", "group_event"]
