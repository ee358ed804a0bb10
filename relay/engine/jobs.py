"""A plugin's scheduled jobs, as its code adds, removes and lists them: implements `relay.plugin.Jobs`."""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.jobs import Jobs
from relay.plugin.schedules import Schedule
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError
from relay.settings.problems import did_you_mean
from relay.storage import schedules as rows
from relay.storage.jobs import Runner
from relay.storage.schedules import ScheduledJob
from relay.wakeup import Wakeup

MOST_DATA: Final = 16_384
"""Bound on the JSON of a job's data, in bytes."""


class PluginJobs(Jobs):
    """The jobs of one plugin; `relay.plugin.Jobs` describes the methods that its code calls.

    Args:
        registered: returns the plugin's schedules by their names.
        now: Unix seconds.
        most: how many jobs the plugin may have.

    Attributes:
        running: the job whose run has begun and not ended.
        next_at: when the next job is to be run, Unix seconds. Read and set on the writer's thread, so that a job
            that is added wakes the task that waits for the next one.
        freed: whether a job may have gone since they were counted.
        wakeup: wakes that task.
    """

    def __init__(
        self,
        plugin: str,
        registered: Callable[[], dict[str, Schedule]],
        runner: Runner,
        now: Callable[[], float],
        most: int,
    ) -> None:
        self.plugin = plugin
        self.running: ScheduledJob | None = None
        self.next_at = math.inf
        self.freed = True
        self.wakeup = Wakeup()
        self._registered = registered
        self._runner = runner
        self._now = now
        self._most = most
        self._room = 0

    def overdue(self) -> float:
        """Return for how many seconds the next job has been due, and did not run."""
        return max(0.0, self._now() - self.next_at) if self.running is None else 0.0

    # For the plugin: relay.plugin.Jobs.

    async def add(
        self, schedule: str, *, at: float, data: dict[str, Any] | None = None, key: str | None = None
    ) -> str:
        job = partial(self.add_inside, schedule=schedule, at=at, data=data, key=key)
        with waiting_for_relay() as wait:
            return await self._runner.write(wait.ends_with(job))

    def add_inside(
        self,
        connection: sqlite3.Connection,
        schedule: str,
        *,
        at: float,
        data: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        self._require(schedule)
        key = secrets.token_hex(8) if key is None else key
        if type(at) not in (int, float) or not math.isfinite(at):
            raise ValueError(f"at is {at!r:.80}; it is Unix seconds, as server.now() + 600")
        if not isinstance(key, str) or not 1 <= len(key) <= 200:
            raise ValueError(f"key is {key!r:.80}; it is a text of 1 to 200 characters, or None")
        written = _written(data)
        if not rows.exists(connection, self.plugin, schedule, key):
            self._take_room(connection)
        rows.add(connection, self.plugin, schedule, key, at=at, data=written)
        if at < self.next_at:
            self.wakeup.set()
        return key

    def _take_room(self, connection: sqlite3.Connection) -> None:
        """Refuse a job more than the plugin may have.

        To count a hundred thousand takes the writer's thread some 10 ms. So they are counted only when there may
        be no room, and at the limit only when a job has gone since. What is undone later keeps its room till then.

        Raises:
            RelayError: `forbidden`.
        """
        if self._room == 0 and self.freed:
            self._room, self.freed = max(0, self._most - rows.count(connection, self.plugin)), False
        if self._room == 0:
            text = f"the plugin {self.plugin!r} has {self._most} jobs that wait, and may have no more"
            raise RelayError(ErrorCode.FORBIDDEN, text)
        self._room -= 1

    async def remove(self, schedule: str, key: str) -> bool:
        with waiting_for_relay() as wait:
            job = partial(self.remove_inside, schedule=schedule, key=key)
            return await self._runner.write(wait.ends_with(job))

    def remove_inside(self, connection: sqlite3.Connection, schedule: str, key: str) -> bool:
        self._require(schedule)
        self.freed = True
        return rows.remove(connection, self.plugin, schedule, key)

    async def waiting(self, schedule: str, *, after: str = "", limit: int = 1000) -> list[ScheduledJob]:
        self._require(schedule)
        job = partial(rows.waiting, plugin=self.plugin, schedule=schedule, after=after, limit=limit)
        with waiting_for_relay() as wait:
            return await self._runner.read(wait.ends_with(job))

    def _require(self, schedule: str) -> None:
        """Refuse the name of a schedule that the plugin has not, or whose one job is its rule's.

        Raises:
            ValueError: naming what is right.
        """
        dynamic = [name for name, one in self._registered().items() if one.when is None]
        if schedule not in dynamic:
            hint = did_you_mean(schedule, dynamic) or f"there are: {', '.join(dynamic) or 'none'}"
            raise ValueError(
                f"{schedule!r:.80} is no schedule without a `when` that relay_schedules returned; {hint}"
            )

    # For the engine.

    async def run_now(self, schedule: str, key: str = "") -> bool:
        """Make a job due now, and return whether it is there."""
        now = self._now()
        found = await self._runner.write(lambda c: rows.run_now(c, self.plugin, schedule, key, now))
        self.wakeup.set()
        return found


def _written(data: dict[str, Any] | None) -> str:
    """Return a job's data as JSON.

    Raises:
        ValueError: it is no JSON object, or too large.
    """
    if not isinstance(data, dict | None):
        raise ValueError(f"data is {data!r:.80}; it is a dict that JSON can say, or None")
    try:
        written = encode_json(data or {}).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"data is {data!r:.80}; it is a dict that JSON can say: {error}") from None
    if len(written.encode()) > MOST_DATA:
        raise ValueError(f"data has {len(written.encode())} bytes as JSON, and may have {MOST_DATA}")
    return written
