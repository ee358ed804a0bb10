"""What others see of a user, by arithmetic alone."""

from __future__ import annotations

import pytest

from relay.services.deadlines import NEVER
from relay.services.statuses import HIDDEN, Person, Status, from_kept
from relay.storage.presence import Kept

CLOCK, NOW = 100.0, 1_700_000_000.0


def person(status: str | None = None, text: str | None = None, until: float | None = None) -> Person:
    return Person(Kept("alice", status, text, until, 5.0, 0, "everyone"), NOW)


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
    assert person(chosen).status(devices, CLOCK, NOW).status == seen


def test_a_grace_counts_to_its_end_as_the_device_was() -> None:
    alice = person()
    alice.graces = {"phone": (CLOCK + 30, False)}
    assert alice.status([], CLOCK + 29.9, NOW).status == "away"
    alice.told = Status("away")
    assert alice.status([], CLOCK + 30, NOW).status == "offline"


def test_a_choice_ends_at_its_time_and_takes_the_text_along() -> None:
    alice = person("busy", "lunch", NOW + 60)
    assert alice.status([True], CLOCK, NOW + 59) == Status("busy", "lunch", NOW + 60)
    assert alice.status([True], CLOCK, NOW + 60) == Status("online")


def test_a_choice_that_ended_while_nobody_was_there_is_over() -> None:
    assert person("busy", "lunch", NOW).status([True], CLOCK, NOW) == Status("online")


def test_whoever_may_come_back_after_a_restart_is_unknown_until_then() -> None:
    alice = person()
    alice.told, alice.lost_until = HIDDEN, CLOCK + 30
    assert alice.status([], CLOCK + 29, NOW) == HIDDEN
    assert alice.status([], CLOCK + 30, NOW) == Status("offline", last_seen=5.0)


def test_the_next_look_is_at_the_first_thing_that_ends() -> None:
    alice = person("busy", None, NOW + 60)
    assert alice.next_look(CLOCK, NOW) == CLOCK + 60
    alice.graces = {"phone": (CLOCK + 30, True), "laptop": (CLOCK + 20, True)}
    assert alice.next_look(CLOCK, NOW) == CLOCK + 20
    alice.lost_until = CLOCK + 10
    assert alice.next_look(CLOCK, NOW) == CLOCK + 10
    assert person().next_look(CLOCK, NOW) == NEVER


def test_rest_names_every_field_and_a_frame_only_what_there_is() -> None:
    seen = from_kept(Kept("alice", None, None, None, 5.0, 0, "everyone"))
    assert seen.described("alice") == {
        "user_id": "alice", "status": "offline", "text": None, "until": None, "last_seen": 5.0,
    }  # fmt: skip
    assert b'"payload":{"status":"offline","last_seen":5.0}' in seen.frame("alice", NOW)
