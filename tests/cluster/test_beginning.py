"""A cluster begins with one node's database, once; again only when that is said."""

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.cluster.beginning import CannotBegin, begin, leave
from relay.cluster.records import START, Kind, Record, parts
from relay.cluster.replica import Diverged, Replica
from relay.cluster.stream import Entry, Unreachable
from relay.storage.cluster import Position, read_position, write_position
from relay.storage.database import open_runner
from relay.storage.errors import StorageError
from relay.storage.replica import locked, open_replica
from relay.testing.world import make_database
from tests.cluster.memory import MemoryLog, MemoryStream

pytestmark = pytest.mark.real_time  # files are opened on threads


def make(path: Path, sql: str = "", position: Position | None = None) -> None:
    if not path.exists():
        make_database(path)
    with closing(sqlite3.connect(path)) as connection:
        if sql:
            connection.execute(sql)
        connection.execute("INSERT INTO plugin_migrations VALUES ('marks', 'first', 0)")
        if position is not None:
            write_position(connection, position)
        connection.commit()


async def open_alone(path: Path) -> None:
    async with open_runner(path, inline=True, on_rollback=lambda: None):
        pass


def start(path: Path, log: MemoryLog, *, again: bool = False) -> Position:
    return trio.run(partial(begin, path, "team", MemoryStream(log), again=again))


def position_of(path: Path) -> Position | None:
    with closing(sqlite3.connect(path)) as connection:
        return read_position(connection)


def epoch(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT value FROM facts WHERE name = 'epoch'").fetchone()[0])


def nothing_runs(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT 1 FROM facts WHERE name = 'running'").fetchone() is None


def test_a_cluster_begins_with_a_database(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog(exists=False)
    make(path)
    before = epoch(path)
    position = start(path, log)
    assert log.exists
    assert position_of(path) == position
    assert position._replace(digest=b"") == Position("team", 0, 0, b"", 0)
    assert epoch(path) == before
    assert nothing_runs(path)


def test_a_new_cluster_begins_with_a_new_database(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog(exists=False)
    assert start(path, log) == position_of(path)


def test_a_beginning_that_was_interrupted_is_begun_once_more(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog(exists=False)
    make(path)
    first = start(path, log)
    assert start(path, log).digest != first.digest


def test_two_that_begin_at_once_find_out_by_the_first_record(tmp_path: Path) -> None:
    log = MemoryLog(exists=False)
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    position = start(one, log)
    start(two, log)
    record = Record(Kind.TERM, 1, 1, position.digest, b"first")
    entries = [Entry(1, part) for part in parts(record, 4096)]
    with open_replica(one) as (connection, handle):
        Replica(connection, handle, "second").apply(entries)
    with open_replica(two) as (connection, handle), pytest.raises(Diverged, match="new copy"):
        Replica(connection, handle, "second").apply(entries)


def test_a_cluster_that_has_begun_is_joined(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog()
    log.append(b"an entry")
    make(path)
    with pytest.raises(CannotBegin, match=r"has begun already: its stream has 1 entries.*relay cluster join"):
        start(path, log)
    assert position_of(path) is None


def test_a_database_of_another_cluster_begins_none(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    make(path, position=Position("others", 3, 1, START, 5))
    with pytest.raises(CannotBegin, match="of the cluster others, and not of team"):
        start(path, MemoryLog(exists=False), again=True)


def test_tables_that_cannot_be_in_a_cluster_are_named_with_their_plugin(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog(exists=False)
    make(path, "CREATE TABLE marks_loose (name TEXT)")
    with pytest.raises(CannotBegin, match=r"marks_loose of plugin marks: it has no primary key\. Each"):
        start(path, log)
    assert not log.exists
    assert position_of(path) is None


def test_nothing_is_written_where_nats_does_not_answer(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    make(path)
    stream = MemoryStream(MemoryLog(exists=False))
    stream.cut = True
    with pytest.raises(Unreachable):
        trio.run(begin, path, "team", stream)
    assert position_of(path) is None


def test_the_database_is_free_when_the_stream_is_there(tmp_path: Path) -> None:
    path, taken = tmp_path / "relay.db", []

    class Seen(MemoryStream):
        async def create(self) -> None:
            with locked(path):  # as a node does that has waited for it
                taken.append(position_of(path))
            await super().create()

    position = trio.run(begin, path, "team", Seen(MemoryLog(exists=False)))
    assert taken == [position]


def test_a_lost_stream_is_made_anew_only_when_that_is_said(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog(exists=False)
    make(path, position=Position("team", 30, 4, START, 70))
    before = epoch(path)
    with pytest.raises(CannotBegin, match=r"is not in NATS any more.*relay cluster begin --again"):
        start(path, log)
    position = start(path, log, again=True)
    assert position._replace(digest=b"") == Position("team", 30, 4, b"", 0)
    assert position.digest != START
    assert epoch(path) != before


def test_a_restored_backup_begins_again_behind_what_the_stream_has(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog()
    make(path)
    for entry in parts(Record(Kind.CHANGE, 30, 4, START, b"x" * 30_000), 4096):
        log.append(entry)
    position = start(path, log, again=True)
    assert position._replace(digest=b"") == Position("team", 30, 4, b"", 8)


def test_a_stream_whose_end_cannot_be_read_is_continued_all_the_same(tmp_path: Path) -> None:
    path, log = tmp_path / "relay.db", MemoryLog()
    make(path, position=Position("team", 3, 2, START, 1))
    log.append(b"not a record")
    log.entries.append(None)
    assert start(path, log, again=True)._replace(digest=b"") == Position("team", 3, 2, b"", 2)


def test_a_database_in_use_begins_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    make(path)
    with locked(path), pytest.raises(StorageError, match="in use by another relay"):
        start(path, MemoryLog(exists=False))


@pytest.mark.parametrize(
    "followed", [False, True], ids=["a leader that was killed", "a deposed one that followed"]
)
def test_who_has_led_keeps_the_epoch_as_well(tmp_path: Path, followed: bool) -> None:
    work, path = tmp_path / "work.db", tmp_path / "relay.db"
    make(work, position=Position("team", 30, 4, START, 70))
    before = epoch(work)

    async def be_killed() -> None:
        async with open_runner(work, inline=True, recorded=True, on_rollback=lambda: None) as runner:
            await runner.write(lambda connection: connection.execute("INSERT INTO facts VALUES ('last', 1)"))
            for end in ("", "-wal"):
                shutil.copy(f"{work}{end}", f"{path}{end}")

    trio.run(be_killed)
    if followed:
        with locked(path), open_replica(path):
            pass
    leave(path)
    trio.run(open_alone, path)
    assert epoch(path) == before


def test_a_node_leaves_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    make(path, position=Position("team", 30, 4, START, 70))
    before = epoch(path)
    with pytest.raises(StorageError, match="is a node's of the cluster team"):
        trio.run(open_alone, path)
    assert leave(path) == "team"
    assert position_of(path) is None
    assert epoch(path) == before
    with pytest.raises(CannotBegin, match="in no cluster"):
        leave(path)
    trio.run(open_alone, path)
    assert epoch(path) == before
    with pytest.raises(CannotBegin, match="there is no database"):
        leave(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
