"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio.testing

from tests.client.peer import Peer, scripted


@pytest.fixture
async def peer(autojump_clock: trio.testing.MockClock) -> AsyncIterator[Peer]:
    with trio.fail_after(100_000):
        async with scripted() as peer:
            yield peer
