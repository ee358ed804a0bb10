"""The doors of a node on virtual time: connections wait for a role, and for a leader, and not for ever."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from relay.cluster.door import HOLD_SECONDS, Entrance, FollowersDoor
from relay.settings import Settings
from relay.transports.peer import PeerStream

REQUEST = b"GET %s HTTP/1.1\r\nhost: relay.example\r\n\r\n"


class Way:
    """A way to the leader that answers with what came."""

    async def serve(self, stream: PeerStream) -> None:
        data = await stream.receive_some()
        await stream.send_all(b"passed on: " + data)
        await stream.aclose()


class Condition:
    def __init__(self) -> None:
        self.good = False

    def __call__(self) -> tuple[bool, dict[str, object]]:
        return self.good, {"role": "follower"}


@pytest.fixture
def condition() -> Condition:
    return Condition()


@asynccontextmanager
async def door(condition: Condition) -> AsyncIterator[FollowersDoor]:
    yield FollowersDoor(Settings, None, 0, condition)


async def ask(door: FollowersDoor, path: bytes, nursery: trio.Nursery) -> trio.testing.MemoryReceiveStream | Any:
    client, server = trio.testing.memory_stream_pair()
    nursery.start_soon(door.serve, server)
    await client.send_all(REQUEST % path)
    return client


async def answer(client: Any) -> bytes:
    received = b""
    while data := await client.receive_some():
        received += data
    return received


async def test_a_follower_answers_for_itself(condition: Condition, autojump_clock: trio.testing.MockClock) -> None:
    async with door(condition) as one, trio.open_nursery() as nursery:
        alive = await answer(await ask(one, b"/healthz", nursery))
        assert alive.startswith(b"HTTP/1.1 200 OK\r\n")
        assert alive.endswith(b'{"status":"ok"}')
        waiting = await answer(await ask(one, b"/readyz", nursery))
        assert waiting.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n")
        assert b"application/problem+json" in waiting
        condition.good = True
        assert (await answer(await ask(one, b"/readyz", nursery))).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_everything_else_is_passed_on_as_it_came(
    condition: Condition, autojump_clock: trio.testing.MockClock
) -> None:
    async with door(condition) as one, trio.open_nursery() as nursery:
        one.take(Way())
        assert one.has_way
        assert await answer(await ask(one, b"/", nursery)) == b"passed on: " + REQUEST % b"/"


async def test_a_client_waits_for_the_next_leader(
    condition: Condition, autojump_clock: trio.testing.MockClock
) -> None:
    async with door(condition) as one, trio.open_nursery() as nursery:
        client = await ask(one, b"/ws", nursery)
        await trio.sleep(HOLD_SECONDS - 1)
        one.take(None)
        assert not one.has_way
        await trio.sleep(0.5)
        one.take(Way())
        assert (await answer(client)).startswith(b"passed on: GET /ws")


async def test_a_client_does_not_wait_for_ever(
    condition: Condition, autojump_clock: trio.testing.MockClock
) -> None:
    async with door(condition) as one, trio.open_nursery() as nursery:
        refused = await answer(await ask(one, b"/ws", nursery))
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in refused
        assert b"no leader" in refused
        assert HOLD_SECONDS <= trio.current_time() < HOLD_SECONDS + 2


async def test_what_is_no_request_is_refused(condition: Condition, autojump_clock: trio.testing.MockClock) -> None:
    async with door(condition) as one, trio.open_nursery() as nursery:
        client, server = trio.testing.memory_stream_pair()
        nursery.start_soon(one.serve, server)
        await client.send_all(b"\x00\x01nonsense\r\n\r\n")
        assert (await answer(client)).startswith(b"HTTP/1.1 400 ")


async def connected() -> tuple[trio.SocketStream, trio.SocketStream]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


@pytest.mark.real_time
async def test_a_connection_waits_at_the_entrance_for_a_role() -> None:
    entrance, served = Entrance(), trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b"served")
        await stream.aclose()
        served.set()

    async with trio.open_nursery() as nursery, AsyncExitStack() as clients:

        async def arrive() -> tuple[trio.SocketStream, trio.SocketStream]:
            client, server = await connected()
            return await clients.enter_async_context(client), server

        client, server = await arrive()
        nursery.start_soon(entrance.serve, server)
        await trio.testing.wait_all_tasks_blocked()
        assert not served.is_set()
        entrance.open(serve, nursery)
        assert await client.receive_some() == b"served"
        client, server = await arrive()
        await entrance.serve(server)
        assert await client.receive_some() == b"served"
        entrance.close()
        client, server = await arrive()
        async with trio.open_nursery() as ending:
            ending.start_soon(entrance.serve, server)
            await trio.testing.wait_all_tasks_blocked()
            ending.cancel_scope.cancel()
        assert await client.receive_some() == b""  # who waits when the node ends is cut
