"""A leader's commits reach a replica through the stream, each once and in order; or the leader leads no more."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.cluster.records import START, Assembler, Damaged, Kind, Record, parts
from relay.cluster.replica import Diverged, Replica, SchemaChanged
from relay.cluster.replication import LeaderLog
from relay.cluster.stream import Entry
from relay.storage.changesets import open_with_handle
from relay.storage.cluster import Position, read_position, schema_digest, write_position
from relay.storage.database import open_runner
from relay.storage.errors import Deposed, NotReplicated, StorageFailed
from relay.storage.jobs import Runner
from relay.storage.observer import note_erased, note_purged
from relay.storage.replica import open_replica, purging
from tests.cluster.memory import MemoryLog, MemoryStream
from tests.simulation.replica import differences

BEGIN = Position("team", 0, 0, START, 0)


def make(path: Path) -> bytes:
    """Make a database of a cluster that is about to begin, and return the digest of its tables."""

    async def run() -> bytes:
        async with open_runner(path, inline=True, on_rollback=lambda: None) as runner:
            await runner.write(
                lambda connection: connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
            )
            await runner.write(partial(write_position, position=BEGIN))
            return await runner.read(schema_digest)

    return trio.run(run)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, bytes]:
    leader, follower = tmp_path / "leader.db", tmp_path / "follower.db"
    schema = make(leader)
    follower.write_bytes(leader.read_bytes())
    return leader, follower, schema


@asynccontextmanager
async def leading(
    path: Path, stream: MemoryStream, schema: bytes, position: Position = BEGIN, *, inline: bool = True
) -> AsyncIterator[tuple[Runner, LeaderLog, list[Deposed]]]:
    fallen: list[Deposed] = []
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(
            open_runner(path, inline=inline, recorded=True, on_rollback=lambda: None)
        )
        logs: list[LeaderLog] = []

        def made(handle: int) -> LeaderLog:
            logs.append(LeaderLog(stream, position, schema, fallen.append, handle, "first"))
            return logs[-1]

        runner.replicate(made)
        yield runner, logs[0], fallen


def follow(path: Path, log: MemoryLog, node: str = "second") -> Position:
    with open_replica(path, "normal") as (connection, handle):
        replica = Replica(connection, handle, node)
        entries = (Entry(place + 1, data) for place, data in enumerate(log.entries) if data is not None)
        replica.apply(entries)
        return replica.position


def insert(name: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO things (name) VALUES (?)", (name,))


@pytest.mark.parametrize("inline", [True, pytest.param(False, marks=pytest.mark.real_time)])
def test_commits_reach_a_replica(files: tuple[Path, Path, bytes], inline: bool) -> None:
    leader, follower, schema = files
    log = MemoryLog()

    async def run() -> Position:
        async with leading(leader, MemoryStream(log), schema, inline=inline) as (runner, written, _):
            await runner.write(partial(insert, "one"))
            await runner.write(lambda connection: None)  # changes nothing, and is in no stream
            await runner.write(partial(insert, "x" * 20_000))  # goes in parts
            return written.position

    position = trio.run(run)
    assert position.number == 2
    assert position.sequence == len(log.entries) > 4
    assert follow(follower, log) == position
    assert list(differences(leader, follower)) == []
    assert follow(follower, log) == position  # all of them once more: they came twice


def test_what_the_stream_refuses_is_not_committed_and_ends_the_term(files: tuple[Path, Path, bytes]) -> None:
    leader, _, schema = files
    log = MemoryLog()

    async def run() -> None:
        async with leading(leader, MemoryStream(log), schema) as (runner, written, fallen):
            await runner.write(partial(insert, "one"))
            log.append(b"another node's")
            for _ in range(2):
                with pytest.raises(Deposed, match="another node of the cluster leads"):
                    await runner.write(partial(insert, "two"))
            assert len(fallen) == 1
            assert len(log.entries) == 2
            assert await runner.read(lambda c: c.execute("SELECT name FROM things").fetchall()) == [("one",)]
            assert await runner.read(read_position) == written.position

    trio.run(run)


def test_what_nobody_answers_is_refused_and_later_writes_stand(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log = MemoryLog()
    stream = MemoryStream(log)

    async def run() -> None:
        async with leading(leader, stream, schema) as (runner, _, fallen):
            stream.cut = True
            with pytest.raises(NotReplicated, match="no NATS server answers"):
                await runner.write(partial(insert, "one"))
            assert runner.health.reason is not None
            stream.cut = False
            await runner.write(partial(insert, "two"))
            assert fallen == []

    trio.run(run)
    follow(follower, log)
    assert list(differences(leader, follower)) == []


def test_what_was_appended_without_an_answer_is_read_from_the_stream(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log = MemoryLog()
    stream = MemoryStream(log)

    async def run() -> None:
        async with leading(leader, stream, schema) as (runner, _, fallen):
            stream.lose = 1
            with pytest.raises(NotReplicated, match="no answer came"):
                await runner.write(partial(insert, "one"))
            with pytest.raises(Deposed):
                await runner.write(partial(insert, "two"))
            assert fallen

    trio.run(run)
    for path in (leader, follower):
        assert follow(path, log).number == 1
    assert list(differences(leader, follower)) == []


def test_a_commit_that_fails_behind_the_stream_ends_the_term(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log, fallen = MemoryLog(), list[Deposed]()
    connection, handle = open_with_handle(lambda: sqlite3.connect(leader, isolation_level=None))
    with closing(connection):
        written = LeaderLog(MemoryStream(log), BEGIN, schema, fallen.append, handle, "first")
        connection.execute("BEGIN")
        written.begin(connection)
        insert("one", connection)
        written.seal(connection)
        connection.execute("ROLLBACK")  # as where the disk is full
        written.dropped()
        assert str(fallen[0]).startswith("the commit failed after the cluster's stream had taken it")
        with pytest.raises(Deposed):
            written.begin(connection)
    for path in (leader, follower):
        assert follow(path, log).number == 1
    assert list(differences(leader, follower)) == []


def test_what_the_commit_would_refuse_is_not_in_the_stream(files: tuple[Path, Path, bytes]) -> None:
    log = MemoryLog()

    def refers_to_nobody(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("INSERT INTO children VALUES (1, 7)")

    async def run() -> None:
        async with leading(files[0], MemoryStream(log), files[2]) as (runner, _, fallen):
            await runner.write(
                lambda c: c.execute("CREATE TABLE children (id INTEGER PRIMARY KEY, thing REFERENCES things)")
            )
            count = len(log.entries)
            with pytest.raises((sqlite3.IntegrityError, StorageFailed), match="FOREIGN KEY constraint failed"):
                await runner.write(refers_to_nobody)
            assert len(log.entries) == count
            await runner.write(partial(insert, "one"))
            assert fallen == []

    trio.run(run)


def test_new_tables_ask_for_a_new_copy(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log = MemoryLog()

    async def run() -> None:
        async with leading(leader, MemoryStream(log), schema) as (runner, _, _fallen):
            await runner.write(partial(insert, "one"))
            await runner.write(lambda c: c.execute("CREATE TABLE others (id INTEGER PRIMARY KEY)"))
            with pytest.raises(
                NotReplicated, match="the table loose cannot be in a cluster: it has no primary key"
            ):
                await runner.write(lambda c: c.execute("CREATE TABLE loose (name TEXT)"))

    trio.run(run)
    with pytest.raises(SchemaChanged, match="since record 2"):
        follow(follower, log)
    with open_replica(follower, "normal") as (connection, _):
        position = read_position(connection)
        assert position is not None
        assert position.number == 1  # what came before it is there


@pytest.mark.parametrize("successor", ["first", "second"])
def test_tables_that_only_a_dead_leader_had_are_given_up_by_itself_alone(
    files: tuple[Path, Path, bytes], successor: str
) -> None:
    leader, follower, schema = files
    log, before = MemoryLog(), leader.read_bytes()

    async def run() -> LeaderLog:
        async with leading(leader, MemoryStream(log), schema) as (runner, written, _fallen):
            await runner.write(lambda c: c.execute("CREATE TABLE others (id INTEGER PRIMARY KEY)"))
            return written

    position = trio.run(run).position
    leader.write_bytes(before)  # it died between the stream's answer and the commit
    with open_replica(leader, "normal") as (connection, handle):
        replica = Replica(connection, handle, "first")
        replica.apply([Entry(1, log.entries[0] or b"")])
        assert replica.position == position
        assert read_position(connection) == BEGIN  # it may have to give up that as well
    follow(leader, log, "first")
    term = Record(Kind.TERM, 2, 1, position.digest, successor.encode())
    log.append(*parts(term, 4096))
    with pytest.raises(SchemaChanged, match="since record 1"):
        follow(follower, log)
    if successor == "first":
        assert follow(leader, log, "first").number == 2
    else:
        with pytest.raises(SchemaChanged, match="this node has lost the tables of record 1"):
            follow(leader, log, "first")


def test_a_term_is_handed_over_behind_new_tables_only(files: tuple[Path, Path, bytes]) -> None:
    log = MemoryLog()

    def make_and_hand_over(written: LeaderLog, connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE others (id INTEGER PRIMARY KEY)")
        written.hand_over("second")

    async def run() -> None:
        async with leading(files[0], MemoryStream(log), files[2]) as (runner, written, fallen):
            await runner.write(partial(make_and_hand_over, written))
            assert fallen == []
            await runner.write(lambda _: None)
            assert "second leads from now on" in str(fallen[0])

    trio.run(run)
    assert len(log.entries) == 2


def test_tables_that_an_upgrade_changed_are_told_with_the_first_transaction(
    files: tuple[Path, Path, bytes],
) -> None:
    leader, follower, _ = files
    log = MemoryLog()

    async def run() -> None:
        async with leading(leader, MemoryStream(log), b"those of an older relay") as (runner, _, _fallen):
            await runner.write(lambda c: None)
            await runner.write(partial(insert, "one"))

    trio.run(run)
    assert follow(follower, log).number == 2  # the replica has these tables already
    assert list(differences(leader, follower)) == []


def test_a_handed_over_term_names_the_next_leader_and_ends_this_one(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log = MemoryLog()

    async def run() -> None:
        async with leading(leader, MemoryStream(log), schema) as (runner, written, fallen):
            await runner.write(lambda _: written.hand_over("second"))
            assert "second leads from now on" in str(fallen[0])
            with pytest.raises(Deposed):
                await runner.write(partial(insert, "one"))

    trio.run(run)
    with open_replica(follower, "normal") as (connection, handle):
        replica = Replica(connection, handle, "second")
        replica.apply([Entry(1, log.entries[0] or b"")])
        assert (replica.leader, replica.position.term) == ("second", 1)


RECORD = Record(Kind.CHANGE, 7, 2, START, b"x" * 10_000)


def test_a_record_comes_together_from_its_parts() -> None:
    assembler = Assembler()
    found = [record for part in parts(RECORD, 1000) for record in assembler.add(part)]
    assert found == [RECORD]
    assert assembler.is_whole
    assert all(len(part) <= 1000 for part in parts(RECORD, 1000))


def test_half_a_record_is_dropped_when_another_begins() -> None:
    assembler = Assembler()
    half = parts(RECORD, 1000)[:3]
    assert [record for part in half for record in assembler.add(part)] == []
    assert not assembler.is_whole
    other = Record(Kind.TERM, 7, 3, START, b"second")
    assert [record for part in parts(other, 1000) for record in assembler.add(part)] == [other]


@pytest.mark.parametrize(
    "data", [b"", b"nothing of ours", parts(RECORD, 1000)[1]], ids=["empty", "foreign", "out of order"]
)
def test_what_is_no_part_of_a_record_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        list(Assembler().add(data))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (Record(Kind.CHANGE, 2, 0, START, b""), "record 2 does not continue this database, which is at record 0"),
        (Record(Kind.CHANGE, 1, 0, b"another", b""), "record 1 does not continue"),
        (Record(Kind.CHANGE, 1, 1, START, b""), "record 1 is of term 1"),
        (Record(Kind.TERM, 1, 0, START, b"second"), "record 1 is of term 0"),
        (Record(Kind.CHANGE, 1, 0, START, b"damaged" * 9), "damaged"),
    ],
)
def test_a_record_that_does_not_continue_the_database_is_not_applied(
    files: tuple[Path, Path, bytes], record: Record, why: str
) -> None:
    with open_replica(files[1], "normal") as (connection, handle):
        replica = Replica(connection, handle, "second")
        with pytest.raises(Diverged, match=why):
            replica.apply([Entry(1, part) for part in parts(record, 4096)])
        assert replica.position == BEGIN
        with pytest.raises(Diverged, match="it has a hole"):
            replica.apply([Entry(3, b"")])


def test_what_is_erased_at_the_leader_is_in_no_file_of_a_follower(files: tuple[Path, Path, bytes]) -> None:
    leader, follower, schema = files
    log, secret = MemoryLog(), "a secret that nobody should find" * 40

    async def run() -> None:
        async with leading(leader, MemoryStream(log), schema) as (runner, _, _fallen):
            for name in (secret, *("x" * 3000 for _ in range(50))):
                await runner.write(partial(insert, name))
            await runner.write(
                lambda c: c.execute("DELETE FROM things WHERE name LIKE 'a secret%'") and note_erased(c)
            )
            await runner.write(partial(note_purged, erasures=1))

    trio.run(run)
    entries = [Entry(place + 1, data) for place, data in enumerate(log.entries) if data is not None]
    with purging(follower) as purge, open_replica(follower, "normal") as (connection, handle):
        replica = Replica(connection, handle, "second")
        assert replica.purge(purge) == 1
        assert not replica.erased
        replica.apply(entries[:-2])
        replica.apply(entries[:-1])
        assert not replica.erased  # the leader has not purged yet
        replica.apply(entries)
        assert replica.erased
        beside = [follower, follower.with_name(follower.name + "-wal")]
        assert any(b"a secret" in path.read_bytes() for path in beside)
        reader = sqlite3.connect(follower, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM things").fetchone()
        assert replica.purge(purge) == 0
        reader.close()
        assert replica.purge(purge) == 1
        assert not any(b"a secret" in path.read_bytes() for path in beside)
    assert list(differences(leader, follower)) == []
