"""The engine: services on one database, what is left when it closes, and what an administrator changed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from relay.plugin.engine import open_engine
from relay.storage.errors import StorageError
from relay.testing import settings_for, world
from tests.plugin.authors import answers, send, write
from tests.services.recorder import submission


async def test_the_position_goes_on_where_it_was(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        epoch = server.engine.epoch
        for _ in range(3):
            await server.engine.router.send(await submission(server.engine, "alice", "bob"))
    async with world(tmp_path) as server:
        assert (server.engine.epoch, server.engine.router.position) == (epoch, 3)
        entry = await server.engine.router.send(await submission(server.engine, "alice", "bob"))
        assert (entry.message_id, entry.seq) == (4, 4)


async def test_what_was_taken_is_saved_when_it_closes(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob") as server:
        for _ in range(50):
            server.engine.router.submit_nowait(await submission(server.engine, "alice", "bob"))
    async with world(tmp_path) as server:
        assert len(await server.history("bob", "user", "alice")) == 50


async def test_one_database_has_one_engine(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path):
        with pytest.raises(StorageError, match="in use"):
            async with open_engine(settings_for(tmp_path), inline=True):
                pytest.fail("a second engine")


async def test_a_broken_plugin_is_logged_and_left_out(
    tmp_path: Path, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "plugins", "bad", "1 / 0")
    with caplog.at_level(logging.ERROR, "relay"):
        async with world(tmp_path, RELAY_PLUGINS__DIRECTORIES=f'["{path.parent}"]') as server:
            assert [broken.name for broken in server.engine.registry.broken] == ["bad"]
    assert f"plugin 'bad' ({path}) is left out: bad.py:" in caplog.text


async def test_an_administrators_bound_holds(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob", RELAY_TYPES__CHAT_MESSAGE__MAX_BYTES="50") as server:
        alice = await server.connect("alice")
        await send(alice, "fits", "chat_message", content="x")
        await send(alice, "over", "chat_message", content="x" * 50)
        assert await answers(alice, 2) == {"fits": "ack", "over": "too_large"}


async def test_an_administrators_priority_orders_the_replay(tmp_path: Path, autojump_clock: Any) -> None:
    async with world(tmp_path, "alice", "bob", RELAY_TYPES__GROUP_MESSAGE__PRIORITY="1") as server:
        await server.engine.groups.create("alice", "Team", ["bob"], "team")
        alice = await server.connect("alice")
        await send(alice, "1", "chat_message", content="x")
        await send(alice, "2", "group_message", "team", content="x")
        await answers(alice, 2)
        bob = await server.connect("bob")
        assert [frame["type"] for frame in bob.replayed] == ["group_message", "chat_message", "group_event"]
