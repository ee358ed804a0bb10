"""Tests of the guard: what counts as a failure of the plugin, and what does not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.guard import Guard, Rules
from relay.engine.loader import load_plugins
from relay.settings import Settings
from relay.storage.health import is_the_disks


def guard(**rules: Any) -> Guard:
    return Guard("odd", Rules(clock=trio.lowlevel.current_clock().current_time, **rules))


async def test_a_failure_is_counted_on_any_thread() -> None:
    registry = load_plugins(Settings(), {})
    made = Guard("odd", registry.rules)
    await trio.to_thread.run_sync(made.failed, "stored", ValueError("on purpose"))
    assert (made.failures, made.last) == (1, "stored: ValueError: on purpose")
    await trio.sleep(100)
    assert registry.rules.clock() == pytest.approx(trio.current_time())


async def test_faults_beside_a_cancellation_are_counted_and_do_not_outlive_it() -> None:
    made = guard(seconds=1e9)

    async def fails_as_it_ends() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_as_it_ends)
            await trio.sleep_forever()

    with trio.move_on_after(5) as scope:
        await made.call_async("task", run)
    assert (scope.cancelled_caught, made.failures) == (True, 1)


def test_a_lock_that_a_plugin_holds_is_no_failure_of_the_disks(tmp_path: Path) -> None:
    one, two = (sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0) for _ in "ab")
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as locked:
        two.execute("BEGIN IMMEDIATE")
    assert not is_the_disks(locked.value)
    with pytest.raises(sqlite3.OperationalError) as missing:
        one.execute("ATTACH '/no/such/folder/a.db' AS b")
    assert not is_the_disks(missing.value)
    one.execute("COMMIT")
    one.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as full:
        one.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
    assert is_the_disks(full.value)
    one.close()
    two.close()
