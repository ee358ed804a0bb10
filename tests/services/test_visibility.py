"""Who may see whom, by arithmetic alone."""

from __future__ import annotations

import pytest

from relay.services.presence_state import Choice, PresenceState
from relay.services.statuses import HIDDEN, Status
from relay.services.visibility import Recheck, ViewedRows, rechecks_of_group_event, visible_status
from relay.storage.presence import PresenceRow

ONLINE = Status("online")
GONE = Status("offline", last_seen=5.0)


def row(visible_to: str, user_id: str = "alice") -> PresenceRow:
    return PresenceRow(user_id, None, None, None, 5.0, 0, visible_to)


def online(visible_to: str) -> PresenceState:
    state = PresenceState(Choice(), visible_to, None)
    state.published = ONLINE
    return state


@pytest.mark.parametrize(
    ("visible_to", "shares", "seen"),
    [
        ("everyone", False, GONE),
        ("shared", False, HIDDEN),
        ("shared", True, GONE),
        ("nobody", True, HIDDEN),
    ],
)
def test_each_user_chooses_who_may_see_them(visible_to: str, shares: bool, seen: Status) -> None:
    assert visible_status("bob", row(visible_to), None, shares=shares) == seen
    assert visible_status("alice", row(visible_to), None, shares=False) == GONE, "everybody sees themselves"


def test_memory_goes_before_what_is_stored() -> None:
    assert visible_status("bob", row("nobody"), online("everyone"), shares=False) == ONLINE
    assert visible_status("bob", row("everyone"), online("nobody"), shares=False) == HIDDEN


def test_a_viewer_sees_each_user_as_that_one_has_it() -> None:
    rows = {name: row("shared", name) for name in ("alice", "carol")} | {"dave": row("everyone", "dave")}
    seen = ViewedRows("bob", rows, {"alice"}).statuses({"alice": online("shared")})
    assert seen == {"alice": ONLINE, "carol": HIDDEN, "dave": GONE}


def test_who_comes_or_goes_and_the_others_are_looked_at_from_both_sides() -> None:
    for event in ("member_added", "member_removed"):
        assert rechecks_of_group_event({"event": event, "user_id": "bob"}, {"alice", "bob"}) == [
            Recheck({"bob"}, {"alice", "bob"}),
            Recheck({"alice", "bob"}, {"bob"}),
        ]


def test_a_new_group_is_looked_at_whole_and_a_new_name_changes_nothing() -> None:
    assert rechecks_of_group_event({"event": "created"}, {"a", "b"}) == [Recheck({"a", "b"}, {"a", "b"})]
    assert rechecks_of_group_event({"event": "renamed"}, {"a", "b"}) == []
