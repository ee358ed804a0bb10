"""An engine's end: what it took is saved, and where that fails it ends all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.storage.errors import StorageBroken
from relay.testing.world import serving, settings_for


async def test_an_engine_whose_database_was_moved_away_ends(tmp_path: Path) -> None:
    async def lose() -> None:
        async with serving(settings_for(tmp_path)) as world:
            await world.user("alice")
            await world.connect("alice")
            (tmp_path / "relay.db").rename(tmp_path / "elsewhere.db")
            # What is saved at the end meets the loss first: nothing was stored since.
            world.engine.offline_queue.ack_nowait("alice", "alice-1", 1)

    with trio.fail_after(600), pytest.raises(BaseExceptionGroup) as raised:
        await lose()
    assert raised.value.split(StorageBroken)[0] is not None
