"""The schema: made once, and left alone after that."""

import sqlite3
from pathlib import Path

import pytest

from relay.storage import views
from relay.storage.first_migrations import BROADCAST_CHANNEL
from relay.storage.upgrading import migrate


def schema(path: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    migrate(path)
    first = schema(path)
    migrate(path)
    assert schema(path) == first


def test_everybodys_channel_is_there_from_the_start(tmp_path: Path) -> None:
    migrate(tmp_path / "relay.db")
    connection = sqlite3.connect(tmp_path / "relay.db")
    assert connection.execute("SELECT channel_id, kind FROM channels WHERE address = '*'").fetchall() == [
        (BROADCAST_CHANNEL, "broadcast")
    ]
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        migrate(path)
    assert path.read_bytes() == b"not a database at all" * 100


def test_an_older_databases_groups_were_made_by_whom_their_first_event_names_or_else_their_owner(
    tmp_path: Path,
) -> None:
    path = tmp_path / "relay.db"
    migrate(path)
    connection = sqlite3.connect(path)
    views.drop(connection)
    connection.executescript(
        "DROP INDEX groups_by_maker; ALTER TABLE groups DROP COLUMN made_by; ALTER TABLE users DROP COLUMN groups_from;"
        "DELETE FROM _sqlite_migrations WHERE name = 'groups_chosen';"
        "INSERT INTO groups (group_id, channel_id, name, history, created_at)"
        " VALUES ('a', 2, 'A', 'join', 0), ('b', 3, 'B', 'join', 0);"
        "INSERT INTO members (channel_id, user_id, role, joined_at) VALUES (2, 'eve', 'owner', 0), (3, 'eve', 'owner', 0);"
        "INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, timestamp)"
        " VALUES (1, 2, 1, 'group_event', 'alice', 'a', 0), (2, 3, 2, 'group_event', 'bob', 'b', 0);"
    )
    connection.close()
    migrate(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT group_id, made_by FROM groups").fetchall() == [("a", "alice"), ("b", "eve")]
    connection.close()


def test_every_conversation_keeps_its_seqs_apart(tmp_path: Path) -> None:
    migrate(tmp_path / "relay.db")
    connection = sqlite3.connect(tmp_path / "relay.db")
    insert = (
        "INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, timestamp)"
        " VALUES (?, ?, ?, 't', 'a', 'b', 0)"
    )
    connection.execute(insert, (1, 1, 1))
    connection.execute(insert, (2, 2, 1))
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert, (3, 1, 1))
    connection.close()


def test_an_older_databases_admins_keep_their_rights_and_the_oldest_of_them_becomes_the_owner(
    tmp_path: Path,
) -> None:
    path = tmp_path / "relay.db"
    migrate(path)
    connection = sqlite3.connect(path)
    views.drop(connection)
    connection.executescript(
        "DROP INDEX users_by_role; ALTER TABLE users DROP COLUMN role;"
        "ALTER TABLE users ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;"
        "DELETE FROM _sqlite_migrations WHERE name = 'server_roles';"
        "INSERT INTO users (user_id, display_name, admin, disabled, created_at) VALUES ('alice', '', 0, 0, 1),"
        " ('bob', '', 1, 1, 2), ('carol', '', 1, 0, 4), ('dave', '', 1, 0, 3);"
    )
    connection.close()
    migrate(path)
    connection = sqlite3.connect(path)
    roles = dict(connection.execute("SELECT user_id, role FROM users").fetchall())
    assert roles == {"alice": "member", "bob": "admin", "carol": "admin", "dave": "owner"}
    connection.close()
