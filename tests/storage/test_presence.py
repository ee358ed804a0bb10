"""Presence as it is kept."""

from __future__ import annotations

import sqlite3

from relay.protocol.kinds import Role
from relay.storage import accounts, conversations, presence
from relay.storage.log import Log
from tests.storage.books import fresh, message


def with_users(*names: str) -> sqlite3.Connection:
    connection = fresh()
    for name in names:
        accounts.create_user(connection, name, 1.0)
    return connection


def test_who_exists_has_a_presence_and_nobody_else() -> None:
    connection = with_users("bob", "alice")
    found = presence.kept(connection, ["bob", "nobody", "alice"])
    assert list(found) == ["alice", "bob"]
    assert found["alice"] == presence.Kept("alice", None, None, None, None, 0, "everyone")


def test_a_choice_and_a_note_leave_each_other_alone() -> None:
    connection = with_users("alice")
    presence.choose_status(connection, "alice", "busy", "lunch", 60.0)
    presence.note(connection, [("alice", True, None)], 10.0)
    presence.choose_status(connection, "alice", "away", None, None)
    presence.note(connection, [("alice", False, 20.0)], 20.0)
    assert presence.own(connection, "alice") == (
        presence.Kept("alice", "away", None, None, 20.0, 0, "everyone"), False,
    )  # fmt: skip


def test_those_left_behind_were_last_seen_when_the_server_was_last_alive() -> None:
    connection = with_users("alice", "bob")
    presence.note(connection, [("alice", True, None), ("bob", False, 5.0)], 10.0)
    assert [(kept.user_id, kept.last_seen) for kept in presence.left_behind(connection)] == [("alice", 10.0)]
    presence.settle_last_seen(connection)
    presence.note(connection, [], 99.0)
    assert [(kept.user_id, kept.last_seen) for kept in presence.left_behind(connection)] == [("alice", 10.0)]


def test_following_is_counted_and_taken_back() -> None:
    connection = with_users("alice", "bob", "carol")
    assert presence.set_following(connection, "alice", ["carol", "bob"], 1.0) == 2
    assert presence.set_following(connection, "alice", ["bob"], 2.0) == 2
    assert presence.following(connection, "alice") == ["bob", "carol"]
    assert presence.own(connection, "alice")[1] is True
    presence.unfollow(connection, "alice", ["bob", "nobody"])
    assert presence.following(connection, "alice") == ["carol"]


def test_whoever_spoke_is_open_to_those_who_are_there_and_nobody_else_is() -> None:
    connection = with_users("alice", "bob", "carol", "dave")
    roles = {"alice": Role.OWNER, "bob": Role.MEMBER}
    group = conversations.create_group(connection, "team", "Team", roles, 1.0)
    pair = conversations.ensure_user_channel(connection, "alice", "carol", 1.0)
    others = ["alice", "bob", "carol", "dave"]
    assert presence.sharing(connection, "alice", others) == {"alice"}
    conversations.acquaint(connection, group.channel_id, ["bob"])
    assert presence.sharing(connection, "alice", others) == {"alice", "bob"}
    assert presence.sharing(connection, "bob", others) == {"bob"}
    Log().append(connection, [message(pair.channel_id)], 2.0)
    assert presence.sharing(connection, "carol", others) == {"alice", "carol"}
    assert presence.viewers(connection, "alice", others) == {"alice", "carol"}
    assert presence.sharing(connection, "alice", others) == {"alice", "bob"}
    conversations.delete_group(connection, group.channel_id, 1, 3.0)
    assert presence.sharing(connection, "alice", others) == {"alice"}


def test_the_last_members_of_a_group_are_those_who_did_not_leave_before() -> None:
    connection = with_users("alice", "bob", "carol")
    roles = {"alice": Role.OWNER, "bob": Role.MEMBER, "carol": Role.MEMBER}
    group = conversations.create_group(connection, "team", "Team", roles, 1.0)
    conversations.end_membership(connection, group.channel_id, "bob", 4)
    conversations.delete_group(connection, group.channel_id, 5, 3.0)
    assert presence.last_members(connection, group.channel_id) == {"alice", "carol"}


def test_any_number_of_people_can_be_asked_for() -> None:
    connection = with_users("alice", "bob")
    many = ["bob", *(f"nobody{number}" for number in range(300_000))]
    assert set(presence.kept(connection, many)) == {"bob"}
    assert presence.sharing(connection, "alice", many) == set()
