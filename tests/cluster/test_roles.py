"""A node's roles, one after the other: a copy where one is needed, following, leading, and following again."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.cluster import roles
from relay.cluster.beats import LEADER, Beat, Heard, encode_beat
from relay.cluster.faults import ungrouped
from relay.cluster.records import START, Kind, Record, parts
from relay.cluster.roles import CannotCopy, Roles, Term
from relay.storage.cluster import write_position
from relay.storage.errors import Deposed, StorageError
from relay.storage.replica import open_replica
from tests.cluster.memory import MemoryBus, MemoryLog, MemoryStream
from tests.cluster.test_following import inline
from tests.cluster.test_replicating import BEGIN, make

LEASE = 2.0
OTHER = Beat("second", 0, 1, address="second:1", key="key")


class Node:
    """A node whose leading and copying are the test's."""

    def __init__(self, path: Path, log: MemoryLog, *, cluster: str = "team") -> None:
        self.stream, self.bus = MemoryStream(log), MemoryBus(log)
        self.heard = Heard("first", self.bus, LEASE)
        self.terms: list[Term] = []
        self.ends: list[Exception | None] = []
        self.copies: list[Beat] = []
        self.copied: list[Exception | None] = []
        self.beside = 0
        self.path, self.original = path, path.with_name("original.db")
        self.roles = Roles(
            "first",
            cluster,
            path,
            self.stream,
            self.heard,
            LEASE,
            durability="normal",
            copy=self._copy,
            lead=self._lead,
            beside=self._beside,
            run=inline,
        )

    async def _lead(self, term: Term) -> None:
        assert self.beside == 0  # nothing of the follower's is left
        self.terms.append(term)
        if self.ends and (error := self.ends.pop(0)) is not None:
            raise error

    async def _copy(self, beat: Beat) -> None:
        self.copies.append(beat)
        if self.copied and (error := self.copied.pop(0)) is not None:
            raise error
        self.path.write_bytes(self.original.read_bytes())

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        self.beside += 1
        try:
            yield
        finally:
            self.beside -= 1

    async def run(self, *, leader: bool = False, seconds: float = 600) -> None:
        """Run until its role ends by itself; with `leader`, another node is heard for as long."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.heard.run)
            if leader:
                nursery.start_soon(self._beats)
            with trio.move_on_after(seconds):
                await self.roles.run()
            nursery.cancel_scope.cancel()

    async def _beats(self) -> None:
        while True:
            await self.bus.publish(LEADER, encode_beat(OTHER))
            await trio.sleep(LEASE / 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "original.db")
    return tmp_path / "relay.db"


def with_database(path: Path) -> Path:
    path.write_bytes(path.with_name("original.db").read_bytes())
    return path


async def test_a_node_leads_and_ends_when_it_is_told_to(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    node = Node(with_database(path), MemoryLog())
    await node.run()
    [term] = node.terms
    assert (term.position.term, term.position.number, term.position.sequence) == (1, 1, 1)
    assert node.copies == []


async def test_a_deposed_leader_follows_and_may_lead_again(
    path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(with_database(path), MemoryLog())
    node.ends = [Deposed("another node of the cluster leads from now on")]
    await node.run()
    assert [term.position.term for term in node.terms] == [1, 2]
    assert "this node leads no more: another node of the cluster leads from now on" in caplog.text


async def test_a_node_that_cannot_lead_leaves_it_to_others(
    path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(with_database(path), MemoryLog())
    node.ends = [StorageError("cannot open the database")]
    await node.run()
    assert [term.position.term for term in node.terms] == [1, 2]
    assert trio.current_time() >= 30
    assert "this node cannot lead: cannot open the database; for 30 s it leaves it to others" in caplog.text


@pytest.mark.parametrize("fails", ["once it has followed", "from its start on"])
async def test_a_disk_that_fails_ends_a_node_at_its_start_alone(
    path: Path,
    fails: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node(with_database(path), MemoryLog())
    node.ends = [Deposed("the commit failed")]
    left = [3]

    @contextmanager
    def failing(path: Path, durability: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        if left[0] and (node.terms or fails == "from its start on"):
            left[0] -= 1
            raise StorageError("cannot use the database: disk I/O error") from sqlite3.OperationalError()
        with open_replica(path, durability) as opened:
            yield opened

    monkeypatch.setattr(roles, "open_replica", failing)
    if fails == "from its start on":
        with pytest.raises(StorageError, match="disk I/O error"), ungrouped():
            await node.run()
        return
    await node.run()
    assert [term.position.term for term in node.terms] == [1, 2]
    assert caplog.text.count("cannot use the database: disk I/O error; this node tries again in 1 s") == 3


async def test_a_new_node_takes_a_copy_of_whoever_leads(
    path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    node = Node(path, MemoryLog())
    node.copied = [CannotCopy("there is no room"), None]
    await node.run(leader=True, seconds=20)
    assert node.copies == [OTHER, OTHER]
    assert path.exists()
    assert node.terms == []
    assert "this node has no database yet: a copy of the database is fetched from the leader" in caplog.text
    assert "no copy from second: there is no room; again in 1 s" in caplog.text


async def test_an_empty_file_is_no_database(path: Path, autojump_clock: trio.testing.MockClock) -> None:
    path.touch()  # as the lock of a node leaves it that was killed before its copy had come
    node = Node(path, MemoryLog())
    await node.run(leader=True, seconds=5)
    assert node.copies == [OTHER]


async def test_a_cluster_that_began_again_is_followed_from_a_later_term(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    log.append(b"of another beginning")
    node = Node(with_database(path), log)
    with closing(sqlite3.connect(path)) as connection:
        write_position(connection, BEGIN._replace(number=30, term=7))
        connection.commit()
    await node.run(leader=True, seconds=1.5)
    assert node.copies[:1] == [OTHER]


@pytest.mark.parametrize("how", ["another history", "not kept"])
async def test_a_database_that_does_not_fit_is_replaced_by_a_copy(
    path: Path, how: str, autojump_clock: trio.testing.MockClock
) -> None:
    log = MemoryLog()
    log.append(parts(Record(Kind.TERM, 8 if how == "another history" else 1, 1, START, b"second"), 4096)[0])
    if how == "not kept":
        log.entries[0] = None
    node = Node(with_database(path), log)

    async def copy_and_mend() -> None:
        while not node.copies:
            await trio.sleep(0.1)
        log.entries[0] = parts(Record(Kind.TERM, 1, 1, START, b"second"), 4096)[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(copy_and_mend)
        await node.run(leader=True, seconds=5)
    assert len(node.copies) >= 1
    assert node.roles.copying is False


async def test_a_database_of_ones_own_is_never_replaced(
    path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    node = Node(with_database(path), MemoryLog(), cluster="other")
    why = pytest.RaisesExc(StorageError, match=r"is of the cluster team, and \[cluster\] name says other")
    with pytest.RaisesGroup(why, flatten_subgroups=True):
        await node.run(leader=True)
    assert node.copies == []


async def test_a_cluster_without_a_stream_is_waited_for(
    path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = MemoryLog(exists=False)
    node = Node(with_database(path), log)

    async def begin() -> None:
        await trio.sleep(30)
        log.exists = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        await node.run()
    assert len(node.terms) == 1
    assert "the cluster team has no stream in NATS" in caplog.text
    assert BEGIN.cluster == "team"
