"""Scheduled jobs as rows: when each is due, whether it has begun, and how often it was tried.

A row's `run_id` is there before its run begins, and goes or changes in the transaction that notes its end. So a
run that a crash cut short begins again with the same one.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

_JOB = "schedule, key, due_at, data, run_id, attempts"


class ScheduledJob(NamedTuple):
    """A job that a schedule runs at its time.

    Attributes:
        schedule: the name of its schedule.
        key: its name among the jobs of the schedule; empty for the job of a rule.
        due_at: when it was or is due, Unix seconds; it may run later.
        data: as it was given to `jobs.add`.
        run_id: names this run; the same one at every attempt, also after a crash. An idempotency key.
        attempt: 1 for the first attempt of this run.
    """

    schedule: str
    key: str
    due_at: float
    data: dict[str, Any]
    run_id: str
    attempt: int


class Ended(NamedTuple):
    """A run that has ended.

    Attributes:
        next_due: where the run is over: when the job is due again; None for a job that is over as well.
        retry_at: when the same run is tried again; None for a run that is over.
        attempts: how many attempts count from now on, where it is tried again.
        error: what went wrong, in words.
    """

    job: ScheduledJob
    next_due: float | None
    retry_at: float | None = None
    attempts: int = 0
    error: str | None = None


def add(connection: sqlite3.Connection, plugin: str, schedule: str, key: str, *, at: float, data: str) -> None:
    """Add a job, or replace the one of the same key.

    Args:
        data: a JSON object.
    """
    connection.execute(
        "INSERT OR REPLACE INTO scheduled_jobs (plugin, schedule, key, due_at, try_at, run_id, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (plugin, schedule, key, at, at, _run_id(), data),
    )


def exists(connection: sqlite3.Connection, plugin: str, schedule: str, key: str) -> bool:
    """Tell whether there is a job of this key."""
    found = connection.execute(
        "SELECT 1 FROM scheduled_jobs WHERE plugin = ? AND schedule = ? AND key = ?", (plugin, schedule, key)
    )
    return found.fetchone() is not None


def count(connection: sqlite3.Connection, plugin: str) -> int:
    """Return how many jobs a plugin has."""
    row = connection.execute("SELECT count(*) FROM scheduled_jobs WHERE plugin = ?", (plugin,)).fetchone()
    return int(row[0])


def remove(connection: sqlite3.Connection, plugin: str, schedule: str, key: str) -> bool:
    """Remove a job, and return whether it was there."""
    done = connection.execute(
        "DELETE FROM scheduled_jobs WHERE plugin = ? AND schedule = ? AND key = ?", (plugin, schedule, key)
    )
    return done.rowcount > 0


def waiting(
    connection: sqlite3.Connection, plugin: str, schedule: str, *, after: str, limit: int
) -> list[ScheduledJob]:
    """Return a schedule's jobs by their keys, those after `after`."""
    rows = connection.execute(
        f"SELECT {_JOB} FROM scheduled_jobs WHERE plugin = ? AND schedule = ? AND key > ? ORDER BY key LIMIT ?",
        (plugin, schedule, after, limit),
    )
    return [_job(row) for row in rows]


def keep_rules(connection: sqlite3.Connection, plugin: str, rules: Mapping[str, tuple[str, float, float]]) -> None:
    """Give each schedule with a rule its one job, and remove those of rules that are gone.

    Args:
        rules: by the schedule's name: the rule in words, when it is first due, and the latest moment that its job
            may be due at; a job of the same rule keeps its time where that is earlier.
    """
    stored: dict[str, str] = dict(
        connection.execute("SELECT schedule, rule FROM scheduled_jobs WHERE plugin = ? AND rule <> ''", (plugin,))
    )
    for name in stored.keys() - rules.keys():
        connection.execute(
            "DELETE FROM scheduled_jobs WHERE plugin = ? AND schedule = ? AND rule <> ''", (plugin, name)
        )
    for name, (rule, first, latest) in rules.items():
        if stored.get(name) == rule:
            connection.execute(
                "UPDATE scheduled_jobs SET due_at = min(due_at, ?1), try_at = min(try_at, ?1)"
                " WHERE plugin = ?2 AND schedule = ?3",
                (latest, plugin, name),
            )
        else:
            connection.execute("DELETE FROM scheduled_jobs WHERE plugin = ? AND schedule = ?", (plugin, name))
            connection.execute(
                "INSERT INTO scheduled_jobs (plugin, schedule, key, due_at, try_at, run_id, rule)"
                " VALUES (?, ?, '', ?, ?, ?, ?)",
                (plugin, name, first, first, _run_id(), rule),
            )


def claim(
    connection: sqlite3.Connection, plugin: str, schedules: Collection[str], now: float
) -> ScheduledJob | None:
    """Note that the run of the job that is due for longest has begun, and return it; None where none is due."""
    marks = ",".join("?" * len(schedules))
    row = connection.execute(
        f"SELECT {_JOB} FROM scheduled_jobs WHERE plugin = ? AND try_at <= ? AND schedule IN ({marks})"
        " ORDER BY try_at LIMIT 1",
        (plugin, now, *schedules),
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "UPDATE scheduled_jobs SET began_at = ?, attempts = attempts + 1"
        " WHERE plugin = ? AND schedule = ? AND key = ?",
        (now, plugin, row[0], row[1]),
    )
    return _job((*row[:-1], row[-1] + 1))


def next_try(connection: sqlite3.Connection, plugin: str, schedules: Collection[str]) -> float | None:
    """Return when the next job is to be run, Unix seconds; None where none waits."""
    marks = ",".join("?" * len(schedules))
    row = connection.execute(
        f"SELECT try_at FROM scheduled_jobs WHERE plugin = ? AND schedule IN ({marks}) ORDER BY try_at LIMIT 1",
        (plugin, *schedules),
    ).fetchone()
    return None if row is None else float(row[0])


def end(connection: sqlite3.Connection, plugin: str, ended: Ended, now: float) -> None:
    """Note the end of a run; nothing where the job was removed or replaced meanwhile."""
    job = ended.job
    mine = (plugin, job.schedule, job.key, job.run_id)
    where = "WHERE plugin = ? AND schedule = ? AND key = ? AND run_id = ?"
    if ended.retry_at is not None:
        connection.execute(
            f"UPDATE scheduled_jobs SET try_at = ?, attempts = ?, began_at = NULL, last_error = ? {where}",
            (ended.retry_at, ended.attempts, ended.error, *mine),
        )
    elif ended.next_due is not None:
        connection.execute(
            "UPDATE scheduled_jobs SET due_at = ?, try_at = ?, run_id = ?, attempts = 0, began_at = NULL,"
            f" last_at = ?, last_error = ? {where}",
            (ended.next_due, ended.next_due, _run_id(), now, ended.error, *mine),
        )
    else:
        connection.execute(f"DELETE FROM scheduled_jobs {where}", mine)


def shift(connection: sqlite3.Connection, plugin: str, elapsed: Collection[str], seconds: float) -> None:
    """Move what goes by elapsed time along with a clock that was set: jobs of such rules, and pauses."""
    marks = ",".join("?" * len(elapsed))
    connection.execute(
        "UPDATE scheduled_jobs SET try_at = try_at + ?1, due_at = iif(attempts, due_at, due_at + ?1)"
        f" WHERE plugin = ?2 AND (attempts > 0 OR rule <> '' AND schedule IN ({marks}))",
        (seconds, plugin, *elapsed),
    )


def run_now(connection: sqlite3.Connection, plugin: str, schedule: str, key: str, now: float) -> bool:
    """Make a job due now, and return whether it is there."""
    done = connection.execute(
        "UPDATE scheduled_jobs SET due_at = min(due_at, ?1), try_at = ?1, attempts = 0"
        " WHERE plugin = ?2 AND schedule = ?3 AND key = ?4",
        (now, plugin, schedule, key),
    )
    return done.rowcount > 0


def listed(connection: sqlite3.Connection, plugin: str | None, limit: int) -> list[dict[str, Any]]:
    """Return jobs as an operator sees them, of all plugins or of one, the next ones first."""
    return _shown(connection, "?1 IS NULL OR plugin = ?1 ORDER BY try_at LIMIT ?2", plugin, limit)


def find(connection: sqlite3.Connection, plugin: str, schedule: str, key: str) -> list[dict[str, Any]]:
    """Return a job as an operator sees it; an empty list where there is none."""
    return _shown(connection, "plugin = ? AND schedule = ? AND key = ?", plugin, schedule, key)


def _shown(connection: sqlite3.Connection, where: str, *values: Any) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT plugin, schedule, key, rule, try_at AS next_at, began_at, attempts, last_at, last_error AS error"
        f" FROM scheduled_jobs WHERE {where}",
        values,
    )
    return [dict(zip((column[0] for column in rows.description), row, strict=True)) for row in rows]


def _job(row: tuple[Any, ...]) -> ScheduledJob:
    schedule, key, due_at, data, run_id, attempts = row
    return ScheduledJob(schedule, key, due_at, json.loads(data), run_id, attempts)


def _run_id() -> str:
    return f"job-{secrets.token_hex(12)}"
