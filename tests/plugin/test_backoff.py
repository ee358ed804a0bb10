"""Pauses between attempts."""

from __future__ import annotations

from relay.plugin import Backoff


def test_pauses_grow_and_the_last_one_repeats() -> None:
    backoff = Backoff((10.0, 30.0, 120.0))
    assert [backoff.pause(failures) for failures in (1, 2, 3, 4, 100)] == [10, 30, 120, 120, 120]
    assert Backoff(()).pause(1) == 0


def test_chance_makes_a_pause_longer_by_a_part_of_it() -> None:
    backoff = Backoff((10.0,), jitter=0.1)
    assert [backoff.pause(1, chance=chance) for chance in (0, 0.5, 1)] == [10, 10.5, 11]


def test_the_other_side_may_ask_for_more_but_for_a_day_at_most() -> None:
    backoff = Backoff((10.0,))
    assert [backoff.pause(1, retry_after=asked) for asked in (None, 5, 60, 1e9)] == [10, 10, 60, 86_400]
