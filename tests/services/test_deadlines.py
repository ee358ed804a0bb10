"""Deadlines: one moment for each name, and no more of the rest than that is worth."""

from __future__ import annotations

from relay.services.deadlines import NEVER, Deadlines


def test_a_name_is_due_once_at_its_moment() -> None:
    due: Deadlines[str] = Deadlines()
    assert due.next() == NEVER
    due.set("later", 20.0)
    due.set("soon", 10.0)
    assert due.next() == 10.0
    assert due.take(9.9) == []
    assert due.take(10.0) == ["soon"]
    assert due.take(30.0) == ["later"]
    assert due.next() == NEVER


def test_the_earlier_of_two_moments_counts() -> None:
    due: Deadlines[str] = Deadlines()
    for at in (20.0, 10.0, 15.0):
        due.set("name", at)
    assert due.take(10.0) == ["name"]
    assert due.take(100.0) == []


def test_a_name_that_was_due_may_be_due_again() -> None:
    due: Deadlines[str] = Deadlines()
    due.set("name", 20.0)
    due.set("name", 10.0)
    assert due.take(10.0) == ["name"]
    due.set("name", 30.0)
    assert due.take(20.0) == []
    assert due.take(30.0) == ["name"]


def test_never_is_no_moment() -> None:
    due: Deadlines[str] = Deadlines()
    due.set("name", NEVER)
    assert len(due) == 0


def test_moments_that_were_overtaken_are_let_go() -> None:
    due: Deadlines[str] = Deadlines()
    due.set("other", 5.0)
    for at in range(10_000, 0, -1):
        due.set("name", float(at))
    assert len(due) < 100
    assert due.take(5.0) == ["name", "other"]


def test_keys_that_have_no_order_may_be_due_together() -> None:
    due: Deadlines[tuple[str, str | None]] = Deadlines()
    for key in (("alice", "phone"), ("alice", None)):
        due.set(key, 5.0)
    assert due.take(5.0) == [("alice", "phone"), ("alice", None)]
