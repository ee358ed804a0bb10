"""Figures as values that can be put together: minutes to hours, hours to days. Pure: no clock, no SQL.

A slot begins at a multiple of its length in Unix seconds. So a day is one of UTC, and no clock that is set forward
in spring or back in autumn makes one longer or shorter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
KEPT: Final[Mapping[int, int]] = {MINUTE: 2 * DAY, HOUR: 60 * DAY, DAY: 5 * 366 * DAY}
"""The lengths of slots that are stored, and how long each is kept, in seconds."""

_SHORTEST: Final = 1e-5
_PER_OCTAVE: Final = 4
_MOST_BUCKETS: Final = 96
"""Buckets of durations: four for each doubling, from 10 µs up to about two and a half minutes."""


class Value(msgspec.Struct, frozen=True, array_like=True):
    """A figure over some time.

    Attributes:
        count: of how many samples, which are minutes.
        total: their sum; of what is counted, how often it happened.
        least, most: the smallest and the largest one.
    """

    count: int
    total: float
    least: float
    most: float

    @property
    def mean(self) -> float:
        """The mean of the samples."""
        return self.total / self.count if self.count else 0.0


Buckets = dict[int, int]
"""How many durations fell into which bucket; see `bucket_of`."""


class Row(msgspec.Struct, frozen=True):
    """All figures of one slot, by their names."""

    values: dict[str, Value] = {}
    durations: dict[str, Buckets] = {}


def slot(at: float, step: int) -> int:
    """Return the beginning of the slot that a moment is in; all in Unix seconds."""
    return math.floor(at / step) * step


def sample(value: float) -> Value:
    """Return one sample as a value."""
    return Value(1, value, value, value)


def joined(one: Value, other: Value) -> Value:
    """Return what two stretches of time have together."""
    return Value(
        one.count + other.count,
        one.total + other.total,
        min(one.least, other.least),
        max(one.most, other.most),
    )


def together(one: Row, other: Row) -> Row:
    """Return the figures of two rows as one."""
    values = dict(one.values)
    for name, value in other.values.items():
        values[name] = joined(values[name], value) if name in values else value
    durations = dict(one.durations)
    for name, buckets in other.durations.items():
        durations[name] = added(durations.get(name, {}), buckets)
    return Row(values, durations)


def added(one: Buckets, other: Buckets) -> Buckets:
    """Return two histograms as one."""
    result = dict(one)
    for bucket, times in other.items():
        result[bucket] = result.get(bucket, 0) + times
    return result


def resampled(rows: Iterable[tuple[int, Row]], step: int) -> list[tuple[int, Row]]:
    """Return rows, which are in order, put together to longer slots."""
    result: list[tuple[int, Row]] = []
    for at, row in rows:
        place = slot(at, step)
        if result and result[-1][0] == place:
            result[-1] = (place, together(result[-1][1], row))
        else:
            result.append((place, row))
    return result


def bucket_of(seconds: float) -> int:
    """Return the bucket that a duration falls into."""
    if seconds <= _SHORTEST:
        return 0
    return min(int(math.log2(seconds / _SHORTEST) * _PER_OCTAVE) + 1, _MOST_BUCKETS)


def percentile(buckets: Buckets, share: float) -> float | None:
    """Return the duration that a share of all did not exceed, in seconds; None for none at all.

    It is the upper end of its bucket, and so up to a fifth too long, and never too short.
    """
    left = share * sum(buckets.values())
    if left <= 0:
        return None
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 1e-9:
            return upper_end(bucket)
    return upper_end(max(buckets))


def upper_end(bucket: int) -> float:
    """Return the longest duration in a bucket, in seconds; the last bucket has longer ones as well."""
    return float(_SHORTEST * 2 ** (bucket / _PER_OCTAVE))


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the rise a second of the straight line that fits points best; None for fewer than two moments."""
    if len({at for at, _ in points}) < 2:
        return None
    middle = sum(at for at, _ in points) / len(points)
    height = sum(value for _, value in points) / len(points)
    over = sum((at - middle) * (value - height) for at, value in points)
    return over / sum((at - middle) ** 2 for at, _ in points)
