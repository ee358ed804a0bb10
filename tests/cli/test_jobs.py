"""`relay plugins jobs` and `run-job`: what waits, and one of it now."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run

PLUGIN = """
from relay.plugin import Schedule, cron, hookimpl

def run(server, job): ...

@hookimpl
def relay_schedules():
    return [Schedule(name="night", run=run, when=cron("0 3 * * *", zone="Europe/Berlin"))]
"""


def test_jobs_are_listed_and_one_is_made_due(anywhere: Run, folder: Path) -> None:
    assert anywhere("plugins", "jobs", "--json").output == ""
    assert (
        "there is no job 'night' of plugin 'tidy'"
        in anywhere("plugins", "run-job", "tidy", "night", ok=False).output
    )


def test_a_job_of_a_plugin_without_a_server_runs_at_the_next_start(run: Run, folder: Path) -> None:
    import trio

    from relay.engine.opening import open_engine
    from relay.settings import load

    (folder / "plugins.d").mkdir()
    (folder / "plugins.d" / "tidy.py").write_text(PLUGIN)

    async def start() -> None:
        async with open_engine(load(None, {})) as engine:
            while not await engine.runner.read(lambda c: c.execute("SELECT 1 FROM scheduled_jobs").fetchall()):
                await trio.sleep(0.01)

    trio.run(start)
    (job,) = [json.loads(line) for line in run("plugins", "jobs", "tidy", "--json").output.splitlines()]
    assert (job["schedule"], job["rule"], job["state"], job["attempts"]) == (
        "night", "0 3 * * * Europe/Berlin", "waiting", 0,
    )  # fmt: skip
    assert run("plugins", "run-job", "tidy", "night").output == "tidy night: due now\n"
    (again,) = [json.loads(line) for line in run("plugins", "jobs", "--json").output.splitlines()]
    assert again["next_at"] < job["next_at"]
    (folder / "plugins.d" / "tidy.py").unlink()
    assert "plugin off" in run("plugins", "jobs").output
    assert "it waits all the same: plugin off" in run("plugins", "run-job", "tidy", "night").output
