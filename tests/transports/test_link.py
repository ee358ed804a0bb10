"""The way out to one peer, over real sockets that take a little at a time."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from relay.protocol.errors import CloseCode
from relay.protocol.framing import close_frame, text_frame
from relay.protocol.outbox import Outbox
from relay.transports.link import PeerLink
from relay.transports.peer import PeerStream


class Ends:
    """A link, and the other end of its socket."""

    def __init__(self, link: PeerLink, other: socket.socket | Any, nursery: trio.Nursery) -> None:
        self.link = link
        self.other = other
        self.nursery = nursery

    def read_now(self, size: int = 1 << 20) -> bytes:
        """Return what the kernel has for the peer, without waiting."""
        try:
            return bytes(self.other.recv(size))
        except BlockingIOError:
            return b""

    async def read_all(self, rng: random.Random | None = None) -> bytes:
        """Read until nothing more comes, by pieces."""
        data = bytearray()
        quiet = 0
        while quiet < 3:
            piece = self.read_now(rng.randint(1, 30_000) if rng else 1 << 20)
            quiet = 0 if piece else quiet + 1
            data += piece
            await trio.testing.wait_all_tasks_blocked()
        return bytes(data)


@asynccontextmanager
async def linked(
    *, outbox: Outbox | None = None, write_seconds: float = 20, memory: bool = False
) -> AsyncIterator[Ends]:
    """Open a link over a socket pair with small buffers, its outbox open."""
    if memory:
        mine: trio.abc.Stream
        other: Any
        mine, other = trio.testing.memory_stream_pair()
    else:
        a, other = socket.socketpair()
        for end in (a, other):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        other.setblocking(False)
        mine = trio.SocketStream(trio.socket.from_stdlib_socket(a))
    waiting = Outbox(0, 0) if outbox is None else outbox
    try:
        async with trio.open_nursery() as nursery:
            peer = PeerStream(mine, b"", write_seconds=write_seconds)
            link = PeerLink(peer, nursery, waiting, close_seconds=2)
            link.close_frame = close_frame
            link.open = True
            yield Ends(link, other, nursery)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(mine)
        if not memory:
            other.close()


def frames_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Split bytes into whole frames, and what is left of a half one."""
    found = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            break
        found.append(data[: start + size])
        data = data[start + size :]
    return found, data


async def test_what_the_kernel_takes_is_sent_without_a_task() -> None:
    async with linked() as ends:
        ends.link.outbox.push(b"one ")
        ends.link.outbox.push(b"two")
        tasks = len(ends.nursery.child_tasks)
        ends.link.flush()
        assert len(ends.nursery.child_tasks) == tasks
        assert ends.read_now() == b"one two"


async def test_direct_bytes_go_ahead_of_the_outbox() -> None:
    async with linked() as ends:
        ends.link.outbox.push(b"pushed")
        ends.link.direct(b"direct ")
        assert ends.read_now() == b"direct pushed"


async def test_a_shut_outbox_waits_until_it_is_opened() -> None:
    async with linked() as ends:
        ends.link.open = False
        ends.link.outbox.push(b"live")
        ends.link.flush()
        ends.link.direct(b"replay ")
        assert ends.read_now() == b"replay "
        ends.link.open = True
        ends.link.flush()
        assert ends.read_now() == b"live"


@pytest.mark.parametrize("seed", range(8))
async def test_a_peer_that_reads_by_bits_gets_every_frame_whole_once_and_in_order(seed: int) -> None:
    rng = random.Random(seed)
    async with linked() as ends:
        pushed: list[bytes] = []
        direct: list[bytes] = []
        received = bytearray()
        for number in range(300):
            frame = text_frame(b"%d:%s" % (number, b"x" * rng.choice([5, 200, 3000])))
            if rng.random() < 0.3:
                direct.append(frame)
                ends.link.direct(frame)
            else:
                pushed.append(frame)
                ends.link.outbox.push(frame)
                if rng.random() < 0.7:
                    ends.link.flush()
            if rng.random() < 0.4:
                received += ends.read_now(rng.randint(1, 9000))
                await trio.lowlevel.checkpoint()
        ends.link.flush()
        received += await ends.read_all(rng)
        frames, half = frames_of(bytes(received))
        assert half == b""
        assert [frame for frame in frames if frame in set(pushed)] == pushed
        assert [frame for frame in frames if frame in set(direct)] == direct
        assert len(frames) == 300


async def test_a_close_comes_after_all_that_waits_and_nothing_after_it() -> None:
    async with linked() as ends:
        sent = [text_frame(b"%d" % number * 2000) for number in range(40)]
        for frame in sent[:20]:
            ends.link.outbox.push(frame)
        ends.link.flush()
        for frame in sent[20:]:
            ends.link.outbox.push(frame)
        ends.link.end(CloseCode.DRAINING, "bye")
        ends.link.outbox.push(text_frame(b"late"))
        ends.link.direct(text_frame(b"late"))
        ends.link.flush()
        ends.link.end(CloseCode.NORMAL)
        frames, half = frames_of(await ends.read_all())
        assert frames == [*sent, close_frame(4404, "bye")]
        assert half == b""


async def test_a_close_before_the_replay_is_over_sends_nothing_that_waits_for_it() -> None:
    async with linked() as ends:
        ends.link.open = False
        ends.link.outbox.push(text_frame(b"live"))
        ends.link.end(CloseCode.REPLACED)
        assert frames_of(ends.read_now())[0] == [
            close_frame(4510, "replaced by a newer connection of the same client")
        ]


async def test_an_overflow_in_the_middle_of_a_frame_ends_that_frame_and_then_closes() -> None:
    async with linked(outbox=Outbox(0, 10)) as ends:
        big = text_frame(b"x" * 400_000)
        ends.link.outbox.push(big)
        ends.link.flush()
        await trio.testing.wait_all_tasks_blocked()
        overflow = [ends.link.outbox.push(text_frame(b"%d" % number)) for number in range(12)]
        assert overflow[-1] is False
        ends.link.outbox.clear()
        ends.link.end(CloseCode.TOO_SLOW)
        frames, half = frames_of(await ends.read_all())
        assert frames[0] == big
        assert frames[1:] == [close_frame(4403, "too slow; resume brings everything stored")]
        assert half == b""


async def test_a_peer_that_never_reads_is_cut_at_the_write_deadline() -> None:
    async with linked(write_seconds=20) as ends:
        began = trio.current_time()
        ends.link.outbox.push(text_frame(b"x" * 1_000_000))
        ends.link.flush()
        await ends.link.closed.wait()
        assert trio.current_time() - began == pytest.approx(20, abs=0.001)


async def test_a_peer_that_does_not_answer_a_close_is_cut_in_time() -> None:
    async with linked() as ends:
        began = trio.current_time()
        ends.link.end(CloseCode.NORMAL)
        await ends.link.closed.wait()
        assert trio.current_time() - began == 2


async def test_a_peer_that_is_gone_ends_the_link_at_the_next_write() -> None:
    async with linked() as ends:
        ends.other.close()
        ends.link.direct(b"x")
        assert ends.link.closed.is_set()
        ends.link.direct(b"y")
        ends.link.end(CloseCode.NORMAL)
        with pytest.raises((trio.BrokenResourceError, trio.Cancelled)):
            await ends.link.send(b"z")


async def test_send_returns_once_the_kernel_has_it() -> None:
    async with linked() as ends:
        done = trio.Event()

        async def send() -> None:
            await ends.link.send(b"x" * 500_000)
            done.set()

        ends.nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        assert len(await ends.read_all()) == 500_000
        assert done.is_set()


async def test_send_fails_when_the_link_ends_meanwhile() -> None:
    async with linked() as ends:
        failed: list[type[BaseException]] = []

        async def send() -> None:
            try:
                await ends.link.send(b"x" * 500_000)
            except trio.BrokenResourceError as error:
                failed.append(type(error))

        ends.nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        ends.link.end(CloseCode.REPLACED)
        await ends.read_all()
        assert failed == [trio.BrokenResourceError]


async def test_without_a_descriptor_all_goes_by_the_stream() -> None:
    async with linked(memory=True) as ends:
        ends.link.outbox.push(b"pushed")
        ends.link.direct(b"direct ")
        assert bytes(await ends.other.receive_some(100)) == b"direct pushed"


async def test_ending_tells_once() -> None:
    async with linked() as ends:
        told: list[int] = []
        ends.link.on_end = lambda: told.append(1)
        ends.link.end(CloseCode.TOO_SLOW)
        ends.link.end(CloseCode.NORMAL)
        assert told == [1]
        assert ends.link.ending == (CloseCode.TOO_SLOW, "too slow; resume brings everything stored")


async def test_a_fault_of_our_own_is_told_and_raised() -> None:
    async with linked() as ends:
        with pytest.raises(ZeroDivisionError):
            async with ends.link.owning_faults():
                raise ZeroDivisionError
        assert frames_of(ends.read_now())[0] == [close_frame(1011, "a fault of the server's own")]
