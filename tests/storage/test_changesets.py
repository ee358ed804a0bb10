"""Changesets are what a transaction changed, all of it and no more, and fit the copy that they are made for alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from relay.storage import changesets
from relay.storage.changesets import (
    DoesNotFit,
    NotSupported,
    Recorder,
    Unrecorded,
    apply,
    open_with_handle,
    unrecorded,
)
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Replication
from relay.storage.upgrading import migrate
from tests.storage.opening import note, notes, opened

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE people (name TEXT PRIMARY KEY, said TEXT) WITHOUT ROWID;
CREATE TABLE words (number INTEGER PRIMARY KEY, name TEXT REFERENCES people ON DELETE CASCADE);
CREATE TABLE counts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON people BEGIN INSERT OR REPLACE INTO counts VALUES (new.name, 1); END;
CREATE VIRTUAL TABLE found USING fts5(words, tokenize = 'ascii', columnsize = 0);
INSERT INTO people VALUES ('ann', 'hello');
INSERT INTO words VALUES (1, 'ann');
"""


class Copy(NamedTuple):
    connection: sqlite3.Connection
    handle: int

    def rows(self, table: str) -> list[tuple[object, ...]]:
        return self.connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()

    def take(self, patchset: bytes) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            apply(self.connection, self.handle, patchset)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[tuple[Copy, Copy]]:
    """Two databases that are equal; in the first one foreign keys do what they say."""
    made = []
    for name in ("first", "second"):
        place = tmp_path / f"{name}.db"
        made.append(Copy(*open_with_handle(lambda place=place: sqlite3.connect(place, isolation_level=None))))
        made[-1].connection.executescript(SCHEMA)
    made[0].connection.execute("PRAGMA foreign_keys = ON")
    with closing(made[0].connection), closing(made[1].connection):
        yield made[0], made[1]


def changed(copy: Copy, *statements: str, rolled_back: bool = False) -> bytes:
    """Return what statements change in one transaction."""
    recorder = Recorder(copy.handle)
    copy.connection.execute("BEGIN IMMEDIATE")
    recorder.begin()
    for statement in statements:
        copy.connection.execute(statement)
    patchset = recorder.take()
    copy.connection.execute("ROLLBACK" if rolled_back else "COMMIT")
    return patchset


TABLES = ("people", "words", "counts", "found", "found_data", "found_idx", "found_content")


@pytest.mark.parametrize(
    "statements",
    [
        ("INSERT INTO people VALUES ('ben', 'yes')",),
        ("UPDATE people SET said = 'no'",),
        ("DELETE FROM people",),
        ("DELETE FROM people", "INSERT INTO people VALUES ('ann', 'again')"),
        ("INSERT INTO found VALUES ('to be found')", "INSERT INTO found VALUES ('and more')"),
        ("SAVEPOINT one", "DELETE FROM people", "ROLLBACK TO one", "UPDATE people SET said = 'stays'"),
    ],
)
def test_a_copy_that_is_given_the_changes_is_equal(copies: tuple[Copy, Copy], statements: tuple[str, ...]) -> None:
    first, second = copies
    second.take(changed(first, *statements))
    for table in TABLES:
        assert second.rows(table) == first.rows(table), table
    second.connection.execute("INSERT INTO found (found) VALUES ('integrity-check')")


def test_triggers_work_again_after_changes_were_applied(copies: tuple[Copy, Copy]) -> None:
    first, second = copies
    second.take(changed(first, "INSERT INTO people VALUES ('ben', 'yes')"))
    second.connection.execute("INSERT INTO people VALUES ('cat', 'too')")
    assert ("cat", 1) in second.rows("counts")


def test_nothing_changed_is_no_bytes(copies: tuple[Copy, Copy]) -> None:
    first, _ = copies
    assert changed(first, "UPDATE people SET said = said") == b""
    assert changed(first, "INSERT INTO words VALUES (7, 'ann')", "DELETE FROM words WHERE number = 7") == b""


def test_what_was_recorded_and_not_taken_is_not_in_the_next_changes(copies: tuple[Copy, Copy]) -> None:
    first, second = copies
    recorder = Recorder(first.handle)
    for end in ("ROLLBACK", "COMMIT"):
        first.connection.execute("BEGIN IMMEDIATE")
        recorder.begin()
        first.connection.execute(f"INSERT INTO people VALUES ('{end}', NULL)")
        if end == "COMMIT":
            second.take(recorder.take())
        first.connection.execute(end)
    assert second.rows("people") == first.rows("people") == [("COMMIT", None), ("ann", "hello")]


def test_what_is_erased_is_not_in_the_changes_that_erase_it(copies: tuple[Copy, Copy]) -> None:
    first, _ = copies
    assert b"hello" not in changed(first, "UPDATE people SET said = NULL", rolled_back=True)
    assert b"hello" not in changed(first, "DELETE FROM people")


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ("DELETE FROM people WHERE name = 'ann'", "people: the row is not there"),
        ("INSERT INTO people VALUES ('ben', 'other')", "people: the row is there already"),
    ],
)
def test_changes_that_do_not_fit_change_nothing(copies: tuple[Copy, Copy], there: str, reason: str) -> None:
    first, second = copies
    second.connection.execute(there)
    before = second.rows("people")
    patchset = changed(first, "UPDATE people SET said = 'x'", "INSERT INTO people VALUES ('ben', 'yes')")
    with pytest.raises(DoesNotFit, match=reason):
        second.take(patchset)
    assert second.rows("people") == before


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: b"x" + whole[1:], lambda _whole: b""])
def test_damaged_changes_are_refused(copies: tuple[Copy, Copy], damage: Callable[[bytes], bytes]) -> None:
    first, second = copies
    whole = changed(first, "INSERT INTO people VALUES ('ben', 'yes')")
    with pytest.raises(DoesNotFit, match="is damaged"):
        second.take(damage(whole))
    assert second.rows("people") == [("ann", "hello")]


def test_foreign_keys_must_be_off_where_changes_are_applied(copies: tuple[Copy, Copy]) -> None:
    with pytest.raises(sqlite3.ProgrammingError, match="without foreign keys"):
        copies[0].take(changed(copies[1], "INSERT INTO people VALUES ('ben', 'yes')"))


def test_each_table_of_relays_own_is_recorded(tmp_path: Path) -> None:
    migrate(tmp_path / "relay.db", copy=False)
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        assert unrecorded(connection) == []


def test_tables_that_are_not_recorded_are_named(copies: tuple[Copy, Copy]) -> None:
    first, _ = copies
    first.connection.executescript("""
        CREATE TABLE no_key (a);
        CREATE TABLE maybe (name TEXT PRIMARY KEY);
        CREATE TABLE surely (name TEXT NOT NULL PRIMARY KEY);
    """)
    assert unrecorded(first.connection) == [
        Unrecorded("maybe", "its primary key may be NULL"), Unrecorded("no_key", "it has no primary key"),
    ]  # fmt: skip


def test_a_sqlite_without_the_extension_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changesets._library.cache_clear()
    monkeypatch.setattr("ctypes.CDLL", lambda _place: object())
    try:
        with pytest.raises(NotSupported, match=r"has no session extension, which a cluster needs; use a Python"):
            changesets.check_supported()
    finally:
        changesets._library.cache_clear()


class Other(Replication):
    """What is handed on, and whether it is taken."""

    def __init__(self, handle: int) -> None:
        self.recorder = Recorder(handle)
        self.taken: list[bytes] = []
        self.told: list[str] = []
        self.takes = True

    def begin(self, connection: sqlite3.Connection) -> None:
        self.recorder.begin()

    def seal(self, connection: sqlite3.Connection) -> None:
        if not self.takes:
            raise StorageFailed("the others do not take it")
        self.taken.append(self.recorder.take())

    def committed(self) -> None:
        self.told.append("committed")

    def dropped(self) -> None:
        self.recorder.drop()
        self.told.append("dropped")


@pytest.mark.real_time
@pytest.mark.parametrize("inline", [True, False])
async def test_a_transaction_is_handed_on_before_its_commit_or_fails(tmp_path: Path, inline: bool) -> None:
    others: list[Other] = []
    async with opened(tmp_path / "new", inline=inline, recorded=True) as runner:
        runner.replicate(lambda handle: others.append(Other(handle)) or others[-1])
        await runner.write(note("one"))
        others[0].takes = False
        with pytest.raises(StorageFailed, match="the others do not take it"):
            await runner.write(note("two"))
        others[0].takes = True
        await runner.write(note("three"))
        assert await notes(runner) == {"one", "three"}
    assert others[0].told == ["committed", "dropped", "committed"]
    assert [b"one" in part for part in others[0].taken] == [True, False]


async def test_a_database_that_was_opened_without_is_not_replicated(tmp_path: Path) -> None:
    async with opened(tmp_path / "new", inline=True) as runner:
        with pytest.raises(ValueError, match="was not opened as one whose changes are recorded"):
            runner.replicate(Other)
