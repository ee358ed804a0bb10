"""Plugins' schedules at work: for each plugin one task that runs its due jobs, one after the other."""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import trio

from relay.engine.guard import Guard, PluginFailed, in_words
from relay.engine.registry import Owned
from relay.engine.time_accounting import waiting_for_relay
from relay.plugin.backoff import Backoff
from relay.plugin.jobs import Jobs
from relay.plugin.schedules import Schedule
from relay.plugin.types import Server
from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError
from relay.settings.problems import did_you_mean
from relay.storage import schedules as rows
from relay.storage.errors import StorageError
from relay.storage.jobs import Runner
from relay.storage.schedules import Ended, ScheduledJob
from relay.wakeup import Wakeup

T = TypeVar("T")
MOST_DATA: Final = 16_384
"""Bound on the JSON of a job's data, in bytes."""

MOST_ATTEMPTS: Final = 12
"""How often one run is tried; after the last failure it is given up."""

PAUSES: Final = Backoff((1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0))
"""The pauses between attempts: the twelfth is some six hours after the first."""

_BUSY_PAUSE: Final = 5.0
"""The pause after a run that relay itself held up: no failure of the plugin, so it is tried without end."""

_LONGEST_WAIT: Final = 60.0
"""A clock that is set and a machine that slept wake nobody: so times are compared again after so long."""

_CLOCK_STEP: Final = 1.0
"""A difference between both clocks from which on one of them was set; less is the drift of clocks."""


class Schedules:
    """The jobs of all plugins.

    Args:
        parts: all registered parts, by hook; read each time, so that a plugin may be loaded anew.
        now: Unix seconds.
        most: how many jobs one plugin may have; 0 means no limit.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[Owned[Any]]],
        runner: Runner,
        now: Callable[[], float],
        most: int,
    ) -> None:
        self._parts = parts
        self._runner = runner
        self._now = now
        self._most = most or 1 << 62
        self._plugins: dict[str, PluginJobs] = {}

    def of(self, plugin: str) -> PluginJobs:
        """Return the jobs of a plugin, by its name."""
        known = self._plugins.get(plugin)
        if known is None:
            known = PluginJobs(plugin, partial(self.registered, plugin), self._runner, self._now, self._most)
            self._plugins[plugin] = known
        return known

    def registered(self, plugin: str) -> dict[str, Schedule]:
        """Return a plugin's schedules by their names."""
        owned: Sequence[Owned[Schedule]] = self._parts["relay_schedules"]
        return {one.part.name: one.part for one in owned if one.guard.plugin == plugin}


class PluginJobs(Jobs):
    """The jobs of one plugin: implements `relay.plugin.Jobs`, where each method is described, and runs them.

    Attributes:
        running: the job whose run has begun and not ended.
    """

    def __init__(
        self,
        plugin: str,
        registered: Callable[[], dict[str, Schedule]],
        runner: Runner,
        now: Callable[[], float],
        most: int,
    ) -> None:
        self.running: ScheduledJob | None = None
        self._plugin = plugin
        self._registered = registered
        self._runner = runner
        self._now = now
        self._most = most
        self._wakeup = Wakeup()
        self._next = math.inf
        self._offset = 0.0

    def overdue(self) -> float:
        """Return for how many seconds the next job has been due, and did not run."""
        return max(0.0, self._now() - self._next) if self.running is None else 0.0

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
        if not rows.add(connection, self._plugin, schedule, key, at=at, data=written, most=self._most):
            text = f"the plugin {self._plugin!r} has {self._most} jobs that wait, and may have no more"
            raise RelayError(ErrorCode.FORBIDDEN, text)
        if at < self._next:
            self._wakeup.set()
        return key

    async def remove(self, schedule: str, key: str) -> bool:
        with waiting_for_relay() as wait:
            job = partial(self.remove_inside, schedule=schedule, key=key)
            return await self._runner.write(wait.ends_with(job))

    def remove_inside(self, connection: sqlite3.Connection, schedule: str, key: str) -> bool:
        self._require(schedule)
        return rows.remove(connection, self._plugin, schedule, key)

    async def waiting(self, schedule: str, *, after: str = "", limit: int = 1000) -> list[ScheduledJob]:
        self._require(schedule)
        job = partial(rows.waiting, plugin=self._plugin, schedule=schedule, after=after, limit=limit)
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
        found = await self._runner.write(lambda c: rows.run_now(c, self._plugin, schedule, key, now))
        self._wakeup.set()
        return found

    async def run(self, guard: Guard, server: Server) -> None:
        """Run the plugin's jobs at their times, until cancelled."""
        schedules = self._registered()
        self._offset = self._now() - trio.current_time()
        await self._stored(partial(rows.keep_rules, plugin=self._plugin, rules=self._rules(schedules)))
        ended: Ended | None = None
        while True:
            job = await self._turn(schedules, ended, may_claim=not guard.quarantined)
            if job is not None:
                self.running = job
                try:
                    ended = await self._run_one(guard, server, schedules[job.schedule], job)
                finally:
                    self.running = None
            else:
                ended = None
                await self._wakeup.wait(min(max(self._next - self._now(), 0.0), _LONGEST_WAIT))

    def _rules(self, schedules: Mapping[str, Schedule]) -> dict[str, tuple[str, float, float]]:
        now = self._now()
        rules = {}
        for name, schedule in schedules.items():
            if (when := schedule.when) is not None:
                first = when.first(now)
                rules[name] = (when.rule, first, first if when.elapsed else math.inf)
        return rules

    async def _turn(
        self, schedules: Mapping[str, Schedule], ended: Ended | None, *, may_claim: bool
    ) -> ScheduledJob | None:
        """Note the end of the last run, and begin the next one that is due, in one transaction."""
        now = self._now()
        offset = now - trio.current_time()
        step = offset - self._offset if abs(offset - self._offset) > _CLOCK_STEP else 0.0
        self._offset += step
        elapsed = [name for name, one in schedules.items() if one.when is not None and one.when.elapsed]

        def turn(connection: sqlite3.Connection) -> ScheduledJob | None:
            if step:
                rows.shift(connection, self._plugin, elapsed, step)
            if ended is not None:
                rows.end(connection, self._plugin, ended, now)
            job = rows.claim(connection, self._plugin, schedules, now) if may_claim else None
            # Set on the writer's thread, as `add_inside` reads it there: a job that is added next wakes this task.
            found = None if job is not None else rows.next_try(connection, self._plugin, schedules)
            self._next = math.inf if found is None else found
            return job

        # A plugin that is set aside, or a server that ends, must not lose how the run went.
        with trio.CancelScope(shield=ended is not None):
            job = await self._stored(turn)
        return job

    async def _stored(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job in a transaction; again and again while the disk does not take it."""
        while True:
            try:
                return await self._runner.write(job)
            except StorageError:
                await trio.sleep(_BUSY_PAUSE)

    async def _run_one(self, guard: Guard, server: Server, schedule: Schedule, job: ScheduledJob) -> Ended:
        """Run a job once, and return how that ended."""
        name = f"{job.schedule!r}" + (f", {job.key!r}" if job.key else "")
        try:
            await guard.call_async(f"job {name}", schedule.run, server, job, seconds=schedule.seconds)
        except PluginFailed as failed:
            cause = failed.__cause__
            return self._failed(server, schedule, job, "it failed" if cause is None else in_words(cause))
        except StorageError as failed:
            return self._busy(schedule, job, _BUSY_PAUSE, str(failed))
        except RelayError as refused:
            if refused.retry:
                return self._busy(schedule, job, max(_BUSY_PAUSE, refused.retry_after or 0.0), str(refused))
            server.log.warning("the job %s is over, as it was refused: %s", name, refused)
            return self._over(server, schedule, job, "refused", str(refused))
        return self._over(server, schedule, job, "done", None)

    def _busy(self, schedule: Schedule, job: ScheduledJob, pause: float, error: str) -> Ended:
        """Return that relay held the run up: it is tried again, as if it had not begun."""
        return Ended(job, self._next_due(schedule, job), self._now() + pause, job.attempt - 1, error)

    def _failed(self, server: Server, schedule: Schedule, job: ScheduledJob, error: str) -> Ended:
        """Return that the plugin failed at the run: it is tried again a few times."""
        retry_at, next_due = self._now() + PAUSES.pause(job.attempt), self._next_due(schedule, job)
        if job.attempt >= MOST_ATTEMPTS or (next_due is not None and next_due <= retry_at):
            given_up = job.attempt >= MOST_ATTEMPTS
            if given_up:
                server.log.error(
                    "the job %r, %r is given up after %d attempts", job.schedule, job.key, job.attempt
                )
            return self._over(server, schedule, job, "given_up" if given_up else "failed", error)
        server.count("jobs", "failed")
        return Ended(job, next_due, retry_at, job.attempt, error)

    def _over(self, server: Server, schedule: Schedule, job: ScheduledJob, kind: str, error: str | None) -> Ended:
        server.count("jobs", kind)
        return Ended(job, self._next_due(schedule, job), error=error)

    def _next_due(self, schedule: Schedule, job: ScheduledJob) -> float | None:
        return None if schedule.when is None else schedule.when.next(job.due_at, self._now())


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
