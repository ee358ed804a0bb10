"""Upgrades: from every schema that relay had, with a copy first where rows are changed, and a line in the log."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from relay.storage import migrations
from relay.storage.errors import StorageError
from relay.storage.first_migrations import migrations as registry
from relay.storage.identity import APPLICATION_ID, schema_version
from relay.storage.upgrading import CHANGING, migrate
from relay.testing import world as open_world
from tests.actors import OPERATOR
from tests.storage.earlier_schemas import FOLDER

Shape = dict[str, set[tuple[Any, ...]]]
EARLIER = sorted(FOLDER.glob("*.sql"), key=lambda file: int(file.stem.partition("-")[2]))


def restored(file: Path, folder: Path) -> Path:
    """Make the database of an earlier schema in a folder."""
    path = folder / "relay.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(file.read_text())
    return path


def shape(path: Path) -> Shape:
    """Return the tables with their columns, the indexes with theirs, in any order, and the triggers."""
    with closing(sqlite3.connect(path)) as database:
        names = database.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall()
        pragmas = {"table": "table_xinfo", "index": "index_xinfo"}
        return {
            f"{kind} {name}": {tuple(row[1:]) for row in database.execute(f"PRAGMA {pragmas[kind]}({name})")}
            if kind in pragmas
            else {(sql,)}
            for kind, name, sql in names
        }


def one(path: Path, statement: str) -> Any:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchone()[0]


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Shape:
    path = tmp_path_factory.mktemp("newest") / "relay.db"
    migrate(path)
    return shape(path)


@pytest.mark.parametrize("file", EARLIER, ids=lambda file: file.stem)
async def test_a_file_of_each_earlier_schema_upgrades_itself_and_what_was_said_is_read(
    file: Path, newest: Shape, tmp_path: Path
) -> None:
    path = restored(file, tmp_path)
    async with open_world(tmp_path) as world:
        token = await world.engine.access.create_token(OPERATOR, "bob", label="", scopes=(), days=0)
        answer = await world.rest("GET", "/api/messages/user/alice", token)
        assert [row["payload"]["content"] for row in answer.body["messages"]] == ["kept since then"]
    after = shape(path)
    assert {name: after.get(name) for name in newest} == newest
    assert one(path, "SELECT role FROM users WHERE user_id = 'alice'") == "owner"
    assert one(path, "PRAGMA integrity_check") == "ok"
    assert (one(path, "PRAGMA application_id"), one(path, "PRAGMA user_version")) == (
        APPLICATION_ID, schema_version(),
    )  # fmt: skip


def test_before_rows_are_changed_the_file_is_copied_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = restored(FOLDER / "schema-21.sql", tmp_path)
    migrate(path)
    kept = tmp_path / "relay.db.schema-21"
    assert one(kept, "SELECT admin FROM users WHERE user_id = 'alice'") == 1
    assert one(kept, "PRAGMA integrity_check") == "ok"
    copied, upgraded = [record.getMessage() for record in caplog.records]
    assert copied == f"before the upgrade the database was copied to {kept}; delete it once all is well"
    assert upgraded.startswith(f"the schema of {path} was brought from version 21 to {schema_version()} in ")
    assert "server_roles" in upgraded
    assert one(path, "PRAGMA user_version") == schema_version()
    caplog.clear()
    migrate(path)
    assert not caplog.records
    assert [file.name for file in tmp_path.glob("relay.db.*")] == ["relay.db.schema-21"]


def test_the_copy_is_for_its_owner_only(tmp_path: Path) -> None:
    path = restored(FOLDER / "schema-21.sql", tmp_path)
    previous = os.umask(0)
    try:
        migrate(path)
    finally:
        os.umask(previous)
    assert (tmp_path / "relay.db.schema-21").stat().st_mode & 0o777 == 0o600


def test_an_upgrade_that_only_adds_makes_no_copy_nor_does_one_that_is_told_not_to(tmp_path: Path) -> None:
    for name, copy in (("adds", True), ("told", False)):
        folder = tmp_path / name
        folder.mkdir()
        path = restored(FOLDER / ("schema-31.sql" if name == "adds" else "schema-21.sql"), folder)
        pending = set(migrations.steps())
        with closing(sqlite3.connect(path)) as database:
            pending -= migrations.applied(database)
        assert pending.isdisjoint(CHANGING) is (name == "adds")
        migrate(path, copy=copy)
        assert not [*folder.glob("relay.db.*")]


def test_without_room_for_a_copy_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restored(FOLDER / "schema-21.sql", tmp_path)
    found = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result([*found[:4], 1, *found[5:10]]))
    with pytest.raises(StorageError, match=r"cannot be copied before its upgrade: .*copy_before_upgrade = false"):
        migrate(path)
    assert one(path, "SELECT admin FROM users WHERE user_id = 'alice'") == 1


def test_a_copy_that_fails_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = restored(FOLDER / "schema-21.sql", tmp_path)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="cannot be copied before its upgrade"):
        migrate(path)
    assert [file.name for file in tmp_path.iterdir() if "schema" in file.name] == []
    assert one(path, "SELECT admin FROM users WHERE user_id = 'alice'") == 1, "nothing was changed in it"


def test_the_steps_that_change_what_is_stored_are_named() -> None:
    database = sqlite_utils.Database(memory=True)
    connection: sqlite3.Connection = database.conn
    registry.ensure_migrations_table(database)
    changing = set()
    for step in registry.pending(database):
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        seen: list[str] = []

        def note(
            action: int, table: str | None, *_others: str | None, tables: Any = tables, seen: Any = seen
        ) -> int:
            if (
                action in (sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_DROP_TABLE)
                and table in tables
            ):
                seen.append(str(table))
            return sqlite3.SQLITE_OK

        def trace(statement: str, seen: Any = seen) -> None:
            if " DROP COLUMN " in statement:
                seen.append(statement)

        connection.set_authorizer(note)
        connection.set_trace_callback(trace)
        step.fn(database)
        connection.set_authorizer(None)
        connection.set_trace_callback(None)
        if seen:
            changing.add(step.name)
    assert changing == CHANGING, "name in CHANGING each step that updates or deletes rows that older ones stored"
