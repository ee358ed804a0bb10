"""Token buckets on a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.limits import TokenBuckets


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate_to_the_fraction_of_a_second() -> None:
    clock = Clock()
    buckets = TokenBuckets(2, 3, "messages", clock)
    assert [buckets.wait_for("alice") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert buckets.wait_for("alice") == 0.25
    clock.now += 0.25
    assert [buckets.wait_for("alice") for _ in range(2)] == [0, 0.5]


def test_waiting_as_long_as_was_said_is_long_enough() -> None:
    clock = Clock()
    buckets = TokenBuckets(4, 1, "messages", clock)
    for _ in range(1000):
        if wait := buckets.wait_for("alice"):
            clock.now += wait
            assert buckets.wait_for("alice") < 1e-6


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    buckets = TokenBuckets(10, 3, "messages", clock)
    buckets.take("alice")
    clock.now += 1_000_000
    assert [bool(buckets.wait_for("alice")) for _ in range(4)] == [False, False, False, True]


def test_keys_are_apart_and_a_refusal_says_when() -> None:
    buckets = TokenBuckets(0.1, 1, "hellos", Clock())
    buckets.take("alice")
    buckets.take("bob")
    with pytest.raises(RelayError, match=r"too many hellos; try again in 10\.0 s") as refused:
        buckets.take("alice")
    assert (refused.value.code, refused.value.retry, refused.value.retry_after) == (
        ErrorCode.RATE_LIMITED,
        True,
        10,
    )


def test_no_rate_is_no_limit_and_a_burst_is_at_least_one() -> None:
    unlimited = TokenBuckets(0, 0, "messages", Clock())
    assert not any(unlimited.wait_for("alice") for _ in range(10_000))
    assert TokenBuckets(1, 0, "messages", Clock()).wait_for("alice") == 0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=80), st.integers(1, 5), st.sampled_from([0.5, 1, 4]))
def test_no_one_ever_gets_more_than_the_burst_and_the_rate(pauses: list[float], burst: int, rate: float) -> None:
    clock = Clock()
    buckets = TokenBuckets(rate, burst, "messages", clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.wait_for("alice") == 0
        assert taken <= burst + (clock.now - 100.0) * rate + 1e-6


def test_what_is_full_again_is_forgotten_and_what_is_not_is_kept() -> None:
    clock = Clock()
    buckets = TokenBuckets(1, 2, "messages", clock)
    for number in range(10_000):
        buckets.take(f"u{number}")
    clock.now += 0.5
    buckets.take("late")
    buckets.take("late")
    clock.now += 0.9
    buckets.take("one more")
    assert len(buckets._buckets) == 2
    assert buckets.wait_for("late") == pytest.approx(0.1)
