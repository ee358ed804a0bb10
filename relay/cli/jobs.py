"""`relay plugins jobs` and `relay plugins run-job`: plugins' work at set times."""

from __future__ import annotations

import click

from relay.cli.base import Command, json_option, note, print_rows, tell
from relay.cli.database import perform

_COLUMNS = ("plugin", "schedule", "key", "rule", "next_at", "last_at", "state", "attempts", "error")


@click.command("jobs", cls=Command)
@click.argument("plugin", required=False)
@json_option
def jobs(plugin: str | None, as_json: bool) -> None:
    """List the jobs at set times that wait, of all plugins or of PLUGIN, the next ones first.

    A thousand at most.
    """
    rows = perform("plugin.jobs", plugin=plugin)
    print_rows(rows, _COLUMNS, as_json=as_json)


@click.command("run-job", cls=Command)
@click.argument("plugin")
@click.argument("schedule")
@click.argument("key", default="")
def run_job(plugin: str, schedule: str, key: str) -> None:
    """Make a job of PLUGIN due now: that of the rule SCHEDULE, or the one called KEY of the schedule.

    The running server runs it at once; without one it runs at the next start.
    """
    state = perform("plugin.run_job", plugin=plugin, schedule=schedule, key=key)
    named = f"{plugin} {schedule}{f' {key}' if key else ''}"
    tell(f"{named}: due now", plugin=plugin, schedule=schedule, key=key, state=state)
    if state != "waiting":
        note(f"it waits all the same: {state}")
