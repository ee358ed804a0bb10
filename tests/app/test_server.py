"""The nursery tree and its drain, on loopback ports and on virtual time."""

from __future__ import annotations

import gc
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from relay.app.server import announce, drain, http_server, serve
from relay.engine.opening import open_engine
from relay.services.heartbeat import HeartbeatSupervisor
from relay.storage.errors import StorageError
from relay.testing import EPOCH, UPGRADE, World, settings_for
from relay.transports.front_door import FrontDoor
from relay.transports.listening import CannotListen, open_listeners


class Running(World):
    """A server in memory, with HTTP, that can be drained."""

    def __init__(self, *parts: Any, http: Any, accepting: trio.CancelScope, connections: trio.Nursery) -> None:
        super().__init__(*parts)
        self.http = http
        self.accepting = accepting
        self.connections = connections
        self.drained: float | None = None
        self.over = trio.Event()

    async def drain(self) -> None:
        await drain(self.engine, self.door, self.http, self.accepting, self.connections)
        self.drained = trio.current_time()

    async def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.connections.start_soon(self.door.serve, theirs)
        return ours


@asynccontextmanager
async def running(folder: Path, *users: str, **environ: str) -> AsyncIterator[Running]:
    settings = settings_for(folder, RELAY_TIMEOUTS__DRAIN_SECONDS="4", **environ)
    async with open_engine(settings, now=lambda: EPOCH + trio.current_time(), inline=True) as engine:
        heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds)
        http = http_server(engine)
        door = FrontDoor(engine, heartbeat, http.serve, "relay/test")
        accepting = trio.CancelScope()
        async with trio.open_nursery() as services:
            services.start_soon(heartbeat.run)
            opened: list[Running] = []
            is_open = trio.Event()

            async def connections() -> None:
                async with trio.open_nursery() as nursery:
                    server = Running(engine, door, services, http=http, accepting=accepting, connections=nursery)
                    opened.append(server)
                    nursery.start_soon(accept, accepting)
                    nursery.start_soon(trio.sleep_forever)
                    is_open.set()
                opened[0].over.set()

            services.start_soon(connections)
            await is_open.wait()
            await opened[0].user(*users)
            yield opened[0]
            services.cancel_scope.cancel()


async def accept(scope: trio.CancelScope) -> None:
    with scope:
        await trio.sleep_forever()


async def test_everybody_is_sent_away_with_the_time_to_come_back(tmp_path: Path) -> None:
    names = [f"u{number}" for number in range(12)]
    async with running(tmp_path, *names) as world:
        devices = [await world.connect(name) for name in names]
        for device in devices:
            await device.drain()
        began = trio.current_time()
        world.nursery.start_soon(world.drain)
        for device in devices:
            closed = await device.closed()
            assert closed.code == 4404
            assert re.fullmatch(r"server is draining; retry_after=\d+", closed.reason)
            await device.cut()
        await world.over.wait()
        assert world.accepting.cancel_called
        assert trio.current_time() - began < 1


async def test_comebacks_are_spread_out(tmp_path: Path) -> None:
    class Socket:
        def __init__(self) -> None:
            self.reason = ""

        def end(self, _code: Any, reason: str) -> None:
            self.reason = reason

        def cut(self) -> None:
            pass

    async with running(tmp_path) as world:
        sockets = [Socket() for _ in range(1500)]
        world.door.websockets.update(sockets)  # type: ignore[arg-type]
        world.nursery.start_soon(world.drain)
        await world.over.wait()
        waits = [int(socket.reason.rpartition("=")[2]) for socket in sockets]
        assert {wait: waits.count(wait) for wait in sorted(set(waits))} == {1: 500, 2: 500, 3: 500}


async def test_peers_that_never_read_or_answer_are_cut_at_the_deadline(tmp_path: Path) -> None:
    async with running(tmp_path, "alice") as world:
        await world.connect("alice")
        await world.upgrade()
        half = await world.dial()
        await half.send_all(b"POST /api/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        world.nursery.start_soon(world.drain)
        await world.over.wait()
        assert trio.current_time() - began <= 4.5
        await trio.testing.wait_all_tasks_blocked()
        assert world.door.streams == set()


async def test_one_who_has_said_nothing_yet_holds_nobody_up(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        silent = await world.dial()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        world.nursery.start_soon(world.drain)
        assert (await silent.receive_some(12)).startswith(b"HTTP/1.1 503")
        await world.over.wait()
        assert trio.current_time() - began < 2


async def test_what_was_taken_is_acked_before_the_close(tmp_path: Path) -> None:
    async with running(tmp_path, "alice", "bob") as world:
        alice = await world.connect("alice")
        for number in range(20):
            await alice.say("bob", "x", id=f"{number}")
        await trio.testing.wait_all_tasks_blocked()
        world.nursery.start_soon(world.drain)
        acks = [await alice.next("ack") for _ in range(20)]
        assert [ack["payload"]["seq"] for ack in acks] == list(range(1, 21))
        assert (await alice.closed()).code == 4404


async def test_a_session_in_its_greeting_is_sent_away_as_well(tmp_path: Path) -> None:
    async with running(tmp_path, "alice") as world:
        device = await world.upgrade()
        world.nursery.start_soon(world.drain)
        assert (await device.closed()).code == 4404


async def test_an_upgrade_after_the_drain_began_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, "alice") as world:
        await world.connect("alice")
        stream = await world.dial()
        world.engine.drain.begin()
        await stream.send_all(UPGRADE)
        assert (await stream.receive_some(12)) == b"HTTP/1.1 503"


@pytest.mark.real_time
async def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    (listener,) = await open_listeners(settings_for(tmp_path, RELAY_SERVER__PORT="0"))
    async with listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"cannot listen on 127\.0\.0\.1:{port}: .* in use"):
            await open_listeners(settings_for(tmp_path, RELAY_SERVER__PORT=str(port)))


@pytest.mark.parametrize(
    ("environ", "link"),
    [
        ({}, r"http://127\.0\.0\.1:8484/#setup=[\w-]{24}\n"),
        ({"RELAY_SERVER__HOST": "0.0.0.0"}, r"http://127\.0\.0\.1:8484/#setup=[\w-]{24}\n"),
        ({"RELAY_SERVER__HOST": "::"}, r"http://\[::1\]:8484/#setup=[\w-]{24}\n"),
        ({"RELAY_WEB__PAGE": "false"}, None),
    ],
)
async def test_a_server_without_users_says_how_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], environ: dict[str, str], link: str | None
) -> None:
    async with running(tmp_path, **environ) as world:
        for first in (True, False):
            address = (world.engine.settings.server.host, 8484)
            await announce(world.engine, address, [].append, "Then type this.")
            told = capsys.readouterr().err
            assert bool(told) is first
            if first:
                assert told.startswith("There are no users yet.")
                assert told.endswith("Then type this.\n")
                assert bool(link and re.search(link, told)) is (link is not None)
                await world.user("alice")


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def own_process() -> Iterator[None]:
    """Leave the garbage collector and the signals as they were; a server sets them for its whole process."""
    before = gc.get_threshold()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("own_process")
@pytest.mark.real_time
async def test_a_whole_server_says_where_it_listens_and_serves_there(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, RELAY_SERVER__PORT="0")
    said: list[str] = []
    told = trio.Event()

    def announce(line: str) -> None:
        said.append(line)
        told.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve, settings, announce))
            await told.wait()
            match = re.fullmatch(r"relay/\S+ listens on http://127\.0\.0\.1:(\d+) \(WebSocket at /ws\)", said[0])
            assert match is not None
            stream = await trio.open_tcp_stream("127.0.0.1", int(match[1]))
            async with stream:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await stream.receive_some(12)) == b"HTTP/1.1 200"
            device = await trio.open_tcp_stream("127.0.0.1", int(match[1]))
            async with device:
                await device.send_all(UPGRADE)
                assert (await device.receive_some(12)) == b"HTTP/1.1 101"
            with pytest.raises(StorageError):
                await serve(settings, announce)
            nursery.cancel_scope.cancel()
    assert len(said) == 1


@pytest.mark.usefixtures("own_process")
async def test_a_start_goes_on_at_a_signal_that_ends_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []  # what would have ended the process
    for number in SIGNALS[2:]:
        signal.signal(number, lambda number, _frame: ended.append(number))

    @asynccontextmanager
    async def opened(*_arguments: object, **_named: object) -> AsyncIterator[None]:
        for number in SIGNALS[2:]:
            signal.raise_signal(number)
        raise StorageError("the start got as far as this")
        yield

    monkeypatch.setattr("relay.app.server.open_engine", opened)
    with pytest.raises(StorageError, match="as far as this"):
        await serve(settings_for(tmp_path, RELAY_SERVER__PORT="0"))
    assert ended == []
