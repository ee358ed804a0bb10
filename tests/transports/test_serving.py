"""HTTP on a stream: what is used of hypercorn's inside, deadlines on bodies, and upgrades after requests."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
import pytest
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from relay.testing import UPGRADE
from relay.transports.head import BadHead, Head
from relay.transports.peer import PeerStream
from relay.transports.rest.serving import HttpServer

GET = b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n"


class App:
    """An application that answers with what it was sent, and remembers what became of each request."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ends: list[str] = []
        self.life: list[str] = []
        self.seconds = 0.0
        self.reads = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{kind}"
                self.life.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body = b""
        while self.reads:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.ends.append("disconnected")
                return
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        await trio.sleep(self.seconds)
        self.bodies.append(body)
        self.ends.append("answered")
        answer = scope["relay"]["address"].encode() + b" " + scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Served:
    """One connection to a server in memory."""

    def __init__(self, stream: Any, server: HttpServer, app: App) -> None:
        self.stream = stream
        self.server = server
        self.app = app
        self.came_back: list[Head | None] = []
        self.received = b""

    async def answer(self) -> bytes:
        """Return the body of the next answer; b"" when the connection is over."""
        while b"\r\n\r\n" not in self.received:
            if not await self._receive():
                return b""
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        size = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[16:])
        while len(self.received) < size:
            await self._receive()
        body, self.received = self.received[:size], self.received[size:]
        return body

    async def _receive(self) -> bytes:
        data = bytes(await self.stream.receive_some(65536))
        self.received += data
        return data

    async def over(self) -> None:
        """Wait until the server closed the connection."""
        while await self._receive():
            pass


@asynccontextmanager
async def served(app: App | None = None, received: bytes = b"", **seconds: float) -> AsyncIterator[Served]:
    app = app or App()
    timeouts = {"head_seconds": 10, "body_seconds": 30, "keep_alive_seconds": 75} | seconds
    server = HttpServer(app, head_bytes=16_384, **timeouts)
    ours, theirs = trio.testing.memory_stream_pair()
    one = Served(ours, server, app)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            peer = PeerStream(theirs, received, write_seconds=20, address="203.0.113.4")
            one.came_back.append(await server.serve(peer))

        nursery.start_soon(run)
        yield one
        nursery.cancel_scope.cancel()


def test_hypercorns_inside_is_as_it_is_used() -> None:
    assert list(inspect.signature(TCPServer.__init__).parameters)[1:] == [
        "app", "config", "context", "state", "stream",
    ]  # fmt: skip
    assert inspect.iscoroutinefunction(TCPServer.protocol_send)
    assert inspect.iscoroutinefunction(TCPServer._read_data)
    assert inspect.iscoroutinefunction(TCPServer._idle_timeout)
    assert hasattr(TCPServer, "__await__")
    assert list(inspect.signature(WorkerContext.__init__).parameters)[1:] == ["max_requests"]
    assert inspect.iscoroutinefunction(WorkerContext(None).terminated.set)
    assert list(inspect.signature(Lifespan.__init__).parameters)[1:] == ["app", "config", "state"]
    for name in ("handle_lifespan", "wait_for_startup", "wait_for_shutdown"):
        assert inspect.iscoroutinefunction(getattr(Lifespan, name))
    assert list(inspect.signature(ASGIWrapper.__init__).parameters)[1:] == ["app"]
    assert {"protocol", "initiate"} <= set(dir(ProtocolWrapper)) | {"protocol"}
    assert {Closed, RawData, Updated}
    for name in (
        "keep_alive_timeout", "h11_max_incomplete_size", "alpn_protocols", "include_server_header", "accesslog",
        "errorlog",
    ):  # fmt: skip
        assert hasattr(Config(), name), name
    assert {h11.IDLE, h11.DONE, h11.SEND_BODY}


async def test_hypercorn_tells_where_h11_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[Any] = []
    app = App()

    class Watching(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            stream = next(iter(server[0]._streams))
            states.append(stream.their_state())
            await super().__call__(scope, receive, send)
            states.append(stream.their_state())

    server: list[HttpServer] = []
    async with served(Watching()) as one:
        server.append(one.server)
        stream = next(iter(one.server._streams), None)
        await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        await one.stream.send_all(b"ab")
        await one.answer()
        await trio.testing.wait_all_tasks_blocked()
        stream = next(iter(one.server._streams))
        assert states[0] is h11.SEND_BODY
        assert stream.their_state() is h11.IDLE
    assert app.bodies == []


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with served() as one:
        for number in range(3):
            await one.stream.send_all(GET % b"%d" % number)
            assert await one.answer() == b"203.0.113.4 /%d" % number
        await one.stream.send_all((GET % b"a") + (GET % b"b"))
        assert [await one.answer(), await one.answer()] == [b"203.0.113.4 /a", b"203.0.113.4 /b"]


async def test_an_idle_connection_is_kept_as_long_as_was_said() -> None:
    async with served(keep_alive_seconds=75) as one:
        await one.stream.send_all(GET % b"")
        await one.answer()
        began = trio.current_time()
        await one.over()
        assert trio.current_time() - began == pytest.approx(75)
        await trio.testing.wait_all_tasks_blocked()
        assert one.came_back == [None]


async def test_a_body_that_drips_is_cut_at_its_deadline() -> None:
    async with served(body_seconds=30) as one, trio.open_nursery() as nursery:
        began = trio.current_time()
        await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")

        async def drip() -> None:
            try:
                while True:
                    await one.stream.send_all(b"x")
                    await trio.sleep(1)
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(drip)
        with suppress(trio.BrokenResourceError):
            await one.over()
        assert trio.current_time() - began == pytest.approx(30, abs=1)
        assert one.app.bodies == []
        nursery.cancel_scope.cancel()


async def test_a_body_that_keeps_coming_is_waited_for() -> None:
    async with served(body_seconds=30) as one:
        size = 60 * 9000
        await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(60):
            await trio.sleep(1)
            await one.stream.send_all(b"x" * 9000)
        await one.answer()
        assert [len(body) for body in one.app.bodies] == [size]


async def test_an_upgrade_after_a_request_goes_back_to_the_front_door() -> None:
    async with served() as one:
        await one.stream.send_all(GET % b"first")
        await one.answer()
        await one.stream.send_all(UPGRADE + b"\x81\x80")
        await trio.testing.wait_all_tasks_blocked()
        (head,) = one.came_back
        assert head is not None
        assert (head.wants_websocket, head.path, head.rest) == (True, "/ws", b"\x81\x80")
        assert one.received == b""


async def test_an_upgrade_that_arrives_by_bits_goes_back_too() -> None:
    async with served() as one:
        await one.stream.send_all(GET % b"first")
        await one.answer()
        for byte in UPGRADE:
            await one.stream.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        (head,) = one.came_back
        assert head is not None
        assert head.raw == UPGRADE


async def test_an_upgrade_behind_a_request_waits_for_its_answer() -> None:
    app = App()
    app.seconds = 5
    async with served(app) as one:
        await one.stream.send_all(GET % b"slow")
        await trio.sleep(1)
        await one.stream.send_all(UPGRADE)
        assert one.came_back == []
        assert await one.answer() == b"203.0.113.4 /slow"
        await trio.testing.wait_all_tasks_blocked()
        assert [head is not None for head in one.came_back] == [True]


async def test_a_body_that_looks_like_an_upgrade_is_a_body() -> None:
    async with served() as one:
        for reads in (True, False):
            one.app.reads = reads
            one.app.bodies.clear()
            await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(UPGRADE))
            await trio.testing.wait_all_tasks_blocked()
            try:
                await one.stream.send_all(UPGRADE)
            except trio.BrokenResourceError:
                break
            await one.answer()
            await trio.testing.wait_all_tasks_blocked()
            assert [head for head in one.came_back if head is not None] == []
            assert one.app.bodies == [UPGRADE if reads else b""]


async def test_a_chunked_body_that_looks_like_an_upgrade_is_a_body() -> None:
    async with served() as one:
        await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        await one.stream.send_all(b"%x\r\n" % len(UPGRADE))
        await trio.testing.wait_all_tasks_blocked()
        await one.stream.send_all(UPGRADE)
        await trio.testing.wait_all_tasks_blocked()
        await one.stream.send_all(b"\r\n0\r\n\r\n")
        await one.answer()
        assert one.app.bodies == [UPGRADE]
        assert one.came_back == []


async def test_stopping_finishes_what_runs_and_closes_what_idles() -> None:
    app = App()
    app.seconds = 3
    async with served(app) as busy, served() as idle:
        await idle.stream.send_all(GET % b"")
        await idle.answer()
        await busy.stream.send_all(GET % b"slow")
        await trio.sleep(1)
        began = trio.current_time()
        await idle.server.stop()
        await busy.server.stop()
        await idle.over()
        assert trio.current_time() == began
        assert await busy.answer() == b"203.0.113.4 /slow"
        await busy.over()
        assert trio.current_time() - began == pytest.approx(2)


@pytest.mark.parametrize("ticks", range(6))
async def test_a_request_whose_head_was_read_is_answered_whenever_the_server_stops(ticks: int) -> None:
    async with served(received=GET % b"late") as one:
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        await one.server.stop()
        assert await one.answer() == b"203.0.113.4 /late"
        began = trio.current_time()
        await one.over()
        assert trio.current_time() == began


async def test_the_applications_life_is_around_the_block() -> None:
    app = App()
    server = HttpServer(app, head_bytes=1000, head_seconds=1, body_seconds=1, keep_alive_seconds=1)
    async with server.lifespan():
        assert app.life == ["startup"]
    assert app.life == ["startup", "shutdown"]


@pytest.mark.parametrize("data", [GET % b"", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /"])
async def test_a_connection_that_is_over_is_let_go_of_at_once(data: bytes) -> None:
    async with served() as one:
        await one.stream.send_all(data)
        await trio.testing.wait_all_tasks_blocked()
        await one.stream.aclose()
        began = trio.current_time()
        while not one.came_back:
            await trio.sleep(0.1)
        assert trio.current_time() - began < 1


async def test_a_peer_that_leaves_in_the_middle_ends_its_request() -> None:
    async with served() as one:
        await one.stream.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        await trio.testing.wait_all_tasks_blocked()
        await one.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert one.app.ends == ["disconnected"]
        assert one.came_back == [None]


class EarlyApp(App):
    """Answers before the body is there, as a refusal does, and reads on beside that until it has answered."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return

        async def read() -> None:
            while True:
                await receive()

        async with trio.open_nursery() as nursery:
            if self.reads:
                nursery.start_soon(read)
            answer = scope["path"].encode()
            headers = [(b"content-length", b"%d" % len(answer))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer, "more_body": False})
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_body_that_comes_after_its_answer_does_not_end_the_connection(reads: bool) -> None:
    app = EarlyApp()
    app.reads = reads
    async with served(app) as one:
        for turn in range(3):
            await one.stream.send_all(b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
            with trio.fail_after(1):
                assert await one.answer() == b"/refused", turn
            await trio.sleep(0.05)
            await one.stream.send_all(b"0123456789")
            await one.stream.send_all(GET % b"next")
            with trio.fail_after(1):
                assert await one.answer() == b"/next", turn


@pytest.mark.parametrize("reads", [True, False])
async def test_a_large_body_that_comes_after_its_answer_ends_the_connection(reads: bool) -> None:
    app = EarlyApp()
    app.reads = reads
    async with served(app) as one:
        await one.stream.send_all(b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n")
        assert await one.answer() == b"/refused"
        with trio.fail_after(1), suppress(trio.BrokenResourceError):
            for _ in range(100):
                await one.stream.send_all(bytes(65536))
            raise AssertionError("all of it was taken")


async def test_a_body_that_never_comes_after_its_answer_ends_the_connection_at_the_bodys_deadline() -> None:
    async with served(EarlyApp()) as one:
        started = trio.current_time()
        await one.stream.send_all(b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        assert await one.answer() == b"/refused"
        with suppress(trio.BrokenResourceError):
            await one.over()
        assert trio.current_time() - started == pytest.approx(30)


@pytest.mark.parametrize(
    "data", [b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: five\r\n\r\n", b"nonsense\r\n\r\n"]
)
async def test_a_head_that_is_refused_later_leaves_the_stream_for_the_refusal(data: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    server = HttpServer(App(), head_bytes=16_384, head_seconds=10, body_seconds=30, keep_alive_seconds=75)
    peer = PeerStream(theirs, b"", write_seconds=20, address="203.0.113.4")
    await ours.send_all(GET % b"first")
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with pytest.raises(BadHead):
                await server.serve(peer)
            await peer.send_all(b"refused")

        nursery.start_soon(serve)
        received = b""
        while b"/first" not in received:
            received += await ours.receive_some()
        await ours.send_all(data)
        with trio.fail_after(1):
            assert await ours.receive_some() == b"refused"


UPGRADE_AND_FRAME = UPGRADE + b"\x81\x82abcd\x00\x00"


@pytest.mark.parametrize(
    "first",
    [
        GET % b"first",
        b"POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
async def test_an_upgrade_in_the_same_packet_as_a_request_goes_back_with_its_first_frame(first: bytes) -> None:
    async with served() as one:
        await one.stream.send_all(first + UPGRADE_AND_FRAME)
        assert (await one.answer()).endswith(b"/first")
        await trio.testing.wait_all_tasks_blocked()
        (head,) = one.came_back
        assert head is not None
        assert (head.path, head.rest) == ("/ws", UPGRADE_AND_FRAME[len(UPGRADE) :])


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    "first", [GET % b"first", b"POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"]
)
@pytest.mark.parametrize(
    "second",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
async def test_each_head_behind_another_is_judged_as_the_first_is(
    apart: bool, first: bytes, second: bytes
) -> None:
    app = App()
    ours, theirs = trio.testing.memory_stream_pair()
    server = HttpServer(app, head_bytes=16_384, head_seconds=10, body_seconds=30, keep_alive_seconds=75)
    peer = PeerStream(theirs, b"", write_seconds=20, address="203.0.113.4")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, first if apart else first + second)
        if apart:
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ours.send_all, second)
        with pytest.raises(BadHead) as refused:
            await server.serve(peer)
        assert refused.value.status == 400
    assert app.ends == ["answered"]


async def test_an_offer_of_http_2_behind_a_request_is_answered_in_http_1() -> None:
    offer = b"GET /second HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    async with served() as one:
        await one.stream.send_all(GET % b"first" + offer + b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        assert (await one.answer()).endswith(b"/first")
        assert (await one.answer()).endswith(b"/second")


async def test_many_requests_in_one_packet_are_answered_in_their_order() -> None:
    async with served() as one:
        await one.stream.send_all(b"".join(GET % b"%d" % number for number in range(50)))
        for number in range(50):
            assert (await one.answer()).endswith(b"/%d" % number)


class SlowApp(App):
    """Answers with a head, and with the body five seconds later."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await trio.sleep(5)
        await send({"type": "http.response.body", "body": b"ok"})


async def test_a_peer_that_leaves_within_an_answer_with_a_request_behind_it_leaves_no_connection() -> None:
    async with served(SlowApp()) as one:
        await one.stream.send_all(GET % b"first" + GET % b"second")
        await trio.sleep(1)
        await one.stream.aclose()
        await trio.sleep(20)
        assert one.came_back == [None]
