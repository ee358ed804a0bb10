"""Clients of another node over one link: every byte in order, bounded, and no one's fault another's."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from relay.cluster.forwarding import Forwarder
from relay.cluster.frames import WINDOW_TO_CLIENT, WINDOW_TO_LEADER, Kind, credit, data_head, frame
from relay.cluster.lanes import Lane, LinkServer
from relay.transports.peer import PassedOn, PeerStream

SILENCE = 8.0


class Both:
    """Both ends of a link, and what the leader was given to serve."""

    def __init__(self, near: trio.abc.Stream, far: trio.abc.Stream, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.forwarder = Forwarder(near, SILENCE)
        self.server = LinkServer(self._serve, SILENCE)
        self.lanes: list[Lane] = []
        self.why = ""
        self.over = trio.Event()
        self.handle: Callable[[Lane], Awaitable[object]] | None = None
        nursery.start_soon(self._run)
        nursery.start_soon(self.server.serve, far, "second")

    async def _run(self) -> None:
        self.why = await self.forwarder.run()
        self.over.set()

    async def _serve(self, lane: PassedOn) -> None:
        assert isinstance(lane, Lane)
        self.lanes.append(lane)
        if self.handle is not None:
            with suppress(trio.BrokenResourceError):
                async with lane:
                    await self.handle(lane)

    async def _pass_on(self, peer: PeerStream) -> None:
        async with peer:
            await self.forwarder.serve(peer)

    async def dial(self, pair: Any = None, address: str = "203.0.113.7", write_seconds: float = 20) -> Any:
        """Connect a client to the follower; return its end once the leader has the lane."""
        ours, theirs = pair or trio.testing.memory_stream_pair()
        peer = PeerStream(theirs, b"", write_seconds=write_seconds, address=address)
        self.nursery.start_soon(self._pass_on, peer)
        await trio.testing.wait_all_tasks_blocked()
        return ours


@asynccontextmanager
async def joined(handle: Callable[[Lane], Awaitable[object]] | None = None) -> AsyncIterator[Both]:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        both = Both(near, far, nursery)
        both.handle = handle
        yield both
        nursery.cancel_scope.cancel()


async def echo(lane: Lane) -> None:
    while data := await lane.receive_some(1000):
        await lane.send_all(data)


async def received(stream: Any) -> bytes:
    """Return everything up to the end."""
    data = b""
    while more := await stream.receive_some(1 << 20):
        data += more
    return data


async def test_what_a_client_sends_comes_back_in_order_through_every_window() -> None:
    content = random.Random(1).randbytes(3_000_000)
    async with joined(echo) as both:
        client = await both.dial()

        async def send() -> None:
            for start in range(0, len(content), 70_001):
                await client.send_all(content[start : start + 70_001])
            await client.send_eof()

        both.nursery.start_soon(send)
        assert await received(client) == content
        await trio.testing.wait_all_tasks_blocked()
        figures = both.forwarder.statistics()
        assert figures.lanes == 0
        assert both.server.statistics()["second"].lanes == 0
        assert figures.bytes_in > 3_000_000 < figures.bytes_out


async def test_the_leader_knows_each_client_by_its_own_address() -> None:
    async with joined() as both:
        await both.dial(address="203.0.113.7")
        await both.dial(address="2001:db8::7")
        assert [lane.address for lane in both.lanes] == ["203.0.113.7", "2001:db8::7"]


async def test_what_the_follower_has_read_already_is_passed_on_first() -> None:
    async with joined() as both:
        ours, theirs = trio.testing.memory_stream_pair()
        peer = PeerStream(theirs, b"x" * (WINDOW_TO_LEADER + 10), write_seconds=20)
        both.nursery.start_soon(both.forwarder.serve, peer)
        await ours.send_all(b"y")
        await ours.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        assert await received(both.lanes[0]) == b"x" * (WINDOW_TO_LEADER + 10) + b"y"


async def test_unread_bytes_and_an_unread_end_are_told() -> None:
    async with joined() as both:
        client = await both.dial()
        [lane] = both.lanes
        assert not lane.has_unread()
        await client.send_all(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert lane.has_unread()
        assert await lane.receive_some() == b"x"
        assert not lane.has_unread()
        await client.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        assert lane.has_unread()
        assert await lane.receive_some() == b""


async def test_a_client_may_send_no_more_than_its_window_unread() -> None:
    async with joined() as both:
        client = await both.dial()
        await client.send_all(b"x" * 1_000_000)
        await trio.testing.wait_all_tasks_blocked()
        [lane] = both.lanes
        assert both.server.statistics()["second"].bytes_in < WINDOW_TO_LEADER + 1000
        got = 0
        while got < 1_000_000:
            got += len(await lane.receive_some())
            await trio.testing.wait_all_tasks_blocked()
        assert got == 1_000_000


async def test_a_client_that_does_not_read_holds_up_nobody_and_costs_its_window() -> None:
    async with joined() as both:
        slow = await both.dial(trio.testing.lockstep_stream_pair(), write_seconds=1e9)
        quick = await both.dial()
        first, second = both.lanes
        sent = 0
        while taken := first.write_now(b"x" * 10_000):
            sent += taken
            await trio.testing.wait_all_tasks_blocked()
        assert sent == WINDOW_TO_CLIENT
        await second.send_all(b"quick")
        assert await quick.receive_some(100) == b"quick"
        got = 0
        while got < WINDOW_TO_CLIENT // 2 + 65_536:
            got += len(await slow.receive_some(65536))
        await trio.testing.wait_all_tasks_blocked()
        assert first.write_now(b"y") == 1


async def test_a_client_that_does_not_read_in_time_is_cut_and_the_leader_is_told() -> None:
    async with joined() as both:
        slow = await both.dial(trio.testing.lockstep_stream_pair())
        [lane] = both.lanes
        lane.write_now(b"x" * 100)
        with pytest.raises(trio.BrokenResourceError, match="the client is gone"):
            await lane.receive_some()
        assert trio.current_time() == 20
        with pytest.raises(trio.BrokenResourceError):
            await lane.send_all(b"y")
        with pytest.raises(BrokenPipeError):
            lane.write_now(b"y")
        assert len(await received(slow)) <= 100


async def test_the_same_bytes_for_many_go_over_the_link_once() -> None:
    async with joined() as both:
        clients = [await both.dial() for _ in range(50)]
        before = both.server.statistics()["second"]
        for lane in both.lanes:
            assert lane.write_now(bytes(bytearray(b"to all " * 100))) == 700  # equal, not the same
        for number, lane in enumerate(both.lanes):
            lane.write_now(b"%d" % number)
        await trio.testing.wait_all_tasks_blocked()
        for number, client in enumerate(clients):
            assert await client.receive_some(10_000) == b"to all " * 100 + b"%d" % number
        after = both.server.statistics()["second"]
        assert after.shared - before.shared == 50
        assert after.frames_out - before.frames_out == 51
        assert after.bytes_out - before.bytes_out < 700 + 50 * 4 + 50 * 20


async def test_bytes_for_two_groups_in_turn_go_over_the_link_once_each() -> None:
    async with joined() as both:
        clients = [await both.dial() for _ in range(20)]
        before = both.server.statistics()["second"]
        for number, lane in enumerate(both.lanes):
            lane.write_now(b"to the even" if number % 2 == 0 else b"to the odd")
        both.lanes[3].write_now(b", and to the even")
        both.lanes[3].write_now(b"to the even")
        both.lanes[3].write_now(b"to the odd")
        await trio.testing.wait_all_tasks_blocked()
        for number, client in enumerate(clients):
            expected = b"to the even" if number % 2 == 0 else b"to the odd"
            more = b", and to the evento the evento the odd" if number == 3 else b""
            assert await client.receive_some(1000) == expected + more
        after = both.server.statistics()["second"]
        assert after.frames_out - before.frames_out == 5
        assert after.shared - before.shared == 20


async def test_the_same_bytes_twice_for_one_come_twice() -> None:
    async with joined() as both:
        client = await both.dial()
        for _ in range(3):
            both.lanes[0].write_now(b"again ")
        await trio.testing.wait_all_tasks_blocked()
        assert await client.receive_some(100) == b"again again again "


async def test_a_frame_for_many_goes_to_sockets_without_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Forwarder, "start")
    async with joined() as both:
        clients = []
        for _ in range(3):
            ours, theirs = trio.socket.socketpair()
            clients.append(await both.dial((trio.SocketStream(ours), trio.SocketStream(theirs))))
        for lane in both.lanes:
            lane.write_now(b"to all")
        for client in clients:
            assert await client.receive_some(100) == b"to all"
        await clients[0].aclose()
        await trio.testing.wait_all_tasks_blocked()
        for lane in both.lanes[1:]:
            lane.write_now(b"to two")
        for client in clients[1:]:
            assert await client.receive_some(100) == b"to two"
            await client.aclose()


async def test_each_way_ends_by_itself() -> None:
    async with joined() as both:
        client = await both.dial()
        [lane] = both.lanes
        await client.send_eof()
        assert await lane.receive_some() == b""
        await lane.send_all(b"the answer")
        await lane.send_eof()
        assert await received(client) == b"the answer"
        assert both.forwarder.statistics().lanes == 1
        await lane.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert both.forwarder.statistics().lanes == 0


async def test_what_was_sent_before_a_close_arrives() -> None:
    async with joined() as both:
        client = await both.dial(trio.testing.lockstep_stream_pair())
        [lane] = both.lanes
        lane.write_now(b"x" * 100_000)
        await lane.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert both.server.statistics()["second"].lanes == 0
        assert await received(client) == b"x" * 100_000
        await trio.testing.wait_all_tasks_blocked()
        assert both.forwarder.link.held == 0
        with pytest.raises(trio.ClosedResourceError):
            await lane.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await lane.send_all(b"x")


async def test_a_wait_ends_when_the_lane_is_closed_by_another_task() -> None:
    async with joined() as both:
        await both.dial()
        [lane] = both.lanes
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await lane.receive_some()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await lane.receive_some()
            await lane.aclose()


async def test_after_the_end_was_said_nothing_is_sent() -> None:
    async with joined() as both:
        await both.dial()
        [lane] = both.lanes
        await lane.send_eof()
        await lane.send_eof()
        with pytest.raises(trio.ClosedResourceError):
            await lane.send_all(b"x")


async def test_when_the_link_breaks_all_clients_are_cut_at_once_at_both_ends() -> None:
    async with joined() as both:
        clients = [await both.dial() for _ in range(20)]
        await trio.aclose_forcefully(both.forwarder._stream)
        await trio.testing.wait_all_tasks_blocked()
        assert both.over.is_set()
        assert "broke" in both.why or "closed" in both.why
        for client in clients:
            with pytest.raises(trio.BrokenResourceError):
                await client.send_all(b"x")
        for lane in both.lanes:
            with pytest.raises(trio.BrokenResourceError):
                await lane.receive_some()
        late = await both.dial()
        assert await late.receive_some(1) == b""


@pytest.mark.parametrize("dead", ["leader", "follower"])
async def test_a_node_that_says_nothing_is_taken_for_dead(dead: str) -> None:
    near, _far = trio.testing.memory_stream_pair()
    began = trio.current_time()
    if dead == "leader":
        why = await Forwarder(near, SILENCE).run()
        assert why == "the other node has said nothing for 8.0 s"
    else:
        await LinkServer(trio.sleep, SILENCE).serve(near, "second")  # type: ignore[arg-type]
    assert trio.current_time() - began == SILENCE


async def test_a_quiet_link_lasts() -> None:
    async with joined(echo) as both:
        client = await both.dial()
        await trio.sleep(100 * SILENCE)
        await client.send_all(b"x")
        assert await client.receive_some(1) == b"x"
        assert not both.over.is_set()


async def test_a_leader_that_takes_nothing_bounds_what_is_gathered() -> None:
    near, _far = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        forwarder = Forwarder(near, 1e9)
        nursery.start_soon(forwarder.run)
        for number in range(400):
            _, theirs = trio.testing.memory_stream_pair()
            peer = PeerStream(theirs, number.to_bytes(2, "big") * (WINDOW_TO_LEADER // 2), write_seconds=20)
            nursery.start_soon(forwarder.serve, peer)
        await trio.testing.wait_all_tasks_blocked()
        assert 16 << 20 <= forwarder.link._size < (16 << 20) + WINDOW_TO_LEADER + 400 * 40
        nursery.cancel_scope.cancel()


async def test_where_too_much_waits_for_clients_the_next_that_does_not_read_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.cluster.forwarding.MOST_HELD", 250_000)
    async with joined() as both:
        slow = [await both.dial(trio.testing.lockstep_stream_pair()) for _ in range(3)]
        quick = await both.dial()
        for lane in both.lanes[:3]:
            lane.write_now(b"x" * 100_000)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await both.lanes[2].receive_some()
        both.lanes[3].write_now(b"quick")
        assert await quick.receive_some(100) == b"quick"
        both.lanes[0].write_now(b"y")
        await both.lanes[0].aclose()
        assert await received(slow[0]) == b"x" * 100_000 + b"y"
        await trio.sleep(20)
        await trio.testing.wait_all_tasks_blocked()
        assert both.forwarder.link.held == 0


async def test_where_too_much_of_clients_waits_at_the_leader_the_next_that_sends_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.cluster.lanes.MOST_HELD", 150_000)
    async with joined() as both:
        clients = [await both.dial() for _ in range(3)]
        for client in clients:
            await client.send_all(b"x" * 60_000)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError, match="too much waits"):
            await both.lanes[2].receive_some()
        assert await received(clients[2]) == b""
        for lane in both.lanes[:2]:
            assert await lane.receive_some() == b"x" * 60_000
        assert next(iter(both.server._links)).link.held == 0


async def test_flush_returns_once_everything_has_left() -> None:
    async with joined() as both:
        client = await both.dial()
        both.lanes[0].write_now(b"the last words")
        await both.server.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert await client.receive_some(100) == b"the last words"
        await both.server.flush()


FOREIGN = [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", "no frame of kind 71", id="http"),
    pytest.param(frame(Kind.DATA, 5, b"x"), "lane 5 was never opened", id="unknown lane"),
    pytest.param(frame(Kind.EOF, 0), "lane 0 was never opened", id="lane 0"),
]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        *FOREIGN,
        pytest.param(frame(Kind.OPEN, 1) + frame(Kind.OPEN, 1), "lane 1 cannot be opened", id="opened twice"),
        pytest.param(
            frame(Kind.OPEN, 1) + frame(Kind.DATA, 1, b"x" * (WINDOW_TO_LEADER + 1)),
            "more bytes",
            id="over credit",
        ),
        pytest.param(frame(Kind.OPEN, 1) + credit(1, 1), "credit for more", id="credit for nothing"),
        pytest.param(
            frame(Kind.OPEN, 1) + frame(Kind.EOF, 1) + frame(Kind.DATA, 1, b"x"), "more bytes", id="behind the end"
        ),
    ],
)
async def test_a_node_that_sends_what_is_not_of_a_link_is_cut_alone(
    data: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(echo) as both:
        client = await both.dial()
        ours, theirs = trio.testing.memory_stream_pair()
        both.nursery.start_soon(both.server.serve, theirs, "third")
        with caplog.at_level(logging.WARNING):
            await ours.send_all(data)
            while await ours.receive_some(1000):
                pass
        assert "the link of node third is over: the other node sends what is not of a link" in caplog.text
        assert why in caplog.text
        await client.send_all(b"x")
        assert await client.receive_some(1) == b"x"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        *FOREIGN,
        pytest.param(frame(Kind.OPEN, 1), "opens no lanes", id="opens"),
        pytest.param(data_head([1], WINDOW_TO_CLIENT) + b"x" * WINDOW_TO_CLIENT + frame(Kind.DATA, 1, b"x"), "more bytes", id="over credit"),
        pytest.param(credit(1, 1), "credit for more", id="credit for nothing"),
    ],
)  # fmt: skip
async def test_a_leader_that_sends_what_is_not_of_a_link_is_left(data: bytes, why: str) -> None:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        forwarder = Forwarder(near, SILENCE)
        _, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(forwarder.serve, PeerStream(theirs, b"", write_seconds=20))
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(data)
        assert why in await forwarder.run()


FRAMES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([Kind.EOF, Kind.CLOSE]), st.integers(0, 6)),
        st.builds(frame, st.just(Kind.OPEN), st.integers(0, 6), st.binary(max_size=3)),
        st.builds(frame, st.just(Kind.DATA), st.integers(0, 6), st.binary(min_size=1, max_size=3)),
        st.builds(lambda lanes: data_head(lanes, 1) + b"x", st.lists(st.integers(0, 6), min_size=2, max_size=4)),
        st.builds(credit, st.integers(0, 6), st.integers(0, 3)),
        st.binary(max_size=20),
    ),
    max_size=30,
)


@given(FRAMES, st.booleans())
def test_whatever_a_node_sends_is_taken_or_ends_its_link_alone(frames: list[bytes], leads: bool) -> None:
    async def read(lane: PassedOn) -> None:
        with suppress(trio.BrokenResourceError):
            await received(lane)

    async def run() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            if leads:
                nursery.start_soon(LinkServer(read, SILENCE).serve, near, "second")
            else:
                forwarder = Forwarder(near, SILENCE)
                for _ in range(3):
                    _, theirs = trio.testing.memory_stream_pair()
                    nursery.start_soon(forwarder.serve, PeerStream(theirs, b"", write_seconds=20))
                nursery.start_soon(forwarder.run)
            await far.send_all(b"".join(frames))
            await far.send_eof()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_what_comes_late_for_a_lane_that_is_over_is_nothing() -> None:
    async with joined() as both:
        await both.dial()
        [lane] = both.lanes
        link = both.forwarder.link
        await lane.aclose()
        await trio.testing.wait_all_tasks_blocked()
        for late in (frame(Kind.DATA, 1, b"x"), frame(Kind.EOF, 1), credit(1, 5), frame(Kind.CLOSE, 1)):
            link.put(late)
        await trio.testing.wait_all_tasks_blocked()
        assert not both.over.is_set()


async def test_many_clients_that_come_write_and_go_at_random_each_get_their_own() -> None:
    async with joined(echo) as both:

        async def one(number: int) -> None:
            rng = random.Random(number)
            client = await both.dial()
            content = rng.randbytes(rng.randrange(1, 150_000))
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def send() -> None:
                        for start in range(0, len(content), 9000):
                            await client.send_all(content[start : start + 9000])
                            await trio.sleep(rng.random())
                        await client.send_eof()

                    nursery.start_soon(send)
                    if rng.random() < 0.2:
                        await trio.sleep(rng.random() * 3)
                        scope.cancel()
                    assert await received(client) == content
            await client.aclose()

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(one, number)
        await trio.testing.wait_all_tasks_blocked()
        assert both.forwarder.statistics().lanes == 0
        assert both.server.statistics()["second"].lanes == 0
