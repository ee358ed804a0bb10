"""Expiry: each message at its time, whatever the disk, the clock and other messages do meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.services.channels import Conversation
from relay.services.expiry import Expiry
from relay.services.submission import Submission
from relay.storage.conversations import load_channel
from relay.storage.errors import StorageFailed
from relay.storage.log import Log
from tests.storage.books import message
from tests.storage.opening import opened


class Place:
    """A log whose messages expire, and a clock that can be set."""

    def __init__(self, runner: Any, conversation: Conversation) -> None:
        self.runner = runner
        self.conversation = conversation
        self.log = Log()
        self.set_forward = 0.0
        self.expiry = Expiry(runner, self.now)

    def now(self) -> float:
        return trio.current_time() + self.set_forward

    async def say(self, seconds: float) -> None:
        """Store a message that expires after some seconds."""
        entry = message()
        entry.expires_at = self.now() + seconds
        await self.runner.write(lambda connection: self.log.append(connection, [entry], self.now()))
        self.expiry.observe(Submission(entry, self.conversation, None))

    async def left(self) -> list[int]:
        rows = await self.runner.read(
            lambda connection: connection.execute("SELECT seq FROM log WHERE deleted_at IS NULL").fetchall()
        )
        return [row[0] for row in rows]


@pytest.fixture
async def place(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> AsyncIterator[Place]:
    async with opened(tmp_path, inline=True) as runner:
        row = await runner.read(lambda connection: load_channel(connection, "*"))
        assert row is not None
        found = Place(runner, Conversation(row))
        nursery.start_soon(found.expiry.run)
        yield found
        nursery.cancel_scope.cancel()


async def test_one_that_comes_later_and_expires_first_does_so(place: Place) -> None:
    await place.say(100)
    await trio.sleep(1)
    await place.say(10)
    await trio.sleep(9.9)
    assert await place.left() == [1, 2]
    await trio.sleep(0.2)
    assert await place.left() == [1]
    await trio.sleep(90)
    assert await place.left() == []


async def test_more_than_one_transaction_takes_are_gone_at_once(place: Place) -> None:
    for _ in range(450):
        await place.say(10)
    await trio.sleep(10.1)
    assert await place.left() == []


async def test_a_disk_that_fails_once_delays_them_by_seconds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.say(10)
    with monkeypatch.context() as broken:

        async def fail(_job: Any) -> None:
            raise StorageFailed("the disk fails")

        broken.setattr(place.runner, "write", fail)
        await trio.sleep(11)
    assert await place.left() == [1]
    await trio.sleep(5)
    assert await place.left() == []


async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute(place: Place) -> None:
    await place.say(10 * 86_400)
    await trio.sleep(1)
    place.set_forward = 20 * 86_400
    await trio.sleep(60)
    assert await place.left() == []


async def test_while_no_message_expires_the_database_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trio.sleep(1)
    with monkeypatch.context() as closed:
        closed.setattr(place.runner, "read", None)
        await trio.sleep(86_400)
    await place.say(10)
    await trio.sleep(10.1)
    assert await place.left() == []
