"""One namespace of users and groups, in which case makes no other name."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage import accounts, conversations, names
from relay.storage.upgrading import migrate
from tests.storage.books import fresh


def taken(connection: sqlite3.Connection, name: str) -> str:
    with pytest.raises(RelayError) as refused:
        accounts.create_user(connection, name, 2.0)
    assert refused.value.code is ErrorCode.CONFLICT
    return refused.value.message


def test_a_name_that_differs_in_case_only_is_taken_by_users_and_groups_alike() -> None:
    connection = fresh()
    accounts.create_user(connection, "alice", 1.0)
    conversations.create_group(connection, "Team", "Team", {}, 1.0)
    assert taken(connection, "alice") == "the name 'alice' is taken"
    assert taken(connection, "ALICE") == "the name 'ALICE' is taken: 'alice' differs in case only"
    assert "'Team'" in taken(connection, "team")
    with pytest.raises(RelayError, match="'alice' differs"):
        conversations.create_group(connection, "Alice", "x", {}, 1.0)
    with pytest.raises(RelayError, match="'alice' differs"):
        accounts.ensure_user(connection, "Alice", 2.0)
    accounts.create_user(connection, "alice.b", 2.0)


def test_a_name_has_a_kind_in_its_own_case_alone() -> None:
    connection = fresh()
    accounts.create_user(connection, "alice", 1.0)
    conversations.create_group(connection, "team", "Team", {}, 1.0)
    found = [names.kind_of(connection, name) for name in ("alice", "team", "Alice", "nobody")]
    assert found == ["user", "group", None, None]


def test_what_is_typed_is_found_exactly_first_and_never_guessed_between_two() -> None:
    connection = fresh()
    for name in ("alice", "bob", "Bob"):
        connection.execute("INSERT INTO names (name, kind) VALUES (?, 'user')", (name,))
    conversations.create_group(connection, "team", "Team", {}, 1.0)
    typed = ("alice", "ALICE", "bob", "Bob", "BOB", "TEAM", "nobody", "ali_e", "%")
    found = [names.same_name(connection, one) for one in typed]
    assert found == ["alice", "alice", "bob", "Bob", "BOB", "TEAM", "nobody", "ali_e", "%"]


def test_a_database_of_before_with_both_is_migrated_and_keeps_both(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    migrate(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP INDEX names_by_letters")
    connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'names_regardless_of_case'")
    connection.executemany("INSERT INTO names (name, kind) VALUES (?, 'user')", [("alice",), ("Alice",)])
    connection.close()
    migrate(path)
    connection = sqlite3.connect(path, isolation_level=None)
    assert [row[0] for row in connection.execute("SELECT name FROM names ORDER BY name")] == ["Alice", "alice"]
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT name FROM names WHERE name = 'a' COLLATE NOCASE"
    ).fetchall()
    assert "names_by_letters" in plan[0][3]
    connection.close()
