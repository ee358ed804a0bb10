"""Plugins' jobs at set times: when they run, how often, and what a failure, a restart and a set clock change of it."""

from __future__ import annotations

import textwrap
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio

from relay.engine.opening import open_engine
from relay.plugin import ErrorCode, RelayError, cron
from relay.settings import load
from relay.testing import EPOCH, World
from relay.testing import world as open_world
from relay.testing.world import serving
from tests.engine.test_misbehaving import metrics

PLUGIN = """
import trio
from relay.plugin import ErrorCode, RelayError, Schedule, cron, every, hookimpl

async def run(server, job):
    runs = server.memory.setdefault("runs", [])
    runs.append((server.now(), job))
    what = job.data.get("what")
    if what == "raise" and job.attempt <= job.data.get("times", 99):
        raise ValueError("broken")
    if what == "refuse":
        raise RelayError(ErrorCode.NOT_FOUND, "gone")
    if what == "busy" and len(runs) <= job.data["times"]:
        raise RelayError(ErrorCode.OVERLOADED, "later", retry_after=20)
    if what == "wait":
        await trio.sleep(job.data["seconds"])
    server.memory.setdefault("done", []).append(job.key or job.schedule)

@hookimpl
def relay_schedules(options):
    found = [Schedule(name="once", run=run)]
    if "every" in options:
        found.append(Schedule(name="often", run=run, when=every(options["every"])))
    if "cron" in options:
        found.append(Schedule(name="morning", run=run, when=cron(options["cron"], zone="Europe/Berlin")))
    return found
"""


def placed(folder: Path, code: str = PLUGIN, **environ: str) -> dict[str, str]:
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "odd.py").write_text(textwrap.dedent(code))
    return {"RELAY_PLUGINS__DIRECTORIES": str(plugins), **environ}


@asynccontextmanager
async def scheduled(folder: Path, options: str = "", **environ: str) -> Any:
    """Run a server with the plugin `odd`; its options are as in TOML."""
    config = folder / "relay.toml"
    config.write_text(f"[plugins.odd]\n{options}\n")
    given = {"RELAY_STORAGE__PATH": str(folder / "relay.db"), **placed(folder, **environ)}
    async with serving(load(config, given)) as world:
        assert world.engine.registry.broken == []
        yield world


def runs(world: World) -> list[tuple[float, Any]]:
    return world.engine.server_of("odd").memory.get("runs", [])


def times(world: World) -> list[float]:
    return [round(at - EPOCH, 1) for at, _job in runs(world)]


async def test_a_job_runs_once_at_its_time_with_its_data(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        jobs, now = world.engine.server_of("odd").jobs, world.engine.now()
        key = await jobs.add("once", at=now + 86_400, data={"to": "bob"})
        (waits,) = await jobs.waiting("once")
        assert (waits.key, waits.data, waits.attempt) == (key, {"to": "bob"}, 0)
        await trio.sleep(86_399)
        assert runs(world) == []
        await trio.sleep(1000)
        ((at, job),) = runs(world)
        assert (at, job.due_at, job.key, job.data) == (now + 86_400, now + 86_400, key, {"to": "bob"})
        assert (job.run_id, job.attempt) == (waits.run_id, 1)
        assert await jobs.waiting("once") == []


async def test_a_job_of_the_same_key_replaces_the_first_and_one_that_is_removed_never_runs(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        jobs, now = world.engine.server_of("odd").jobs, world.engine.now()
        await jobs.add("once", at=now + 100, key="a")
        await jobs.add("once", at=now + 300, key="a")
        await jobs.add("once", at=now + 200, key="b")
        assert [await jobs.remove("once", "b"), await jobs.remove("once", "b")] == [True, False]
        await jobs.add("once", at=now - 5, key="late")
        await trio.sleep(400)
        assert [(at, job.key) for at, job in runs(world)] == [(now, "late"), (now + 300, "a")]


async def test_what_a_job_replaces_while_it_runs_is_not_lost(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        jobs, now = world.engine.server_of("odd").jobs, world.engine.now()
        await jobs.add("once", at=now, key="a", data={"what": "wait", "seconds": 30})
        await trio.sleep(10)
        await jobs.add("once", at=now + 50, key="a")
        await trio.sleep(100)
        first, second = (job for _at, job in runs(world))
        assert first.run_id != second.run_id
        assert times(world) == [0, 50]


async def test_a_job_commits_with_what_is_written_beside_it_or_not_at_all(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        server = world.engine.server_of("odd")

        def fails(connection: Any) -> None:
            server.jobs.add_inside(connection, "once", at=server.now() + 5, key="undone")
            raise RelayError(ErrorCode.CONFLICT, "no")

        with pytest.raises(RelayError):
            await server.write(fails)
        await server.write(lambda c: server.jobs.add_inside(c, "once", at=server.now() + 5, key="kept"))
        await trio.sleep(10)
        assert [job.key for _at, job in runs(world)] == ["kept"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"schedule": "onec", "at": 1.0}, "did you mean once"),
        ({"schedule": "often", "at": 1.0}, "no schedule without a `when`"),
        ({"schedule": "once", "at": float("nan")}, "it is Unix seconds"),
        ({"schedule": "once", "at": 1.0, "key": ""}, "1 to 200 characters"),
        ({"schedule": "once", "at": 1.0, "data": [1]}, "it is a dict"),
        ({"schedule": "once", "at": 1.0, "data": {"x": object()}}, "a dict that JSON can say"),
        ({"schedule": "once", "at": 1.0, "data": {"x": "y" * 20_000}}, "may have 16384"),
    ],
)
async def test_a_wrong_job_is_refused_with_what_is_right(tmp_path: Path, given: Any, told: str) -> None:
    async with scheduled(tmp_path, 'every = "10m"') as world:
        with pytest.raises(ValueError, match=told):
            await world.engine.server_of("odd").jobs.add(**given)


async def test_a_plugin_has_only_so_many_jobs(tmp_path: Path) -> None:
    async with scheduled(tmp_path, RELAY_PLUGINS__SCHEDULED_JOBS="2") as world:
        jobs, soon = world.engine.server_of("odd").jobs, world.engine.now() + 60
        for key in ("a", "b", "b"):
            await jobs.add("once", at=soon, key=key)
        with pytest.raises(RelayError, match="has 2 jobs that wait"):
            await jobs.add("once", at=soon, key="c")
        await trio.sleep(61)
        await jobs.add("once", at=soon, key="c")


async def test_a_rule_runs_by_elapsed_time_or_by_the_clock_of_its_zone(tmp_path: Path) -> None:
    # The clock begins on Tuesday, 14 November 2023, at 23:13:20 in Berlin.
    async with scheduled(tmp_path, 'every = "10h"\ncron = "0 9 * * 1-5"') as world:
        await trio.sleep(7 * 86_400)
        found: dict[str, list[float]] = {"often": [], "morning": []}
        for at, job in runs(world):
            found[job.schedule].append(at)
        assert [at - EPOCH for at in found["often"]] == [36_000 * (n + 1) for n in range(16)]
        told = [datetime.fromtimestamp(at).astimezone().timestamp() for at in found["morning"]]
        assert [(at - EPOCH - 35_200) / 86_400 for at in told] == [0, 1, 2, 5, 6]
        assert len({job.run_id for _at, job in runs(world)}) == 21


async def test_runs_that_were_missed_while_the_server_was_off_are_one_and_a_job_runs_late(tmp_path: Path) -> None:
    options = 'every = "10m"\ncron = "0 * * * *"'
    async with scheduled(tmp_path, options) as world:
        await world.engine.server_of("odd").jobs.add("once", at=EPOCH + 2000, key="late")
        await trio.sleep(100)
    database = tmp_path / "relay.db"
    assert database.exists()
    async with shifted(tmp_path, options, 50_000) as (engine, _move):
        await trio.sleep(1)
        seen = engine.server_of("odd").memory["runs"]
        assert sorted(job.schedule for _at, job in seen) == ["morning", "often", "once"]
        assert {round(job.due_at - EPOCH) for _at, job in seen} == {600, 2000, 2800}
        await trio.sleep(600)
        assert [job.schedule for _at, job in seen[3:]] == ["often"]


@asynccontextmanager
async def shifted(folder: Path, options: str, seconds: float = 0.0) -> Any:
    """Run an engine whose wall clock is ahead; the second value sets it."""
    config = folder / "relay.toml"
    config.write_text(f"[plugins.odd]\n{options}\n")
    settings = load(config, {"RELAY_STORAGE__PATH": str(folder / "relay.db"), **placed(folder)})
    began, shift = trio.current_time(), [seconds]

    def now() -> float:
        return EPOCH + shift[0] + trio.current_time() - began

    async with open_engine(settings, now=now, inline=True) as engine:
        yield engine, lambda by: shift.__setitem__(0, shift[0] + by)


async def test_a_clock_that_is_set_moves_the_clocks_jobs_and_not_those_of_elapsed_time(tmp_path: Path) -> None:
    async with shifted(tmp_path, 'every = "1h"\ncron = "0 0 * * *"') as (engine, move):
        seen: list[Any] = engine.server_of("odd").memory.setdefault("runs", [])
        began = trio.current_time()
        await trio.sleep(1800)
        move(-86_400)
        await trio.sleep(1700)
        assert [job.schedule for _at, job in seen] == []
        await trio.sleep(101)
        assert [job.schedule for _at, job in seen] == ["often"]
        assert trio.current_time() - began < 3602
        move(86_400 * 2)  # past midnight: told within a minute
        await trio.sleep(61)
        assert [job.schedule for _at, job in seen] == ["often", "morning"]
        move(-7200)  # the day's end comes again, and the job does not
        await trio.sleep(3 * 3600)
        assert [job.schedule for _at, job in seen].count("morning") == 1


async def test_what_fails_is_tried_again_with_the_same_run_id_and_given_up_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scheduled(tmp_path, RELAY_PLUGINS__QUARANTINE_FAILURES="0") as world:
        server, now = world.engine.server_of("odd"), world.engine.now()
        await server.jobs.add("once", at=now, key="a", data={"what": "raise"})
        await trio.sleep(86_400)
        pauses = [1, 5, 30, 120, 600, 1800, 3600, 3600, 3600, 3600, 3600]
        assert times(world) == [sum(pauses[:n]) for n in range(12)]
        assert [job.attempt for _at, job in runs(world)] == list(range(1, 13))
        assert len({job.run_id for _at, job in runs(world)}) == 1
        assert "is given up after 12 attempts" in caplog.text
        assert server.counts["jobs", "given_up"] == 1
        assert await server.jobs.waiting("once") == []


async def test_a_refusal_ends_a_job_and_a_busy_server_does_not(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        server, now = world.engine.server_of("odd"), world.engine.now()
        await server.jobs.add("once", at=now, key="a", data={"what": "refuse"})
        await trio.sleep(100)
        assert (times(world), server.failures, server.counts["jobs", "refused"]) == ([0], 0, 1)
        runs(world).clear()
        await server.jobs.add("once", at=now, key="b", data={"what": "busy", "times": 30})
        await trio.sleep(1000)
        assert times(world) == [100 + 20 * n for n in range(31)]
        assert {job.attempt for _at, job in runs(world)} == {1}
        assert server.failures == 0


async def test_a_job_that_takes_too_long_is_ended_and_others_wait_for_it(tmp_path: Path) -> None:
    async with scheduled(tmp_path) as world:
        server, now = world.engine.server_of("odd"), world.engine.now()
        await server.jobs.add("once", at=now, key="a", data={"what": "wait", "seconds": 50})
        await server.jobs.add("once", at=now, key="b", data={"what": "wait", "seconds": 500})
        await server.jobs.add("once", at=now + 1, key="c")
        await trio.sleep(111)
        assert [(round(at - now), job.key) for at, job in runs(world)] == [(0, "a"), (50, "b"), (110, "c")]
        assert server.memory["done"] == ["a", "c"]
        assert "TooSlowError" in str(world.engine.registry.guard("odd").last)


async def test_in_quarantine_jobs_wait_and_run_after_the_resume(tmp_path: Path) -> None:
    async with scheduled(tmp_path, RELAY_PLUGINS__QUARANTINE_FAILURES="2") as world:
        server, now = world.engine.server_of("odd"), world.engine.now()
        guard = world.engine.registry.guard("odd")
        await server.jobs.add("once", at=now, key="a", data={"what": "raise", "times": 2})
        await server.jobs.add("once", at=now + 50, key="b")
        await trio.sleep(500)
        assert guard.quarantined
        assert [job.key for _at, job in runs(world)] == ["a", "a"]
        assert [(job.key, job.attempt) for job in await server.jobs.waiting("once")] == [("a", 2), ("b", 0)]
        figures = await metrics(world)
        assert b'relay_plugin_jobs_overdue_seconds{plugin="odd"} 494.' in figures
        assert b'relay_plugin_counted_total{kind="failed",plugin="odd",what="jobs"} 2.0' in figures
        guard.resume()
        await trio.sleep(1)
        assert server.memory["done"] == ["a", "b"]
        assert [(job.key, job.attempt) for _at, job in runs(world)[2:]] == [("a", 3), ("b", 1)]


async def test_a_run_that_a_crash_cut_short_begins_again_with_the_same_run_id(tmp_path: Path) -> None:
    async with scheduled(tmp_path, 'every = "1h"') as world:
        server, now = world.engine.server_of("odd"), world.engine.now()
        await server.jobs.add("once", at=now + 10, key="a", data={"what": "wait", "seconds": 30})
        await trio.sleep(20)
        ((_at, cut),) = runs(world)
        async with world.after_crash(tmp_path / "again") as again:
            await trio.sleep(1)
            ((_at, job),) = runs(again)
            assert (job.run_id, job.attempt, job.due_at) == (cut.run_id, 2, cut.due_at)
            await trio.sleep(40)
            assert again.engine.server_of("odd").memory["done"] == ["a"]
            assert await again.engine.server_of("odd").jobs.waiting("once") == []


async def test_a_job_that_takes_the_server_down_each_time_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scheduled(tmp_path) as world:
        await world.engine.server_of("odd").jobs.add("once", at=EPOCH + 100, key="a")
        await world.engine.runner.write(
            lambda c: c.execute("UPDATE scheduled_jobs SET attempts = 12, began_at = 1")
        )
        await trio.sleep(200)
        assert runs(world) == []
        assert await world.engine.server_of("odd").jobs.waiting("once") == []
    assert "job 'once', 'a' is given up after 12 attempts: its runs were cut short" in caplog.text


async def test_jobs_of_a_schedule_that_is_gone_wait_for_it_and_a_rule_that_changed_gets_a_new_time(
    tmp_path: Path,
) -> None:
    async with scheduled(tmp_path, 'every = "1h"\ncron = "0 9 * * *"') as world:
        await world.engine.server_of("odd").jobs.add("once", at=EPOCH + 100, key="a")
    without = PLUGIN.replace('[Schedule(name="once", run=run)]', "[]")
    (tmp_path / "plugins" / "odd.py").write_text(without)
    async with open_world(tmp_path, RELAY_PLUGINS__DIRECTORIES=str(tmp_path / "plugins")) as world:
        await trio.sleep(5000)
        assert runs(world) == []
    async with scheduled(tmp_path, 'every = "10m"') as world:
        await trio.sleep(700)
        assert [(job.key or job.schedule) for _at, job in runs(world)] == ["a", "often"]
        assert times(world)[1] == pytest.approx(times(world)[0] + 600)


def test_a_cron_time_comes_once_where_a_clock_is_changed() -> None:
    def days(expression: str, zone: str, begin: str, count: int) -> list[str]:
        when, place = cron(expression, zone), ZoneInfo(zone)
        moment = datetime.fromisoformat(begin).replace(tzinfo=place).timestamp()
        found = []
        for _ in range(count):
            moment = when.next(moment, moment)
            found.append(datetime.fromtimestamp(moment, place).isoformat()[5:])
        return found

    # 2:30 is not there on 31 March 2024, and twice on 27 October 2024.
    assert days("30 2 * * *", "Europe/Berlin", "2024-03-30T00:00", 3) == [
        "03-30T02:30:00+01:00", "03-31T03:00:00+02:00", "04-01T02:30:00+02:00",
    ]  # fmt: skip
    assert days("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00", 2) == [
        "10-27T02:30:00+02:00", "10-28T02:30:00+01:00",
    ]  # fmt: skip
    assert days("0 * * * *", "Europe/Berlin", "2024-10-27T00:30", 4) == [
        "10-27T01:00:00+02:00", "10-27T02:00:00+02:00", "10-27T02:00:00+01:00", "10-27T03:00:00+01:00",
    ]  # fmt: skip
    # In the hour that comes twice, the first of them has passed.
    second = datetime.fromisoformat("2024-10-27T02:10:00+01:00").timestamp()
    assert (
        cron("30 2 * * *", "Europe/Berlin").first(second)
        == datetime.fromisoformat("2024-10-28T02:30:00+01:00").timestamp()
    )
