"""One user's presence, by arithmetic alone."""

from __future__ import annotations

import doctest

import pytest

from relay.services import presence_state
from relay.services.deadlines import NEVER
from relay.services.presence_state import Choice, Grace, PresenceState, stored_choice
from relay.services.statuses import HIDDEN, Status
from relay.storage.presence import PresenceRow

CLOCK, NOW = 100.0, 1_700_000_000.0


def row(status: str | None = None, text: str | None = None, until: float | None = None) -> PresenceRow:
    return PresenceRow("alice", status, text, until, 5.0, 0, "everyone")


def user(status: str | None = None, text: str | None = None, until: float | None = None) -> PresenceState:
    return PresenceState.stored(row(status, text, until), NOW)


def test_the_example_of_the_documentation_is_so() -> None:
    assert doctest.testmod(presence_state) == doctest.TestResults(failed=0, attempted=10)


@pytest.mark.parametrize(
    ("chosen", "devices", "seen"),
    [
        (None, [], "offline"),
        (None, [True], "online"),
        (None, [False], "away"),
        (None, [False, True], "online"),
        ("online", [False], "away"),
        ("away", [True], "away"),
        ("busy", [False], "busy"),
        ("busy", [], "offline"),
        ("offline", [True], "offline"),
    ],
)
def test_what_is_chosen_goes_before_what_devices_say(chosen: str | None, devices: list[bool], seen: str) -> None:
    assert user(chosen).update(devices, CLOCK, NOW).status == seen


def test_a_grace_counts_to_its_end_as_the_device_was() -> None:
    alice = user()
    alice.disconnected("phone", NOW, Grace(CLOCK + 30, False))
    assert alice.update([], CLOCK + 29.9, NOW).status == "away"
    assert alice.pending
    alice.published = Status("away")
    assert alice.update([], CLOCK + 30, NOW + 30) == Status("offline", last_seen=NOW)
    assert not alice.pending


def test_a_device_that_is_back_has_no_grace_and_another_one_keeps_its_own() -> None:
    alice = user()
    for client_id in ("phone", "laptop"):
        alice.disconnected(client_id, NOW, Grace(CLOCK + 30, True))
    alice.connected("phone")
    assert list(alice.graces) == ["laptop"]


def test_a_choice_ends_at_its_time_and_takes_the_text_along() -> None:
    alice = user("busy", "lunch", NOW + 60)
    assert alice.update([True], CLOCK, NOW + 59) == Status("busy", "lunch", NOW + 60)
    assert alice.update([True], CLOCK, NOW + 60) == Status("online")
    assert alice.choice == Choice()


def test_a_choice_that_ended_while_nobody_was_there_is_over() -> None:
    assert stored_choice(row("busy", "lunch", NOW), NOW) == Choice()
    assert user("busy", "lunch", NOW).update([True], CLOCK, NOW) == Status("online")


def test_who_is_invisible_was_last_seen_when_they_became_so() -> None:
    alice = user()
    alice.published = alice.update([True], CLOCK, NOW)
    alice.choice = Choice("offline", "hiding")
    alice.published = alice.update([True], CLOCK + 1, NOW + 1)
    assert alice.published == Status("offline", last_seen=NOW + 1)
    alice.disconnected("phone", NOW + 60, None)
    assert alice.update([], CLOCK + 60, NOW + 60) == Status("offline", last_seen=NOW + 1)


def test_who_may_come_back_after_a_restart_is_unknown_until_then() -> None:
    alice = PresenceState.after_restart(row(), NOW, CLOCK + 30)
    assert alice.published == HIDDEN
    assert alice.update([], CLOCK + 29, NOW) == HIDDEN
    assert alice.pending
    assert alice.update([], CLOCK + 30, NOW) == Status("offline", last_seen=5.0)
    assert not alice.pending


def test_a_device_that_comes_back_after_a_restart_ends_the_doubt() -> None:
    alice = PresenceState.after_restart(row(), NOW, CLOCK + 30)
    assert alice.update([True], CLOCK + 1, NOW).status == "online"
    assert alice.update([], CLOCK + 2, NOW).status == "offline"


def test_the_next_update_is_due_when_the_first_thing_ends() -> None:
    alice = user("busy", None, NOW + 60)
    assert alice.next_update(CLOCK, NOW) == CLOCK + 60
    alice.graces = {"phone": Grace(CLOCK + 30, True), "laptop": Grace(CLOCK + 20, True)}
    assert alice.next_update(CLOCK, NOW) == CLOCK + 20
    alice.unknown_until = CLOCK + 10
    assert alice.next_update(CLOCK, NOW) == CLOCK + 10
    assert user().next_update(CLOCK, NOW) == NEVER
