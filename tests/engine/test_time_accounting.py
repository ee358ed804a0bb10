"""Tests of time accounting: a wait for relay is not charged to the plugin."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import trio

from relay.engine.guard import Guard, PluginFailed, Rules
from relay.engine.time_accounting import waiting_for_relay
from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.errors import StorageFailed


def guard(**rules: Any) -> Guard:
    return Guard("odd", Rules(clock=trio.lowlevel.current_clock().current_time, **rules))


async def test_what_it_waits_for_at_relay_is_no_fault_of_the_plugins() -> None:
    made = guard(seconds=5)

    async def waits_its_turn() -> None:
        with waiting_for_relay():
            await trio.sleep_forever()

    async def has_had_its_turn() -> None:
        with waiting_for_relay() as wait:
            wait.ends_with(lambda connection: None)(sqlite3.connect(":memory:"))
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
