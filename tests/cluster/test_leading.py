"""A leader tells whether it still leads: by the stream alone, whatever its clock and the bus say."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from relay.cluster.beats import Beat
from relay.cluster.faults import ungrouped
from relay.cluster.leading import Leader
from relay.storage.errors import Deposed
from tests.cluster.memory import MemoryBus, MemoryLog, MemoryStream
from tests.cluster.test_replicating import insert, leading, make

LEASE = 2.0


async def test_a_leader_leads_until_another_writes_and_not_where_the_stream_is_away(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    stream, bus = MemoryStream(log), MemoryBus(log)
    path = tmp_path / "first.db"
    schema = await made(path)
    async with leading(path, stream, schema) as (runner, written, fallen):
        leader = Leader(written, stream, bus, runner, LEASE, lambda: Beat("first", 1, 0))
        await runner.write(lambda connection: insert("one", connection))
        assert await leader.leads()
        stream.cut = True
        assert not await leader.leads()
        stream.cut = False
        assert await leader.leads()
        log.append(b"another node's")
        assert not await leader.leads()
        assert fallen == []
        with pytest.raises(Deposed), ungrouped():
            await leader.run()
        assert len(fallen) == 1


async def made(path: Path) -> bytes:
    """Make the database; `make` runs an event loop of its own."""
    return await trio.to_thread.run_sync(make, path)
