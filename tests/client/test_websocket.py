"""The upgrade, and peers that do not get through it."""

from __future__ import annotations

import pytest
import trio

from relay.client import RelayClosed
from tests.client.peer import Peer, waits


async def test_leaving_does_not_hang_on_a_peer_that_reads_nothing(peer: Peer) -> None:
    async with peer.connect():
        stream = await peer.accept_stream()
        await trio.sleep(1)
        left = trio.current_time()
    assert trio.current_time() - left < 5
    await stream.aclose()


async def test_a_handshake_that_never_ends_is_given_up_and_tried_again(peer: Peer) -> None:
    async with peer.connect() as client:
        await peer.accept_stream()
        await peer.live()
        await client.wait_live()
        assert trio.current_time() == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 101 \xff\r\nupgrade: \xfe\r\n\r\n", b"\x00" * 70_000, b"HTTP/1.1 503 x\r\n\r\n"]
)
async def test_nonsense_in_the_handshake_ends_that_connection_only(peer: Peer, answer: bytes) -> None:
    async with peer.connect() as client:
        stream = await peer.accept_stream()
        if answer:
            await stream.send_all(answer)
        await stream.aclose()
        await peer.live()
        await client.wait_live()
        assert trio.current_time() < 2


async def test_a_refused_upgrade_is_final_and_says_so(peer: Peer) -> None:
    async with peer.connect() as client:
        stream = await peer.accept_stream()
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(RelayClosed) as closed:
            await client.wait_live()
        assert closed.value.code == 404


async def test_an_overloaded_upgrade_is_tried_again_when_the_server_says(peer: Peer) -> None:
    async with peer.connect() as client:
        stream = await peer.accept_stream()
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 12\r\nContent-Length: 0\r\n\r\n")
        await peer.live()
        await client.wait_live()
        assert waits(peer.dials) == pytest.approx([12])
