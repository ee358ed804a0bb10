"""Plugins' scheduled jobs as admins and the operator see them: their list, and one made due now."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.engine.engine import Engine
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.acts import Act
from relay.services.audit import About, Actor
from relay.storage import schedules

Limit = Annotated[int, Meta(ge=1, le=1000)]
JobState = Literal["waiting", "running", "set aside", "plugin off", "no schedule"]


async def list_jobs(engine: Engine, plugin: str | None = None, limit: Limit = 1000) -> list[dict[str, Any]]:
    """Return the jobs that wait or run, of all plugins or of one, the next ones first, each with its state."""
    found = await engine.runner.read(partial(schedules.listed, plugin=plugin, limit=limit))
    return [job | {"state": _state(engine, job)} for job in found]


def _state(engine: Engine, job: dict[str, Any]) -> JobState:
    guard = engine.registry.guard(job["plugin"])
    if guard is None:
        return "plugin off"
    if job["schedule"] not in engine.schedules.registered(job["plugin"]):
        return "no schedule"
    running = engine.schedules.of(job["plugin"]).running
    if running is not None and (running.schedule, running.key) == (job["schedule"], job["key"]):
        return "running"
    return "set aside" if guard.quarantined else "waiting"


async def run_job(engine: Engine, actor: Actor, plugin: str, schedule: str, key: str = "") -> JobState:
    """Make a job due now, and return its state.

    Raises:
        RelayError: `not_found` for an unknown job; `conflict` for one that runs already.
    """
    for job in await engine.runner.read(partial(schedules.find, plugin=plugin, schedule=schedule, key=key)):
        state = _state(engine, job)
        if state == "running":
            raise RelayError(ErrorCode.CONFLICT, f"it runs already, since {engine.now() - job['began_at']:.0f} s")
        await engine.schedules.of(plugin).run_now(schedule, key)
        details = {"schedule": schedule, "key": key}
        await engine.audit.record(actor, Act.PLUGIN_JOB, About("plugin", plugin), details)
        return state
    raise not_found(f"job {schedule!r}{f', {key!r},' if key else ''} of plugin {plugin!r}")
