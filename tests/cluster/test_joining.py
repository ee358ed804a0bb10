"""A follower's link to the leader, on real sockets: made, lost, made anew, and given up for another leader's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from relay.cluster import port
from relay.cluster.beats import LEADER, Beat, Heard, encode_beat
from relay.cluster.door import PassesOn
from relay.cluster.joining import keep_link
from relay.cluster.port import NodePort, Purpose
from tests.cluster.memory import MemoryBus, MemoryLog

pytestmark = pytest.mark.real_time
PATIENCE = 60.0


class Ways:
    """The ways to a leader that a follower was given."""

    def __init__(self) -> None:
        self.now: PassesOn | None = None
        self.changed = trio.Event()

    def take(self, way: PassesOn | None) -> None:
        self.now = way
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, there: bool) -> None:
        with trio.fail_after(PATIENCE):
            while (self.now is not None) is not there:
                await self.changed.wait()


class Follower:
    def __init__(self) -> None:
        log = MemoryLog()
        self.bus = MemoryBus(log)
        self.heard = Heard("first", self.bus, 1.0)
        self.ways = Ways()

    async def hear(self, term: int, node: str, address: str, key: str = "key") -> None:
        with trio.fail_after(PATIENCE):
            while not self.bus.log.listeners[LEADER]:
                await trio.sleep(0.001)
        await self.bus.publish(LEADER, encode_beat(Beat(node, term, 1, address=address, key=key)))


@pytest.fixture
async def follower(nursery: trio.Nursery) -> Follower:
    found = Follower()
    nursery.start_soon(found.heard.run)
    nursery.start_soon(keep_link, "first", found.heard, PATIENCE, None, found.ways.take)
    return found


@asynccontextmanager
async def leader(term: int, serve: Callable[[trio.abc.Stream, str], Awaitable[object]]) -> AsyncIterator[str]:
    """Run a leader's node port; yield its address."""
    nodes = NodePort()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nodes.serve, listeners)
        async with nodes.admitting(term, "key", {Purpose.LINK: serve}):
            yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def hold(stream: trio.abc.Stream, _node: str) -> None:
    async with stream:
        await trio.sleep_forever()


async def test_a_link_is_made_and_made_anew(follower: Follower, caplog: pytest.LogCaptureFixture) -> None:
    async with leader(1, hold) as address:
        await follower.hear(1, "second", address)
        await follower.ways.until(True)
    await follower.ways.until(False)
    assert "the link to the leader second is over" in caplog.text
    async with leader(2, hold) as address:
        await follower.hear(2, "second", address)
        await follower.ways.until(True)


async def test_another_leader_is_linked_to_though_the_old_one_is_there(follower: Follower) -> None:
    async with leader(1, hold) as old, leader(2, hold) as new:
        await follower.hear(1, "second", old)
        await follower.ways.until(True)
        before = follower.ways.now
        await follower.hear(2, "third", new)
        with trio.fail_after(PATIENCE):
            while follower.ways.now in (None, before):
                await follower.ways.changed.wait()


async def test_a_leader_that_is_stopped_is_not_waited_for_once_another_leads(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "_HELLO_SECONDS", 100 * PATIENCE)
    [deaf] = await trio.open_tcp_listeners(0, host="127.0.0.1")  # takes connections, and says nothing
    async with deaf, leader(2, hold) as new:
        await follower.hear(1, "second", f"127.0.0.1:{deaf.socket.getsockname()[1]}")
        with trio.fail_after(PATIENCE):
            stream = await deaf.accept()
        async with stream:
            await follower.hear(2, "third", new)
            await follower.ways.until(True)


async def test_a_leader_that_refuses_is_told_once(follower: Follower, caplog: pytest.LogCaptureFixture) -> None:
    async with leader(1, hold) as address:
        await follower.hear(1, "second", address, key="another")
        with trio.fail_after(PATIENCE):
            while "no link to the leader second" not in caplog.text:
                await trio.sleep(0.01)
        await trio.sleep(0.5)
        assert caplog.text.count("no link to the leader second") == 1
        await follower.hear(1, "second", address)
        await follower.ways.until(True)
