"""The stream between a peer and a library: bytes given back, deadlines on every send, and a true end."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing

from relay.transports.peer import PassedOn, PeerStream


def pair(**options: Any) -> tuple[PeerStream, trio.testing.MemorySendStream, Any]:
    ours, theirs = trio.testing.memory_stream_pair()
    return PeerStream(theirs, b"", write_seconds=20, **options), ours, theirs


class Stuck(trio.abc.Stream):
    """A peer that takes nothing, and closes no faster."""

    def __init__(self) -> None:
        self.closed = False

    async def send_all(self, data: Any) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.closed = True


async def test_what_was_read_already_is_read_again_first_and_in_order() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    peer = PeerStream(theirs, b"one", write_seconds=20)
    peer.unread(b"zero ")
    await ours.send_all(b"two")
    assert await peer.receive_some() == b"zero one"
    peer.unread(b"again")
    assert await peer.receive_some() == b"again"
    assert await peer.receive_some() == b"two"


async def test_times_of_life_are_noted() -> None:
    peer, ours, _ = pair()
    assert peer.last_inbound == peer.last_outbound == trio.current_time()
    await trio.sleep(5)
    await ours.send_all(b"x")
    await peer.receive_some()
    assert peer.last_inbound == trio.current_time()
    await trio.sleep(5)
    await peer.send_all(b"y")
    assert (peer.last_inbound, peer.last_outbound) == (trio.current_time() - 5, trio.current_time())


async def test_giving_back_is_no_sign_of_life() -> None:
    peer, _, _ = pair()
    began = trio.current_time()
    await trio.sleep(5)
    peer.unread(b"x")
    await peer.receive_some()
    assert peer.last_inbound == began


async def test_a_peer_that_does_not_read_is_cut_at_the_deadline_and_stays_cut() -> None:
    inner = Stuck()
    peer = PeerStream(inner, b"", write_seconds=20)
    began = trio.current_time()
    with pytest.raises(trio.BrokenResourceError, match="did not read in time"):
        await peer.send_all(b"half a frame")
    assert trio.current_time() - began == 20
    assert inner.closed
    with pytest.raises(trio.BrokenResourceError, match="by force"):
        await peer.send_all(b"the other half")
    assert trio.current_time() - began == 20


async def test_the_deadline_holds_under_a_shield() -> None:
    peer = PeerStream(Stuck(), b"", write_seconds=20)
    with pytest.raises(trio.BrokenResourceError), trio.CancelScope(shield=True):
        await peer.send_all(b"x")
    assert trio.current_time() == pytest.approx(20, abs=1)


async def test_a_close_that_takes_too_long_is_forced() -> None:
    inner = Stuck()
    peer = PeerStream(inner, b"", write_seconds=20)
    began = trio.current_time()
    await peer.aclose()
    assert trio.current_time() - began == 20
    assert inner.closed
    assert peer.aborted


async def test_the_end_of_what_is_sent_is_said_where_the_stream_can() -> None:
    peer, ours, _ = pair()
    await peer.send_eof()
    assert await ours.receive_some() == b""
    await PeerStream(Stuck(), b"", write_seconds=1).send_eof()


async def test_a_stream_in_memory_has_addresses_and_no_descriptor() -> None:
    peer, _, _ = pair(address="203.0.113.9")
    assert peer.write_now(b"x") == 0
    assert peer.address == "203.0.113.9"
    assert peer.socket.getpeername()[0] == peer.socket.getsockname()[0] == "127.0.0.1"


class Passed(PassedOn):
    """A client of another node that takes three bytes at once."""

    def __init__(self) -> None:
        self.address = "203.0.113.7"
        self.taken = b""

    def write_now(self, data: bytes) -> int:
        self.taken += data[:3]
        return len(data[:3])

    def has_unread(self) -> bool:
        return False

    async def send_all(self, data: Any) -> None:
        raise AssertionError

    wait_send_all_might_not_block = send_eof = receive_some = aclose = send_all  # type: ignore[assignment]


async def test_what_another_node_takes_for_its_client_is_sent_at_once() -> None:
    passed = Passed()
    peer = PeerStream(passed, b"", write_seconds=1)
    assert peer.write_now(b"abcdef") == 3
    assert passed.taken == b"abc"


async def test_what_the_kernel_takes_of_a_socket_is_sent_at_once() -> None:
    a, b = trio.socket.socketpair()
    peer = PeerStream(trio.SocketStream(a), b"", write_seconds=1)
    with b:
        assert peer.write_now(b"abc") == 3
        assert await b.recv(9) == b"abc"
        assert peer.socket is a
    await peer.aclose()


def over_sockets() -> tuple[PeerStream, socket.socket]:
    """Return a peer's stream on a real connection, and the peer's own end of that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return PeerStream(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), b"", write_seconds=20), theirs


@pytest.mark.real_time
async def test_a_socket_is_read_as_it_brings_something_until_its_end() -> None:
    peer, theirs = over_sockets()
    with theirs:
        theirs.sendall(b"one")
        assert await peer.receive_some() == b"one"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, theirs.sendall, b"two")
            assert await peer.receive_some(2) == b"tw"
        assert await peer.receive_some() == b"o"
    assert await peer.receive_some() == b""
    await peer.aclose()


@pytest.mark.real_time
async def test_a_socket_that_breaks_and_one_that_is_closed_here_are_told_apart() -> None:
    peer, theirs = over_sockets()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()  # a reset
    with pytest.raises(trio.BrokenResourceError):
        await peer.receive_some()
    await peer.abort()
    with pytest.raises(trio.ClosedResourceError):
        await peer.receive_some()


@pytest.mark.real_time
async def test_a_socket_that_is_closed_here_wakes_whoever_reads_from_it() -> None:
    peer, theirs = over_sockets()

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await peer.receive_some()

    with theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await peer.abort()


@pytest.mark.real_time
async def test_a_socket_that_wakes_its_reader_for_nothing_is_waited_for_again(monkeypatch: Any) -> None:
    peer, theirs = over_sockets()
    reads, read = [], os.read

    def nothing_at_first(descriptor: int, size: int) -> bytes:
        reads.append(descriptor)
        if len(reads) == 1:
            raise BlockingIOError
        return read(descriptor, size)

    with theirs:
        theirs.sendall(b"late")
        with monkeypatch.context() as patch:
            patch.setattr("relay.transports.peer.os.read", nothing_at_first)
            assert await peer.receive_some() == b"late"
    assert len(reads) == 2
    await peer.aclose()
