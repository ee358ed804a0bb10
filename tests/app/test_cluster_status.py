"""The cluster as a node sees it: who leads, how far each is, and who may be made the leader."""

import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.app.cluster_status import FollowersOffice, Office
from relay.cluster.beats import Beat, Heard
from relay.cluster.records import Assembler, Kind
from relay.protocol.errors import ErrorCode, RelayError
from tests.cluster.memory import MemoryBus, MemoryLog, MemoryStream
from tests.cluster.test_replicating import BEGIN, leading, make

LEASE = 2.0
OWN = Beat("first", 1, 120, address="first:1")


def heard(*beats: Beat, leader: Beat | None = None) -> Heard:
    found = Heard("first", MemoryBus(MemoryLog()), LEASE)
    found.leader = leader
    found.others = {beat.node: (beat, trio.current_time()) for beat in beats}
    return found


async def test_each_node_is_told_with_what_it_lacks(autojump_clock: trio.testing.MockClock) -> None:
    leader = Beat("second", 3, 150, version="1.2", address="second:1", connections=7)
    others = heard(leader, Beat("third", 3, 149), leader=leader)
    await trio.sleep(LEASE)
    status = Office("team", others, lambda: OWN).status()
    assert (status.name, status.node, status.leader, status.term) == ("team", "first", "second", 3)
    assert [(one.node, one.role, one.behind, one.silent_seconds) for one in status.nodes] == [
        ("first", "follower", 30, 0),
        ("second", "leader", 0, LEASE),
        ("third", "follower", 1, LEASE),
    ]


async def test_who_is_silent_for_three_leases_is_not_there(autojump_clock: trio.testing.MockClock) -> None:
    others = heard(Beat("second", 3, 150))
    await trio.sleep(3 * LEASE + 0.1)
    office = Office("team", others, lambda: OWN)
    assert [one.node for one in office.status().nodes] == ["first"]
    assert office.successor() is None
    assert office.status().leader is None


async def test_the_node_that_is_furthest_comes_next(autojump_clock: trio.testing.MockClock) -> None:
    others = heard(Beat("second", 3, 149), Beat("third", 3, 150), Beat("fourth", 3, 151, ready=False))
    assert Office("team", others, lambda: OWN).successor() == "third"


async def test_a_follower_moves_nothing_and_says_who_can(autojump_clock: trio.testing.MockClock) -> None:
    office = Office("team", heard(leader=Beat("second", 3, 150)), lambda: OWN)
    assert FollowersOffice(office).status() == office.status()
    with pytest.raises(RelayError, match="run it at the leader, second") as refused:
        await FollowersOffice(office).move("third")
    assert refused.value.code is ErrorCode.CONFLICT
    with pytest.raises(RelayError, match="this node does not lead"):
        await office.move("third", lambda _: None)


async def test_the_leader_writes_down_who_comes_next_with_the_note_of_it(tmp_path: Path) -> None:
    schema, log = await trio.to_thread.run_sync(make, tmp_path / "first.db"), MemoryLog()
    others = heard(Beat("second", 1, 0), Beat("third", 1, 0, ready=False))

    def note(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO things (name) VALUES ('moved')")

    async with leading(tmp_path / "first.db", MemoryStream(log), schema) as (runner, written, fallen):
        office = Office("team", others, lambda: OWN)
        office.term = (runner, written)
        for node, why in (("third", "has no database"), ("fourth", "was not heard of lately")):
            with pytest.raises(RelayError, match=why):
                await office.move(node, note)
        await office.move("second", note)
        assert "second leads from now on" in str(fallen[0])
    assembler = Assembler()
    change, term = (record for data in log.entries if data is not None for record in assembler.add(data))
    assert (change.kind, term.kind, term.body, term.term) == (Kind.CHANGE, Kind.TERM, b"second", BEGIN.term + 1)
