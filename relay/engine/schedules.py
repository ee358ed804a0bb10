"""Plugins' schedules at work: for each plugin one task that runs its due jobs, one after the other."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import trio

from relay.engine.guard import Guard, PluginFailed, in_words
from relay.engine.jobs import PluginJobs
from relay.engine.registry import Owned
from relay.plugin.backoff import Backoff
from relay.plugin.schedules import Schedule
from relay.plugin.types import Server
from relay.protocol.errors import RelayError
from relay.storage import schedules as rows
from relay.storage.errors import StorageError
from relay.storage.jobs import Runner
from relay.storage.schedules import Ended, ScheduledJob

T = TypeVar("T")
MOST_ATTEMPTS: Final = 12
"""How often one run is tried; after the last failure it is given up."""

PAUSES: Final = Backoff((1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0))
"""The pauses between attempts: the twelfth is some six hours after the first."""

_BUSY_PAUSE: Final = 5.0
"""The pause after a run that relay itself held up: no failure of the plugin, so it is tried without end."""

_LONGEST_ERROR: Final = 500
"""What is kept of the text of an error, in characters."""

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

    async def run(self, guard: Guard, server: Server) -> None:
        """Run a plugin's jobs, by the schedules that it has now, until cancelled."""
        jobs = self.of(guard.plugin)
        await JobTask(jobs, self.registered(guard.plugin), self._runner, self._now, guard, server).run()

    def registered(self, plugin: str) -> dict[str, Schedule]:
        """Return a plugin's schedules by their names."""
        owned: Sequence[Owned[Schedule]] = self._parts["relay_schedules"]
        return {one.part.name: one.part for one in owned if one.guard.plugin == plugin}


class JobTask:
    """The task that runs the jobs of one plugin.

    Args:
        schedules: the plugin's, by their names.
        now: Unix seconds.
        server: the server as the plugin sees it.
    """

    def __init__(
        self,
        jobs: PluginJobs,
        schedules: Mapping[str, Schedule],
        runner: Runner,
        now: Callable[[], float],
        guard: Guard,
        server: Server,
    ) -> None:
        self._jobs = jobs
        self._schedules = schedules
        self._runner = runner
        self._now = now
        self._guard = guard
        self._server = server
        self._offset = now() - trio.current_time()

    async def run(self) -> None:
        """Run the plugin's jobs at their times, until cancelled."""
        await self._keep_rules()
        ended: Ended | None = None
        while True:
            job = await self._turn(ended)
            ended = None
            if job is None:
                await self._jobs.wakeup.wait(min(max(self._jobs.next_at - self._now(), 0.0), _LONGEST_WAIT))
            elif job.attempt > MOST_ATTEMPTS:
                ended = self._give_up(job, "its runs were cut short, by a crash or the end of the server")
            else:
                self._jobs.running = job
                try:
                    ended = await self._run_one(job)
                finally:
                    self._jobs.running = None

    async def _keep_rules(self) -> None:
        now = self._now()
        rules = {}
        for name, schedule in self._schedules.items():
            if (when := schedule.when) is not None:
                first = when.first(now)
                rules[name] = (when.rule, first, first if when.elapsed else math.inf)
        await self._stored(partial(rows.keep_rules, plugin=self._jobs.plugin, rules=rules))
        self._jobs.freed = True

    async def _turn(self, ended: Ended | None) -> ScheduledJob | None:
        """Note the end of the last run, and the beginning of the next that is due, in one transaction."""
        plugin, schedules, now = self._jobs.plugin, self._schedules, self._now()
        offset = now - trio.current_time()
        step = offset - self._offset if abs(offset - self._offset) > _CLOCK_STEP else 0.0
        self._offset += step
        elapsed = [name for name, one in schedules.items() if one.when is not None and one.when.elapsed]
        may_claim = not self._guard.quarantined

        def turn(connection: sqlite3.Connection) -> ScheduledJob | None:
            if step:
                rows.shift(connection, plugin, elapsed, step)
            if ended is not None:
                rows.end(connection, plugin, ended, now)
                self._jobs.freed = True
            job = rows.claim(connection, plugin, schedules, now) if may_claim else None
            # Set on the writer's thread, as `add_inside` reads it there: a job that is added next wakes this task.
            found = None if job is not None else rows.next_try(connection, plugin, schedules)
            self._jobs.next_at = math.inf if found is None else found
            return job

        return await self._stored(turn, shield=ended is not None)

    async def _stored(self, job: Callable[[sqlite3.Connection], T], *, shield: bool = False) -> T:
        """Run a job in a transaction; again and again while the disk does not take it.

        Args:
            shield: whether a plugin that is set aside, or a server that ends, waits for it: the end of a run that
                is not noted means another one.
        """
        while True:
            try:
                with trio.CancelScope(shield=shield):
                    result = await self._runner.write(job)
                return result
            except StorageError:
                await trio.sleep(_BUSY_PAUSE)

    async def _run_one(self, job: ScheduledJob) -> Ended:
        """Run a job once, and return how that ended."""
        schedule = self._schedules[job.schedule]
        try:
            await self._guard.call_async(
                f"job {_named(job)}", schedule.run, self._server, job, seconds=schedule.seconds
            )
        except PluginFailed as failed:
            cause = failed.__cause__
            return self._failed(job, "it failed" if cause is None else in_words(cause))
        except StorageError as failed:
            return self._busy(job, _BUSY_PAUSE, str(failed))
        except RelayError as refused:
            if refused.retry:
                return self._busy(job, max(_BUSY_PAUSE, refused.retry_after or 0.0), str(refused))
            self._server.log.warning("job %s is over, as it was refused: %s", _named(job), refused)
            return self._over(job, "refused", str(refused))
        return self._over(job, "done")

    def _busy(self, job: ScheduledJob, pause: float, error: str) -> Ended:
        """Return that relay held the run up: it is tried again, as if it had not begun."""
        return Ended(job, None, self._now() + pause, job.attempt - 1, error[:_LONGEST_ERROR])

    def _failed(self, job: ScheduledJob, error: str) -> Ended:
        """Return that the plugin failed at the run: it is tried again a few times, until the rule's next time."""
        if job.attempt >= MOST_ATTEMPTS:
            return self._give_up(job, error)
        retry_at, next_due = self._now() + PAUSES.pause(job.attempt), self._next_due(job)
        if next_due is not None and next_due <= retry_at:
            return self._over(job, "failed", error)
        self._server.count("jobs", "failed")
        return Ended(job, None, retry_at, job.attempt, error[:_LONGEST_ERROR])

    def _give_up(self, job: ScheduledJob, error: str) -> Ended:
        self._server.log.error("job %s is given up after %d attempts: %s", _named(job), MOST_ATTEMPTS, error)
        return self._over(job, "given_up", error)

    def _over(self, job: ScheduledJob, kind: str, error: str | None = None) -> Ended:
        """Return that the run is over, and count it."""
        self._server.count("jobs", kind)
        return Ended(job, self._next_due(job), error=None if error is None else error[:_LONGEST_ERROR])

    def _next_due(self, job: ScheduledJob) -> float | None:
        when = self._schedules[job.schedule].when
        return None if when is None else when.next(job.due_at, self._now())


def _named(job: ScheduledJob) -> str:
    return f"{job.schedule!r}, {job.key!r}" if job.key else repr(job.schedule)
