"""Figures that are put together: slots of UTC, values, and durations in buckets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.storage.aggregates import (
    DAY,
    HOUR,
    MINUTE,
    Row,
    Value,
    added,
    bucket_of,
    joined,
    percentile,
    resampled,
    sample,
    slope,
    slot,
    together,
)

times = st.floats(0, 4e9)


@pytest.mark.parametrize("moment", ["2026-03-29T00:59:59", "2026-03-29T02:30:00", "2026-10-25T01:30:00"])
def test_a_day_is_one_of_utc_whatever_clocks_are_set_to(moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    midnight = at.replace(hour=0, minute=0, second=0)
    assert slot(at.timestamp(), DAY) == midnight.timestamp()
    assert slot(midnight.timestamp() + DAY, DAY) == midnight.timestamp() + DAY


@given(times, st.sampled_from([MINUTE, HOUR, DAY]))
def test_a_moment_is_in_its_slot(at: float, step: int) -> None:
    assert slot(at, step) <= at < slot(at, step) + step


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=50), st.integers(1, 49))
def test_how_values_are_put_together_makes_no_difference(numbers: list[int], cut: int) -> None:
    def whole(some: list[int]) -> Value | None:
        result = None
        for number in some:
            one = sample(number)
            result = one if result is None else joined(result, one)
        return result

    cut = min(cut, len(numbers) - 1)
    first, second, all_of_them = whole(numbers[:cut]), whole(numbers[cut:]), whole(numbers)
    assert first is not None
    assert second is not None
    assert all_of_them == joined(first, second)
    assert all_of_them == Value(len(numbers), sum(numbers), min(numbers), max(numbers))
    assert all_of_them.mean == sum(numbers) / len(numbers)


def test_rows_keep_figures_that_only_one_has() -> None:
    old, new = Row({"messages": sample(3)}), Row({"messages": sample(5), "new": sample(1)}, {"took": {4: 1}})
    both = together(old, new)
    assert both.values == {"messages": Value(2, 8, 3, 5), "new": sample(1)}
    assert both.durations == {"took": {4: 1}}
    assert old.values == {"messages": sample(3)}


def test_minutes_become_hours_and_gaps_stay_gaps() -> None:
    rows = [(at, Row({"messages": sample(1)})) for at in (0, 60, 3540, 3600, 7200 + 3600)]
    found = [(at, row.values["messages"].total) for at, row in resampled(rows, HOUR)]
    assert found == [(0, 3), (3600, 1), (10_800, 1)]


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_never_too_short_and_at_most_a_fifth_too_long(
    durations: list[float], share: float
) -> None:
    buckets: dict[int, int] = {}
    for seconds in durations:
        buckets = added(buckets, {bucket_of(seconds): 1})
    found = percentile(buckets, share)
    assert found is not None
    rank = max(1, -(-int(share * 1000) * len(durations) // 1000))
    true = sorted(durations)[rank - 1]
    assert true * 0.999 <= found or true <= 1e-5
    assert found <= max(true, 1e-5) * 1.2


def test_of_no_durations_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_a_very_long_duration_is_in_the_last_bucket() -> None:
    assert bucket_of(1e9) == bucket_of(1e12)


def test_the_slope_of_a_line_is_its_own() -> None:
    assert slope([(float(at), 5.0 + 2 * at) for at in range(0, 1000, 7)]) == pytest.approx(2)
    assert slope([(1.0, 5.0)]) is None
    assert slope([(1.0, 5.0), (1.0, 9.0)]) is None
    assert slope([]) is None
