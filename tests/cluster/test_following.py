"""Nodes that follow in memory: one of them leads, another follows it, and takes its place when it is silent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.cluster.beats import LEADER, Beat, Heard, encode_beat
from relay.cluster.following import Follower, Run
from relay.cluster.records import START, Kind, Record, parts
from relay.cluster.replica import Diverged, Replica
from relay.cluster.stream import Missing, NoStream
from relay.storage.cluster import Position
from relay.storage.replica import open_replica
from tests.cluster.memory import MemoryBus, MemoryLog, MemoryStream
from tests.cluster.test_replicating import make

LEASE = 2.0


async def inline(step: Callable[[], int]) -> int:
    await trio.lowlevel.checkpoint()
    return step()


async def late(step: Callable[[], int]) -> int:
    """Run a step, and have it said only much later that it is done, as of a slow disk's commit."""
    done = step()
    await trio.sleep(3 * LEASE)
    return done


class Node:
    def __init__(self, name: str, path: Path, log: MemoryLog, nursery: trio.Nursery) -> None:
        self.stream, self.bus = MemoryStream(log), MemoryBus(log)
        self.heard = Heard(name, self.bus, LEASE)
        self.name, self.path, self.nursery = name, path, nursery
        self.leads = False
        self.run: Run = inline
        self.position: Position | None = None

    async def follow(self) -> None:
        self.nursery.start_soon(self.heard.run)
        with open_replica(self.path, "normal") as (connection, handle):
            replica = Replica(connection, handle, self.name)
            try:
                await Follower(
                    self.name, replica, self.stream, self.heard, LEASE, run=self.run, chance=lambda: 0.5
                ).follow()
                self.leads = True
            finally:
                self.position = replica.position


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "first.db")
    return tmp_path / "first.db"


@asynccontextmanager
async def nodes(path: Path, log: MemoryLog, *names: str) -> AsyncIterator[list[Node]]:
    async with trio.open_nursery() as nursery:
        found = []
        for name in names:
            own = path.with_name(f"{name}.db")
            if own != path:
                own.write_bytes(path.read_bytes())
            found.append(Node(name, own, log, nursery))
        yield found
        nursery.cancel_scope.cancel()


async def test_a_node_alone_leads_after_a_lease(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    async with nodes(path, log, "first") as (first,):
        await first.follow()
    assert first.leads
    assert first.position is not None
    assert (first.position.term, first.position.number, len(log.entries)) == (1, 1, 1)
    assert LEASE <= trio.current_time() <= 2 * LEASE


async def test_of_several_one_leads(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    async with nodes(path, log, "first", "second", "third") as found:
        for node in found:
            node.nursery.start_soon(node.follow)
        await trio.sleep(1.9 * LEASE)
        assert [node.leads for node in found].count(True) == 1
        assert len(log.entries) == 1
        await trio.sleep(LEASE)  # the leader is silent: one of the others stands
        assert [node.leads for node in found].count(True) == 2


async def test_a_node_stands_on_what_its_disk_has_taken_alone(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    async with nodes(path, log, "first") as (first,):
        first.run = late
        first.nursery.start_soon(first.follow)
        await trio.sleep(LEASE / 2)
        for part in parts(Record(Kind.TERM, 1, 1, START, b"second"), 4096):
            log.append(part)
        await trio.sleep(2.5 * LEASE)  # the record is applied, and not committed
        assert len(log.entries) == 1


async def test_nobody_stands_while_the_leader_is_heard(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    async with nodes(path, log, "first") as (first,):
        first.nursery.start_soon(first.follow)
        for _ in range(10):
            await first.bus.publish(LEADER, b"not a beat")
            await first.bus.publish(LEADER, encode_beat(Beat("second", 1, 9)))
            await trio.sleep(LEASE / 2)
        assert log.entries == []
        assert first.heard.leader == Beat("second", 1, 9)


async def test_beats_of_a_term_that_is_over_do_not_count(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    for part in parts(Record(Kind.TERM, 1, 1, START, b"second"), 4096):
        log.append(part)
    async with nodes(path, log, "first") as (first,):
        first.nursery.start_soon(first.follow)
        for _ in range(6):
            await first.bus.publish(LEADER, encode_beat(Beat("third", 0, 9)))
            await trio.sleep(LEASE / 2)
        assert first.leads
        assert first.position is not None
        assert first.position.term == 2


async def test_who_was_handed_the_term_leads_at_once(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    for part in parts(Record(Kind.TERM, 1, 1, START, b"first"), 4096):
        log.append(part)
    async with nodes(path, log, "first") as (first,):
        await first.follow()
    assert first.leads
    assert trio.current_time() < LEASE


async def test_a_term_of_ones_own_that_is_over_is_not_led_again(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    own = Record(Kind.TERM, 1, 1, START, b"first")
    for record in (own, Record(Kind.TERM, 2, 2, own.digest(), b"second")):
        for part in parts(record, 4096):
            log.append(part)
    async with nodes(path, log, "first") as (first,):
        first.nursery.start_soon(first.follow)
        await trio.sleep(LEASE / 2)
        assert not first.leads


async def test_a_node_without_its_stream_says_so(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with nodes(path, MemoryLog(exists=False), "first") as (first,):
        with pytest.raises(NoStream):
            await first.follow()


async def test_a_node_that_was_away_for_too_long_says_so(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    log.append(b"x")
    log.entries[0] = None
    async with nodes(path, log, "first") as (first,):
        with pytest.raises(Missing):
            await first.follow()


async def test_a_stream_of_another_history_ends_the_following(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    log.append(parts(Record(Kind.TERM, 7, 3, START, b"second"), 4096)[0])
    async with nodes(path, log, "first") as (first,):
        with pytest.raises(Diverged, match="record 7 does not continue this database, which is at record 0"):
            await first.follow()


async def test_who_is_cut_off_does_not_lead(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    log = MemoryLog()
    async with nodes(path, log, "first") as (first,):
        first.stream.cut = True
        first.nursery.start_soon(first.follow)
        await trio.sleep(5 * LEASE)
        assert (first.leads, log.entries) == (False, [])
        first.stream.cut = False
        await trio.sleep(LEASE)
        assert first.leads
