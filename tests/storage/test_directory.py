"""Finding people, and who finds whom."""

from __future__ import annotations

import sqlite3

import pytest

from relay.protocol.kinds import Role
from relay.storage import conversations, directory
from relay.storage.accounts import create_user, update_user
from tests.storage.books import fresh


@pytest.fixture
def connection() -> sqlite3.Connection:
    database = fresh()
    for name, shown in (("alice", "Alice"), ("bob", "Robert"), ("carol", "Carol 100%"), ("dave_d", "Dave")):
        create_user(database, name, 0.0, display_name=shown)
    row = conversations.ensure_user_channel(database, "alice", "bob", 1.0)
    conversations.acquaint(database, row.channel_id, ["bob"])
    return database


def found(connection: sqlite3.Connection, text: str, *, shared: bool = False, viewer: str = "alice") -> list[str]:
    users = directory.search(connection, viewer, text, after="", limit=10, shared=shared)
    return [user.user_id for user in users]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["alice", "bob", "carol", "dave_d"]),
        ("ROB", ["bob"]),
        ("%", ["carol"]),
        ("_", ["dave_d"]),
        ("\\", []),
        ("a", ["alice", "carol", "dave_d"]),
    ],
)
def test_a_text_is_found_in_ids_and_names_as_it_is(
    connection: sqlite3.Connection, text: str, expected: list[str]
) -> None:
    assert found(connection, text) == expected


def test_a_closed_directory_shows_whom_one_talks_to_and_oneself(connection: sqlite3.Connection) -> None:
    assert found(connection, "", shared=True) == ["alice", "bob"]
    assert found(connection, "", shared=True, viewer="carol") == ["carol"]
    assert directory.find(connection, "alice", "carol", shared=True) is None
    assert directory.find(connection, "alice", "bob", shared=True) == ("bob", "Robert", None, False)
    assert directory.find(connection, "alice", "alice", shared=True) == ("alice", "Alice", None, False)


def test_whom_one_wrote_to_is_met_and_open_only_once_they_answer(connection: sqlite3.Connection) -> None:
    row = conversations.ensure_user_channel(connection, "alice", "carol", 1.0)
    assert not directory.has_met(connection, "alice", "carol")
    conversations.acquaint(connection, row.channel_id, ["alice"])
    assert directory.find(connection, "alice", "carol", shared=True) is None
    assert directory.find(connection, "carol", "alice", shared=True) == ("alice", "Alice", None, False)
    assert directory.has_met(connection, "alice", "carol")
    assert directory.has_met(connection, "carol", "alice")
    assert not directory.has_met(connection, "dave_d", "carol")


def test_who_left_shares_the_group_no_longer(connection: sqlite3.Connection) -> None:
    roles = {"alice": Role.OWNER, "carol": Role.MEMBER}
    row = conversations.create_group(connection, "team", "Team", roles, 1.0)
    conversations.acquaint(connection, row.channel_id, roles)
    assert found(connection, "", shared=True) == ["alice", "bob", "carol"]
    conversations.end_membership(connection, row.channel_id, "carol", 1)
    assert found(connection, "", shared=True) == ["alice", "bob"]
    assert found(connection, "", shared=True, viewer="carol") == ["carol"]


def test_the_disabled_are_not_listed_but_can_be_named(connection: sqlite3.Connection) -> None:
    update_user(connection, "bob", disabled=1)
    assert "bob" not in found(connection, "")
    assert directory.find(connection, "alice", "bob", shared=False) == ("bob", "Robert", None, True)


def test_the_directory_pages_by_id(connection: sqlite3.Connection) -> None:
    pages = [
        directory.search(connection, "alice", "", after=after, limit=2, shared=False) for after in ("", "bob")
    ]
    assert [[user.user_id for user in page] for page in pages] == [["alice", "bob"], ["carol", "dave_d"]]
