"""Schedules: work of a plugin's at set times, and the rules that say when."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from relay.plugin import validation
from relay.plugin.types import Server
from relay.storage.schedules import ScheduledJob

_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_LONGEST: Final = 366 * 86_400


class When(Protocol):
    """The rule of a job that repeats: made by `every` or `cron`.

    Attributes:
        rule: the rule in words; another text is another rule.
        elapsed: whether it goes by the time that has passed, and not by the clock on the wall.
    """

    @property
    def rule(self) -> str:
        """The rule in words."""

    @property
    def elapsed(self) -> bool:
        """Whether a clock that is set leaves it alone."""

    def first(self, now: float) -> float:
        """Return when it is due for the first time, Unix seconds."""

    def next(self, due: float, now: float) -> float:
        """Return when it is due after a run that was due at `due` and has ended: once, however many it missed."""


class _Every:
    elapsed = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rule = f"every {seconds:g} s"

    def first(self, now: float) -> float:
        return now + self.seconds

    def next(self, due: float, now: float) -> float:
        return due + self.seconds if due + self.seconds > now else now + self.seconds


class _Cron:
    elapsed = False

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = expression
        self._zone = zone
        self.rule = f"{expression} {zone.key}"

    def first(self, now: float) -> float:
        times = CronSim(self._expression, datetime.fromtimestamp(now, self._zone))
        while True:
            # In the hour that a clock set back shows twice, the first answer may be one that has passed.
            moment = next(times).timestamp()
            if moment > now:
                return moment

    def next(self, due: float, now: float) -> float:
        return self.first(max(due, now))  # a clock that was set back makes no time come twice


def every(interval: str | float) -> When:
    """Return the rule of a job that runs again and again, an interval apart: `every("10m")`.

    Args:
        interval: as "30s", "10m", "1h30m" or "2d", or seconds as a number; a second to 366 days.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(interval, str):
        found = _DURATION.fullmatch(interval)
        numbers = found.groups(default="0") if found else ("nan",) * 4
        seconds = sum(float(number) * unit for number, unit in zip(numbers, _UNITS.values(), strict=True))
    else:
        seconds = float(interval) if type(interval) in (int, float) else math.nan
    if not 1 <= seconds <= _LONGEST:
        raise ValueError(
            f'every({interval!r:.80}): write the interval as "30s", "10m", "1h30m" or "2d",'
            " or its seconds as a number; from 1 s to 366 days"
        )
    return _Every(seconds)


def cron(expression: str, zone: str = "UTC") -> When:
    """Return the rule of a job that runs by the clock on the wall: `cron("0 9 * * 1-5", zone="Europe/Berlin")`.

    Args:
        expression: minute, hour, day of the month, month and weekday, as Debian's cron reads them.
        zone: the time zone of that clock.

    Raises:
        ValueError: one of them is wrong, or the time never comes.
    """
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError):
        raise ValueError(
            f'cron(…, zone={zone!r:.80}): there is no such time zone here; write it as "Europe/Berlin"'
        ) from None
    wrong = f"cron({expression!r:.80})"
    right = 'write five fields, minute hour day month weekday, as "0 9 * * 1-5" for 9:00 from Monday to Friday'
    if not isinstance(expression, str) or len(expression.split()) != 5:
        raise ValueError(f"{wrong}: {right}")
    made = _Cron(" ".join(expression.split()), known)
    try:
        made.first(0.0)
    except CronSimError as error:
        raise ValueError(f"{wrong}: {str(error).lower()}; {right}") from None
    except StopIteration:
        raise ValueError(f"{wrong}: there is no such day") from None
    return made


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Work at set times. Register it from `relay_schedules`.

    Args:
        name: its name among the plugin's schedules: a-z, digits, `_` and `-`.
        run: `run(server, job)`, plain or async, under the deadline of `seconds`. One that raises is tried again
            after a pause that grows; `RelayError` with a code that no retry helps ends the job.
        when: `every(…)` or `cron(…)`, for one job that repeats; None for jobs that `server.jobs.add` adds.
        seconds: the longest that one run may take: 60 by default, at most an hour.
    """

    name: str
    run: Callable[[Server, ScheduledJob], Awaitable[None] | None]
    when: When | None = None
    seconds: float = 60.0

    def __post_init__(self) -> None:
        validation.schedule(self)
        if self.when is not None and not isinstance(self.when, (_Every, _Cron)):
            raise TypeError(
                f'Schedule {self.name!r}: when is {self.when!r:.80}; write every("10m") or cron("0 9 * * *"),'
                " or leave it out for jobs that server.jobs.add adds"
            )
