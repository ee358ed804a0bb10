"""What whoever watches the server asks."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import trio
import trio.testing

from relay.storage.errors import StorageFailed
from tests.transports.rest.world import World

GOOD = {"accepting": True, "database_reads": True, "database_writes": True, "required_plugins": True}


class FailingDisk:
    """A runner whose disk has failed in one direction."""

    def __init__(self, runner: Any, fails: str) -> None:
        self._runner, self._fails = runner, fails
        self.health = runner.health
        self.jobs = 0

    async def read(self, job: Any) -> Any:
        self.jobs += 1
        if self._fails == "reads":
            raise sqlite3.OperationalError("disk I/O error in /home/somebody/relay.db")
        return await self._runner.read(job)

    async def write(self, job: Any) -> Any:
        self.jobs += 1
        if self._fails == "writes":
            raise StorageFailed("disk full: /home/somebody/relay.db")
        if self._fails == "time":
            await trio.sleep_forever()
        return await self._runner.write(job)


async def test_a_process_that_answers_lives(world: World):
    assert (await world.get(None, "/healthz")).ok() == {"status": "ok"}
    world.engine.drain.begin()
    assert (await world.get(None, "/healthz")).ok() == {"status": "ok"}


async def test_a_server_whose_database_reads_and_writes_is_ready(world: World):
    assert (await world.get(None, "/readyz")).ok() == {"status": "ready", "checks": GOOD}


async def test_a_draining_server_is_not_ready_and_takes_no_calls(world: World):
    world.engine.drain.begin()
    answer = await world.get(None, "/readyz")
    assert answer.refused(503, "overloaded")["checks"] == GOOD | {"accepting": False}
    refused = await world.get("alice", "/api/conversations")
    assert refused.refused(503, "overloaded")["retry"] is True
    assert refused.headers["Retry-After"] == "2"


@pytest.mark.parametrize("fails", ["reads", "writes", "time"])
async def test_a_failing_database_is_told_without_its_path(
    world: World, fails: str, monkeypatch: pytest.MonkeyPatch
):
    disk: Any = FailingDisk(world.engine.runner, fails)
    with monkeypatch.context() as patch:
        patch.setattr(world.engine, "runner", disk)
        answer = await world.get(None, "/readyz")
    problem = answer.refused(503, "overloaded")
    failing = "database_reads" if fails == "reads" else "database_writes"
    assert problem["checks"] == GOOD | {failing: False}
    assert "somebody" not in str(problem)
    await trio.sleep(1)
    (await world.get(None, "/readyz")).ok()


async def test_many_probes_cost_one_write(world: World, monkeypatch: pytest.MonkeyPatch):
    await trio.testing.wait_all_tasks_blocked()  # plugins read when they begin
    disk: Any = FailingDisk(world.engine.runner, "nothing")
    with monkeypatch.context() as patch:
        patch.setattr(world.engine, "runner", disk)
        for _ in range(20):
            (await world.get(None, "/readyz")).ok()
        assert disk.jobs == 2
        await trio.sleep(1)
        (await world.get(None, "/readyz")).ok()
        assert disk.jobs == 4
