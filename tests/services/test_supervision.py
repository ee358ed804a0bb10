"""A task that fails begins again, later and later, and says so."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest
import trio

from relay.services.supervision import supervise
from relay.storage.errors import StorageFailed


async def test_what_fails_begins_again_with_a_pause_that_grows(caplog: Any) -> None:
    begun: list[float] = []

    async def run() -> None:
        begun.append(trio.current_time())
        if len(begun) == 9:
            await trio.sleep(100)
        if len(begun) == 11:
            return
        raise ValueError("a fault")

    start = trio.current_time()
    with caplog.at_level(logging.ERROR):
        await supervise("the sweep", run)
    pauses = [round(after - before) for before, after in pairwise(begun)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 101, 2]
    assert begun[0] == start
    assert "the sweep failed; it begins again in 1 s" in caplog.text
    assert "a fault" in caplog.text


async def test_what_is_cancelled_stays_ended() -> None:
    with trio.move_on_after(5) as scope:
        await supervise("sleep", trio.sleep_forever)
    assert scope.cancelled_caught
    with pytest.raises(KeyboardInterrupt):
        await supervise("interrupted", interrupt)


async def interrupt() -> None:
    raise KeyboardInterrupt


async def test_a_failing_disk_is_told_without_a_traceback(caplog: Any) -> None:
    failures = [StorageFailed("the disk is full")]

    async def run() -> None:
        for failure in failures:
            failures.clear()
            raise failure

    await supervise("the sweep", run)
    assert "the sweep failed; it begins again in 1 s" in caplog.text
    assert "Traceback" not in caplog.text
