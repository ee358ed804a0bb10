"""A world with four people in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.transports.rest.world import World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, "alice", "bob", "carol", "dave") as world:
        yield world
