"""Channels, members and pointers."""

from __future__ import annotations

import sqlite3

import pytest

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ConversationKind, Role
from relay.storage import conversations, history
from relay.storage.accounts import create_user
from tests.storage.books import fresh, log_row


@pytest.fixture
def connection() -> sqlite3.Connection:
    database = fresh()
    for name in ("alice", "bob", "carol"):
        create_user(database, name, 0.0)
    return database


def team(connection: sqlite3.Connection, history: str = "join") -> conversations.ChannelRow:
    roles = {"alice": Role.OWNER, "bob": Role.MEMBER}
    return conversations.create_group(connection, "team", "The team", roles, 1.0, history=history)


def test_two_users_have_one_conversation_from_both_sides(connection: sqlite3.Connection) -> None:
    one = conversations.ensure_user_channel(connection, "bob", "alice", 1.0)
    other = conversations.ensure_user_channel(connection, "alice", "bob", 2.0)
    assert one.channel_id == other.channel_id
    assert other == conversations.load_channel(connection, "user:alice:bob")
    assert other.members == {"alice": Role.MEMBER, "bob": Role.MEMBER}


def test_a_user_may_talk_to_themself(connection: sqlite3.Connection) -> None:
    row = conversations.ensure_user_channel(connection, "bob", "bob", 1.0)
    assert (row.address, row.members) == ("user:bob", {"bob": Role.MEMBER})
    assert conversations.ensure_user_channel(connection, "bob", "bob", 1.0).channel_id == row.channel_id


def test_a_group_is_loaded_as_it_was_created(connection: sqlite3.Connection) -> None:
    row = team(connection, "start")
    assert conversations.load_channel(connection, "group:team") == row
    assert (row.kind, row.name, row.history) == (ConversationKind.GROUP, "The team", "start")


@pytest.mark.parametrize(
    ("group_id", "members", "code"),
    [
        ("alice", {"alice": Role.OWNER}, ErrorCode.CONFLICT),
        ("a b", {"alice": Role.OWNER}, ErrorCode.INVALID_PAYLOAD),
        ("new", {"alice": Role.OWNER, "nobody": Role.MEMBER}, ErrorCode.INVALID_PAYLOAD),
    ],
)
def test_a_group_that_cannot_be_is_refused(
    connection: sqlite3.Connection, group_id: str, members: dict[str, Role], code: ErrorCode
) -> None:
    with pytest.raises(RelayError) as refused:
        conversations.create_group(connection, group_id, "X", members, 1.0)
    assert refused.value.code is code


def group_view(connection: sqlite3.Connection, user_id: str) -> history.View:
    return next(seen for seen in history.read_views(connection, user_id) if seen.kind == "group")


def test_a_member_who_left_and_came_back_sees_both_times_and_not_between(connection: sqlite3.Connection) -> None:
    row = team(connection)
    conversations.end_membership(connection, row.channel_id, "bob", 5)
    assert group_view(connection, "bob")[3:5] == (1, 5)
    loaded = conversations.load_channel(connection, "group:team")
    assert loaded is not None
    assert loaded.members == {"alice": Role.OWNER}
    conversations.add_member(connection, row.channel_id, "bob", Role.ADMIN, 9, 2.0)
    seen = group_view(connection, "bob")
    assert seen[3:5] == (9, None)
    assert seen.spans(connection) == [(1, 5), (9, 1 << 62)]
    assert [seq for seq in range(1, 12) if seen.sees(connection, seq)] == [1, 2, 3, 4, 5, 9, 10, 11]
    conversations.set_role(connection, row.channel_id, "bob", Role.MEMBER)
    loaded = conversations.load_channel(connection, "group:team")
    assert loaded is not None
    assert loaded.members == {"alice": Role.OWNER, "bob": Role.MEMBER}


def test_nobody_can_be_made_a_member_who_does_not_exist(connection: sqlite3.Connection) -> None:
    row = team(connection)
    with pytest.raises(RelayError) as refused:
        conversations.add_member(connection, row.channel_id, "nobody", Role.MEMBER, 1, 1.0)
    assert refused.value.code is ErrorCode.INVALID_PAYLOAD


def test_a_deleted_group_is_not_there_and_its_name_stays_taken(connection: sqlite3.Connection) -> None:
    row = team(connection)
    conversations.end_membership(connection, row.channel_id, "bob", 2)
    conversations.delete_group(connection, row.channel_id, 7, 2.0)
    assert conversations.load_channel(connection, "group:team") is None
    assert history.view(connection, "alice", "group:team") is None
    assert [group_view(connection, name).last for name in ("alice", "bob")] == [7, 2]
    with pytest.raises(RelayError) as refused:
        team(connection)
    assert refused.value.code is ErrorCode.CONFLICT


def test_a_read_pointer_moves_forward_only_and_in_private_unseen(connection: sqlite3.Connection) -> None:
    row = team(connection)
    for shown, seq, moved, pointers in (
        (True, 3, True, (3, 3)),
        (True, 3, False, (3, 3)),
        (True, 2, False, (3, 3)),
        (False, 5, True, (5, 3)),
        (False, 4, False, (5, 3)),
        (True, 5, True, (5, 5)),
    ):
        assert conversations.move_read(connection, row.channel_id, "bob", seq, shown=shown) is moved
        assert connection.execute("SELECT read_seq, shown_seq FROM pointers").fetchall() == [pointers]


def test_moving_a_pointer_to_nothing_leaves_none(connection: sqlite3.Connection) -> None:
    row = team(connection)
    assert conversations.move_read(connection, row.channel_id, "bob", 0, shown=True) is False
    assert connection.execute("SELECT count(*) FROM pointers").fetchone() == (0,)


def test_the_groups_of_a_user_are_those_they_are_in_now(connection: sqlite3.Connection) -> None:
    rows = [
        conversations.create_group(connection, name, name.upper(), {"alice": Role.OWNER, "bob": Role.MEMBER}, 1.0)
        for name in ("a", "b", "c", "d")
    ]
    conversations.end_membership(connection, rows[1].channel_id, "bob", 1)
    conversations.delete_group(connection, rows[2].channel_id, 1, 2.0)
    conversations.rename_group(connection, rows[3].channel_id, "new")
    assert conversations.groups_of(connection, "bob", "", 10) == [("a", "A", "member"), ("d", "new", "member")]
    assert conversations.groups_of(connection, "bob", "a", 10) == [("d", "new", "member")]
    assert conversations.groups_of(connection, "bob", "", 1) == [("a", "A", "member")]
    assert conversations.count_made(connection, "bob") == 0
    assert conversations.count_made(connection, "alice") == 4, "the id of a deleted one stays taken"


def test_talk_between_two_is_no_group(connection: sqlite3.Connection) -> None:
    row = conversations.ensure_user_channel(connection, "alice", "bob", 1.0)
    log_row(connection, 1, row.channel_id, 1)
    assert conversations.count_made(connection, "bob") == 0
