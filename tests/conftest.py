"""Rules and fixtures of all tests: virtual time, and a whole server in memory."""

import dataclasses
import gc
import inspect
import os
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings
from trio.testing import MockClock

from relay.services import passwords
from relay.testing import World
from relay.testing import world as open_world
from relay.testing.clock import jumping_clock
from relay.testing.pytest_plugin import run_on_virtual_time

# No test is timed: on a busy machine an example may take as long as it likes.
settings.register_profile("relay", deadline=None)
settings.load_profile("relay")

# A hash that costs what it should takes as long as a whole test, on a thread, and time would be virtual meanwhile.
TRUE_COST = passwords.COST
passwords.COST = dataclasses.replace(TRUE_COST, time_cost=1, memory_cost=8, parallelism=1)  # type: ignore[misc]


REAL = ("e2e", "real_time")
"""The marks of tests that run on the real clock; a file that has such tests has the mark's name in its text."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files alone that have none of the tests which `-m "e2e or real_time"` asks for: an import takes longer than a look."""
    wanted = config.option.markexpr.split(" or ")
    if collection_path.suffix != ".py" or not set(wanted) <= set(REAL):
        return None
    return None if any(name in _text(collection_path) for name in wanted) else True


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run async tests on a clock that jumps to the next deadline, except those marked `real_time` or `e2e`.

    The `long` ones begin first: one that began last would run alone, while all other processors have nothing to do.
    Several processes take files as if they were shuffled, so that some compute while others wait.
    """
    shuffled = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(
        key=lambda item: (
            item.get_closest_marker("long") is None,
            crc32(item.nodeid.partition("::")[0].encode()) if shuffled else 0,
        )
    )
    for item in items:
        is_async = inspect.iscoroutinefunction(getattr(item, "obj", None))
        real = next(filter(None, map(item.get_closest_marker, REAL)), None)
        if real is not None and real.name not in _text(item.path):
            raise pytest.UsageError(f"{item.nodeid} is marked {real.name}, and its file does not name that mark")
        if is_async and real is None:
            item.add_marker(pytest.mark.trio(run=run_on_virtual_time), append=False)


@pytest.fixture
def autojump_clock() -> MockClock:
    """Give a test virtual time; pytest-trio's own fixture of this name has a clock that never rests."""
    return jumping_clock()


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Give a test a server in memory with the users alice and bob.

    `@pytest.mark.world("alice", "carol", RELAY_REPLAY__LIMIT="10")` names other users, and settings as in the
    environment.
    """
    marker = request.node.get_closest_marker("world")
    users, environ = (("alice", "bob"), {}) if marker is None else (marker.args, marker.kwargs)
    async with open_world(tmp_path, *users, **environ) as running:
        yield running


def pytest_collection() -> None:
    """Collect no garbage while tests are collected: nearly all that is made then stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Set all that is imported and collected apart, and then look for garbage less often, as the server itself does.

    With Python's own thresholds an eighth of the tests' time went into it.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
