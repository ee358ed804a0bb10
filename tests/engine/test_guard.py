"""Between a plugin and the server: whose fault what is, on whichever thread, and shields that do not hold for ever."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.engine.assembling import load_plugins
from relay.engine.guard import Guard, PluginFailed, Rules
from relay.engine.hooks import SLICE_CHARACTERS, slices
from relay.engine.own_time import others_time
from relay.engine.unshielding import GRACE_SECONDS
from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import Kind
from relay.settings import Settings
from relay.storage.errors import StorageFailed
from relay.storage.health import is_the_disks
from relay.storage.log import Entry


def guard(**rules: Any) -> Guard:
    return Guard("odd", Rules(clock=trio.lowlevel.current_clock().current_time, **rules))


async def test_a_failure_is_counted_on_any_thread() -> None:
    registry = load_plugins(Settings(), {})
    made = Guard("odd", registry.rules)
    await trio.to_thread.run_sync(made.failed, "stored", ValueError("on purpose"))
    assert (made.failures, made.last) == (1, "stored: ValueError: on purpose")
    await trio.sleep(100)
    assert registry.rules.clock() == pytest.approx(trio.current_time())


async def test_what_it_waits_for_at_relay_is_no_fault_of_the_plugins() -> None:
    made = guard(seconds=5)

    async def waits_its_turn() -> None:
        with others_time():
            await trio.sleep_forever()

    async def has_had_its_turn() -> None:
        with others_time() as turn:
            turn.of(lambda connection: None)(sqlite3.connect(":memory:"))
            await trio.sleep_forever()

    async def finds_the_disk_full() -> None:
        raise StorageFailed("full")

    with pytest.raises(RelayError) as busy:
        await made.call_async("view", waits_its_turn)
    assert busy.value.code is ErrorCode.OVERLOADED
    with pytest.raises(StorageFailed):
        await made.call_async("view", finds_the_disk_full)
    assert made.failures == 0
    with pytest.raises(PluginFailed):
        await made.call_async("view", has_had_its_turn)
    assert made.failures == 1


async def test_a_shield_keeps_a_deadline_off_for_a_grace_only() -> None:
    made = guard(seconds=5)
    tidied: list[float] = []

    async def tidies_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                tidied.append(trio.current_time())

    async def hides() -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hides_further)
                await trio.sleep_forever()

    async def hides_further() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.rules.shields.run)
        began = trio.current_time()
        with pytest.raises(PluginFailed):
            await made.call_async("handle", tidies_up)
        assert tidied == [began + 6]
        began = trio.current_time()
        with pytest.raises(PluginFailed):
            await made.call_async("handle", hides)
        assert trio.current_time() == began + 5 + GRACE_SECONDS
        made.rules.shields.stop()


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


def entry(characters: int) -> Entry:
    return Entry(1, "t", Kind.STREAM, "alice", "bob", None, None, None, "x" * characters, None)


def test_one_call_of_stored_has_so_much_text_and_a_longer_message_comes_alone() -> None:
    few = [entry(100) for _ in range(300)]
    assert [part is few for part in slices(few)] == [True]
    long = [entry(20_000), entry(20_000), entry(10), entry(SLICE_CHARACTERS * 2), entry(5), entry(5)]
    assert [[len(one.payload) for one in part] for part in slices(long)] == [
        [20_000], [20_000, 10], [SLICE_CHARACTERS * 2], [5, 5],
    ]  # fmt: skip
    assert list(slices([])) == []


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
