"""The pytest plugin: the fixture `relay_world`; tests that use it may be async, and run on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from relay.testing.clock import jumping_clock

if TYPE_CHECKING:
    from relay.testing.world import World

RelayWorld = Callable[..., AbstractAsyncContextManager["World"]]
"""`relay_world(folder, *users, **environ)`: see the fixture."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have pytest-trio run the tests that use `relay_world`, on a clock that jumps.

    pytest-trio takes a clock from a test's own arguments only, not from those of its fixtures.
    """
    for item in items:
        if "relay_world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.trio(run=run_on_virtual_time), append=False)


def run_on_virtual_time(main: Callable[[], Any], *, clock: trio.abc.Clock | None, instruments: Any) -> Any:
    """Run an async test, for pytest-trio, on a clock that jumps to the next deadline whenever all tasks wait."""
    return trio.run(main, clock=clock or jumping_clock(), instruments=instruments)


@pytest.fixture
def relay_world(tmp_path: Path) -> RelayWorld:
    """Start servers in memory for a test.

    Write `async with relay_world(folder, "alice", "bob") as world`. `folder` holds the plugins to load besides the
    bundled ones, or is None; the users are created, each with a token. Settings are given as variables:
    `relay_world(None, RELAY_REPLAY__LIMIT="10")`. Time is virtual: it jumps to the next deadline whenever all
    tasks wait.
    """
    from relay.testing.world import world

    count = 0

    @asynccontextmanager
    async def run(folder: Path | None, *users: str, **environ: str) -> AsyncIterator[World]:
        nonlocal count
        count += 1
        place = tmp_path / f"relay-{count}"
        place.mkdir()
        folders = str(folder) if folder is not None else "[]"
        async with world(place, *users, **{"RELAY_PLUGINS__DIRECTORIES": folders, **environ}) as running:
            for broken in running.engine.registry.broken:
                raise AssertionError(str(broken))
            yield running

    return run
