"""Followers: who of those who are connected follows whom."""

from __future__ import annotations

from relay.services.followers import Followers


def test_followers_are_found_from_both_sides() -> None:
    followers = Followers()
    followers.add("bob", ["alice", "carol"])
    followers.add("dave", ["alice"])
    assert followers.of("alice") == {"bob", "dave"}
    assert followers.of("bob") == set()


def test_who_stops_following_is_gone_and_others_stay() -> None:
    followers = Followers()
    followers.add("bob", ["alice", "carol"])
    followers.add("dave", ["alice"])
    followers.remove("bob", ["alice", "nobody"])
    assert (followers.of("alice"), followers.of("carol")) == ({"dave"}, {"bob"})
    followers.forget("bob")
    followers.forget("bob")
    assert (followers.of("alice"), followers.of("carol")) == ({"dave"}, set())
