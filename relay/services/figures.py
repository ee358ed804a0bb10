"""Figures over time: once a minute what the server did in it is added to the database, in one small transaction.

What is counted is stored as the difference to the minute before. What is measured is stored as it is at the end of
the minute. The first minute after a start is short; it counts from the start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage import figures
from relay.storage.aggregates import DAY, HOUR, KEPT, MINUTE, Buckets, Row, percentile, resampled, sample, slot
from relay.storage.errors import StorageError
from relay.storage.jobs import Runner

_log: Final = logging.getLogger("relay")
COMMITS: Final = "commit_seconds"
MOST_POINTS: Final = 3000
"""The most points of one answer: more than a screen has columns."""

_SHORTEST_WAIT: Final = 1.0


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        counted: whether it is counted since the start, or measured at the moment.
        unit: of its values: "messages", "bytes", "seconds".
        about: one sentence on it.
    """

    name: str
    unit: str
    counted: bool
    about: str


FIGURES: Final = (
    Figure("messages", "messages", True, "Messages that were stored."),
    Figure("deliveries", "messages", True, "Messages that were sent to connected devices, one for each device."),
    Figure("refused", "messages", True, "Messages that were answered with an error."),
    Figure(COMMITS, "seconds", True, "How long messages waited for the disk: one duration for each commit."),
    Figure("failed_commits", "commits", True, "Transactions that the disk did not take."),
    Figure("plugin_failures", "failures", True, "Failures of plugins."),
    Figure("connections", "devices", False, "Connected devices."),
    Figure("users_online", "users", False, "Users with a connected device."),
    Figure("router_waiting", "messages", False, "Messages that wait for the disk."),
    Figure("writer_lag", "seconds", False, "How long a job waits for the one writer of the database."),
    Figure("database_bytes", "bytes", False, "Size of the database file."),
    Figure("used_bytes", "bytes", False, "Size of the database file, without its free pages."),
    Figure("wal_bytes", "bytes", False, "Size of the write-ahead log."),
)
"""All figures that are kept."""

BY_NAME: Final[Mapping[str, Figure]] = {figure.name: figure for figure in FIGURES}


class Reading(msgspec.Struct, frozen=True):
    """All figures at one moment; what is counted has its number since the start."""

    counted: dict[str, float]
    measured: dict[str, float]
    commits: Buckets


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A figure from `at` on, for one step.

    `count` is the number of minutes in it that the server ran, or of commits; `total` their sum; `p50` and `p99`
    are of durations alone.
    """

    at: int
    count: int
    total: float | None
    mean: float | None
    least: float | None
    most: float | None
    p50: float | None
    p99: float | None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over time. Where the server did not run, there is no point."""

    name: str
    unit: str
    counted: bool
    about: str
    step: int
    points: list[Point]


class Figures:
    """Keeps the figures, and reads them.

    Args:
        reading: returns all figures at this moment.
        now: Unix seconds.
    """

    def __init__(
        self, runner: Runner, reading: Callable[[], Awaitable[Reading]], now: Callable[[], float]
    ) -> None:
        self._runner = runner
        self._reading = reading
        self._now = now

    async def run(self) -> None:
        """Add each minute's figures to the database, for ever."""
        before = await self._reading()
        while True:
            began = self._now()
            await trio.sleep(max(slot(began, MINUTE) + MINUTE - began, _SHORTEST_WAIT))
            try:
                after = await self._reading()
                row = difference(before, after)
                # In the minute in which it began, as the clock may have been set meanwhile.
                await self._runner.write(partial(figures.add, at=began, row=row))
            except StorageError as failed:
                _log.debug("a minute's figures were not stored; they count for the next one: %s", failed)
                continue
            before = after

    async def series(self, names: Sequence[str], since: float, until: float, step: int | None) -> list[Series]:
        """Return figures over a stretch of time, in this order.

        Args:
            since, until: Unix seconds.
            step: how long one point is, in seconds, a multiple of 60; None for the shortest that fits.

        Raises:
            RelayError: `not_found` for a figure of another name; `invalid_payload` for a step that does not fit.
        """
        for name in names:
            if name not in BY_NAME:
                raise RelayError(
                    ErrorCode.NOT_FOUND, f"there is no figure {name[:64]!r}; right is one of {_NAMES}"
                )
        if until <= since:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, "to is to be later than from")
        kept = kept_step(self._now() - since)
        length = fitting(until - since, kept) if step is None else step
        _check_step(length, kept, until - since)
        chosen = tuple(dict.fromkeys(names))

        def read(connection: sqlite3.Connection) -> list[Series]:
            rows = resampled(figures.read(connection, chosen, kept, since, until), length)
            return [_series(BY_NAME[name], length, rows) for name in chosen]

        return await self._runner.read(read)


def _series(figure: Figure, step: int, rows: list[tuple[int, Row]]) -> Series:
    return Series(
        name=figure.name,
        unit=figure.unit,
        counted=figure.counted,
        about=figure.about,
        step=step,
        points=[point for at, row in rows if (point := _point(at, row, figure)) is not None],
    )


_NAMES: Final = ", ".join(BY_NAME)


def difference(before: Reading, after: Reading) -> Row:
    """Return what happened between two readings of one process."""
    values = {name: sample(number - before.counted.get(name, 0.0)) for name, number in after.counted.items()}
    values |= {name: sample(number) for name, number in after.measured.items()}
    commits = {
        bucket: times - before.commits.get(bucket, 0)
        for bucket, times in after.commits.items()
        if times > before.commits.get(bucket, 0)
    }
    return Row(values, {COMMITS: commits} if commits else {})


def kept_step(age: float) -> int:
    """Return the shortest step that is kept for so long, in seconds."""
    return next((step for step, seconds in KEPT.items() if age <= seconds), DAY)


def fitting(length: float, kept: int) -> int:
    """Return the shortest step by which a stretch of time has few enough points."""
    return next((step for step in (MINUTE, HOUR, DAY) if step >= kept and length / step <= MOST_POINTS), DAY)


def _check_step(step: int, kept: int, length: float) -> None:
    """Refuse a step that cannot be made of what is kept, or gives too many points.

    Raises:
        RelayError: `invalid_payload`.
    """
    if step % kept:
        text = f"step is {step}; of so long ago steps of {kept} s are kept, so it is to be a multiple of that"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    if length / step > MOST_POINTS:
        text = f"that is {int(length / step)} points; take a longer step, for {MOST_POINTS} at most"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)


def _point(at: int, row: Row, figure: Figure) -> Point | None:
    if figure.name == COMMITS:
        buckets = row.durations.get(COMMITS, {})
        return Point(
            at=at,
            count=sum(buckets.values()),
            total=None,
            mean=None,
            least=None,
            most=None,
            p50=percentile(buckets, 0.5),
            p99=percentile(buckets, 0.99),
        )
    value = row.values.get(figure.name)
    if value is None:
        return None
    return Point(
        at=at,
        count=value.count,
        total=value.total if figure.counted else None,
        mean=value.mean,
        least=value.least,
        most=value.most,
        p50=None,
        p99=None,
    )
