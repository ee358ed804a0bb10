"""The node port admits who knows the key of the term, and refuses all others in bounded time and space."""

from __future__ import annotations

import logging
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from relay.cluster.port import Address, NodePort, NodeRefused, Purpose, connect, introduce
from tests.e2e.receivers import make_certificate

KEY = "the key of term 3"


class Served:
    """A node port, and who was admitted."""

    def __init__(self, port: NodePort, nursery: trio.Nursery) -> None:
        self.port = port
        self.nursery = nursery
        self.admitted: list[tuple[Purpose, str]] = []
        self.open = 0

    async def handle(self, purpose: Purpose, stream: trio.abc.Stream, node: str) -> None:
        self.admitted.append((purpose, node))
        self.open += 1
        try:
            while data := await stream.receive_some(100):
                await stream.send_all(data.upper())
        finally:
            self.open -= 1

    def dial(self) -> Any:
        """Return the client's end of a connection."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.port.receive, theirs)
        return ours


@asynccontextmanager
async def leading(tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Run a port that admits nodes in term 3."""
    async with trio.open_nursery() as nursery:
        port = NodePort(tls)
        served = Served(port, nursery)
        handlers = {purpose: partial(served.handle, purpose) for purpose in Purpose}
        async with port.admitting(3, KEY, handlers):
            yield served
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_who_knows_the_key_is_handed_over_for_its_purpose(purpose: Purpose) -> None:
    async with leading() as served:
        stream = served.dial()
        await introduce(stream, 3, KEY, purpose, "second")
        await stream.send_all(b"what follows")
        assert await stream.receive_some(100) == b"WHAT FOLLOWS"
        assert served.admitted == [(purpose, "second")]


@pytest.mark.parametrize(
    ("term", "key", "node", "why"),
    [
        (3, "another key", "second", "the key is not that of term 3"),
        (2, KEY, "second", "this node leads in term 3, and not in term 2"),
        (3, KEY, "", "a node has a name"),
        (3, KEY, "x" * 101, "a node has a name of up to 100 characters"),
    ],
)
async def test_who_does_not_is_told_and_logged(
    term: int, key: str, node: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with leading() as served:
        stream = served.dial()
        with caplog.at_level(logging.WARNING), pytest.raises(NodeRefused, match=why):
            await introduce(stream, term, key, Purpose.LINK, node)
        assert await stream.receive_some(1) == b""
        assert served.admitted == []
    assert f"memory is refused at the node port: {why}" in caplog.text
    assert key not in caplog.text


async def test_a_purpose_that_is_not_served_is_refused() -> None:
    async with trio.open_nursery() as nursery:
        port = NodePort()
        async with port.admitting(3, KEY, {}):
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(port.receive, theirs)
            with pytest.raises(NodeRefused, match="nodes do not connect for 'copy'"):
                await introduce(ours, 3, KEY, Purpose.COPY, "second")


async def test_a_node_that_does_not_lead_refuses_everybody() -> None:
    async with trio.open_nursery() as nursery:
        port = NodePort()
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(port.receive, theirs)
        with pytest.raises(NodeRefused, match="this node does not lead"):
            await introduce(ours, 3, KEY, Purpose.LINK, "second")


async def test_at_the_end_of_the_term_all_its_connections_end() -> None:
    async with trio.open_nursery() as nursery:
        port = NodePort()
        served = Served(port, nursery)
        async with port.admitting(3, KEY, {Purpose.LINK: partial(served.handle, Purpose.LINK)}):
            stream = served.dial()
            await introduce(stream, 3, KEY, Purpose.LINK, "second")
            await trio.testing.wait_all_tasks_blocked()
            assert served.open == 1
        assert served.open == 0
        assert await stream.receive_some(1) == b""


async def test_who_says_nothing_is_closed_after_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    async with leading() as served:
        stream = served.dial()
        began = trio.current_time()
        while await stream.receive_some(100):
            pass
        assert trio.current_time() - began == 5
    assert "said no hello to the node port in 5 s" in caplog.text


async def test_a_hello_that_drips_gains_no_time() -> None:
    async with leading() as served:
        stream = served.dial()
        began = trio.current_time()
        with suppress(trio.BrokenResourceError):
            for byte in struct.pack(">H", 900) + b"x" * 900:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.5)
        assert trio.current_time() - began <= 5.5


async def test_strangers_are_few_at_once() -> None:
    async with leading() as served:
        held = [served.dial() for _ in range(64)]
        await trio.testing.wait_all_tasks_blocked()
        assert await served.dial().receive_some(1) == b""
        await held[0].aclose()
        await trio.testing.wait_all_tasks_blocked()
        await introduce(served.dial(), 3, KEY, Purpose.LINK, "second")
        await trio.testing.wait_all_tasks_blocked()
        assert served.admitted == [(Purpose.LINK, "second")]


def said(message: Any) -> bytes:
    data = msgspec.msgpack.encode(message)
    return struct.pack(">H", len(data)) + data


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        struct.pack(">H", 0),
        struct.pack(">H", 1025) + bytes(1025),
        said([1, 2, 3]),
        said({"purpose": "link"}),
        said({"purpose": 7, "node": "x", "term": 3, "nonce": b"", "proof": b""}),
        struct.pack(">H", 9) + b"\xff" * 9,
    ],
)
async def test_what_is_no_hello_is_refused(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with leading() as served:
        stream = served.dial()
        await stream.send_all(data)
        while await stream.receive_some(100):
            pass
        assert served.admitted == []
        assert "what comes from there is no hello of a node" in caplog.text
        await introduce(served.dial(), 3, KEY, Purpose.LINK, "second")


async def test_a_proof_is_of_use_once() -> None:
    async with leading() as served:
        relayed, proxied = served.dial(), trio.testing.memory_stream_pair()
        heard: list[bytes] = []

        async def between() -> None:
            """Pass a hello on, and keep it."""
            await proxied[1].send_all(await relayed.receive_some(2000))
            heard.append(bytes(await proxied[1].receive_some(2000)))
            await relayed.send_all(heard[0])
            await proxied[1].send_all(await relayed.receive_some(2000))

        served.nursery.start_soon(between)
        await introduce(proxied[0], 3, KEY, Purpose.LINK, "second")
        again = served.dial()
        await again.send_all(heard[0])
        answer = b""
        while more := await again.receive_some(2000):
            answer += more
        assert b"the key is not that of term 3" in answer


async def test_a_node_does_not_take_a_stranger_for_the_leader() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(said({"protocol": 1, "nonce": bytes(32)}) + said({"proof": bytes(32)}))
    with pytest.raises(NodeRefused, match="does not know the leader's key"):
        await introduce(ours, 3, KEY, Purpose.LINK, "second")


async def test_a_node_of_another_protocol_is_told_of() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(said({"protocol": 2, "nonce": bytes(32)}))
    with pytest.raises(NodeRefused, match="the leader speaks protocol 2 of nodes, and this node 1"):
        await introduce(ours, 3, KEY, Purpose.LINK, "second")


async def test_a_fault_of_our_own_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(_stream: trio.abc.Stream, _node: str) -> None:
        raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        port = NodePort()
        async with port.admitting(3, KEY, {Purpose.LINK: handle}):
            for _ in range(2):
                ours, theirs = trio.testing.memory_stream_pair()
                nursery.start_soon(port.receive, theirs)
                await introduce(ours, 3, KEY, Purpose.LINK, "second")
                assert await ours.receive_some(1) == b""
    assert "a connection of node second ended with a fault of our own" in caplog.text


@pytest.mark.parametrize(
    ("text", "host"), [("node.example.org:8485", "node.example.org"), ("[2001:db8::1]:8485", "2001:db8::1")]
)
def test_an_address_is_a_host_and_a_port(text: str, host: str) -> None:
    assert Address.parse(text) == (host, 8485)


@pytest.mark.parametrize(
    "text", ["", "node", ":8485", "node:", "node:0", "node:65536", "node:x", "2001:db8::1:8485"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="a node's address is HOST:PORT"):
        Address.parse(text)


@pytest.mark.real_time
@pytest.mark.parametrize("with_tls", [False, True])
async def test_over_sockets_with_and_without_certificates(tmp_path: Path, with_tls: bool) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem", "localhost")
    server, client = contexts(certificate) if with_tls else (None, None)
    async with leading(server) as served:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        served.nursery.start_soon(served.port.serve, [listener])
        address = f"localhost:{listener.socket.getsockname()[1]}"
        with trio.fail_after(60):
            stream = await connect(address, 3, KEY, Purpose.LINK, "second", tls=client)
            await stream.send_all(b"hello")
            assert await stream.receive_some(100) == b"HELLO"
            await stream.aclose()
            with pytest.raises(NodeRefused, match="not that of term 3"):
                await connect(address, 3, "another", Purpose.LINK, "second", tls=client)
            if with_tls:
                stranger = ssl.create_default_context(cafile=str(certificate))  # has no certificate of its own
                with pytest.raises(OSError, match="broke"):
                    await connect(address, 3, KEY, Purpose.LINK, "second", tls=stranger)
                with pytest.raises((OSError, NodeRefused)):
                    await connect(address, 3, KEY, Purpose.LINK, "second")


@pytest.mark.real_time
async def test_where_nobody_listens_is_told() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(OSError, match=str(port)):
        await connect(f"127.0.0.1:{port}", 3, KEY, Purpose.LINK, "second")


def contexts(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context that asks for certificates, and a client's that has one."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(certificate))
    for context in (server, client):
        context.load_cert_chain(certificate)
    return server, client
