"""A whole server through a link, on real sockets: what works at the leader works at the other node."""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import pytest
import trio

import relay.client
from relay.client import Client
from tests.cluster.passing import Nodes, two_nodes
from tests.e2e.receivers import make_certificate

pytestmark = pytest.mark.real_time

PATIENCE = 60
SIZE = 20_000_000


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    with trio.fail_after(2 * PATIENCE):
        async with two_nodes(tmp_path, "alice", "bob") as running:
            yield running


def rest(nodes: Nodes, port: int, user: str = "alice") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {nodes.tokens[user]}"}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE, trust_env=False
    )


async def told(client: Client, type_: str = "chat_message") -> str:
    """Return the content of the next message."""
    async for event in client:
        if event.type == type_:
            return str(event.payload["content"])
    raise AssertionError("the client is closed")


async def test_messages_both_ways_between_the_nodes_clients(nodes: Nodes) -> None:
    here, there = f"http://127.0.0.1:{nodes.direct}", f"http://127.0.0.1:{nodes.passed}"
    async with (
        relay.client.connect(here, nodes.tokens["alice"]) as alice,
        relay.client.connect(there, nodes.tokens["bob"]) as bob,
    ):
        for number in range(100):
            await bob.send("chat_message", {"content": f"from there {number}"}, target_id="alice")
            await alice.send("chat_message", {"content": f"from here {number}"}, target_id="bob")
        for number in range(100):
            assert await told(alice) == f"from there {number}"
            assert await told(bob) == f"from here {number}"


async def test_a_message_of_many_frames_and_a_burst(nodes: Nodes) -> None:
    async with relay.client.connect(f"http://127.0.0.1:{nodes.passed}", nodes.tokens["bob"]) as bob:
        async with relay.client.connect(f"http://127.0.0.1:{nodes.passed}", nodes.tokens["alice"]) as alice:
            await bob.wait_live()
            for number in range(60):
                alice.send_nowait("chat_message", {"content": f"{number} " + "x" * 9000}, target_id="bob")
            await alice.flush()
        for number in range(60):
            assert await told(bob) == f"{number} " + "x" * 9000


async def test_pages_and_rest_through_the_other_node(nodes: Nodes) -> None:
    async with rest(nodes, nodes.passed) as client:
        for _ in range(3):  # over one connection, which is kept
            assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/api/conversations")).status_code == 200
        assert "<html" in (await client.get("/")).text
        assert (await client.get("/nowhere")).status_code == 404
    statistics = nodes.forwarder.statistics()
    assert statistics.lanes <= 1 < statistics.frames_in


@pytest.mark.parametrize("way", ["up at one, down at the other", "both at the other"])
async def test_large_files_come_out_as_they_went_in(nodes: Nodes, way: str) -> None:
    content = random.Random(7).randbytes(SIZE)
    upload = nodes.direct if way.startswith("up") else nodes.passed
    async with rest(nodes, upload) as client:
        kept = (await client.post("/api/attachments", content=content)).json()
    assert kept["sha256"] == hashlib.sha256(content).hexdigest()
    async with rest(nodes, nodes.passed) as client:
        assert (await client.get(f"/api/attachments/{kept['attachment_id']}")).content == content


async def test_a_message_to_a_group_goes_over_the_link_once(tmp_path: Path) -> None:
    users = [f"member{number:02d}" for number in range(50)]
    with trio.fail_after(2 * PATIENCE):
        async with two_nodes(tmp_path, *users) as nodes, AsyncExitStack() as stack:
            body = {"name": "Team", "group_id": "team", "members": users}
            async with rest(nodes, nodes.passed, users[0]) as client:
                assert (await client.post("/api/groups", json=body)).status_code == 201
            there = f"http://127.0.0.1:{nodes.passed}"
            clients = [
                await stack.enter_async_context(relay.client.connect(there, nodes.tokens[user])) for user in users
            ]
            for one in clients:
                await one.wait_live()
            before = nodes.links.statistics()["second"]
            for number in range(20):
                await clients[0].send("group_message", {"content": f"message {number}"}, target_id="team")
            for number in range(20):
                for one in clients[1:]:
                    assert await told(one, "group_message") == f"message {number}"
            after = nodes.links.statistics()["second"]
            assert after.shared - before.shared >= 20 * 48


async def test_with_a_certificate_the_other_node_speaks_tls_and_the_link_does_not(tmp_path: Path) -> None:
    file = str(make_certificate(tmp_path / "certificate.pem", "localhost"))
    environ = {"RELAY_SERVER__TLS_CERTIFICATE": file, "RELAY_SERVER__TLS_KEY": file}
    context = ssl.create_default_context(cafile=file)
    with trio.fail_after(2 * PATIENCE):
        async with two_nodes(tmp_path, "alice", "bob", **environ) as nodes:
            content = random.Random(8).randbytes(2_000_000)
            headers = {"Authorization": f"Bearer {nodes.tokens['alice']}"}
            there = f"https://localhost:{nodes.passed}"
            async with httpx.AsyncClient(
                base_url=there, headers=headers, verify=context, timeout=PATIENCE, trust_env=False
            ) as client:
                kept = (await client.post("/api/attachments", content=content)).json()
                assert (await client.get(f"/api/attachments/{kept['attachment_id']}")).content == content
            async with (
                relay.client.connect(there, nodes.tokens["alice"], ssl_context=context) as alice,
                relay.client.connect(there, nodes.tokens["bob"], ssl_context=context) as bob,
            ):
                await alice.send("chat_message", {"content": "sealed"}, target_id="bob")
                assert await told(bob) == "sealed"


async def test_limits_by_address_and_proxies_hold_through_the_link(tmp_path: Path) -> None:
    environ = {"RELAY_LIMITS__CONNECTIONS_PER_ADDRESS": "2", "RELAY_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]'}
    upgrade = (
        "GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: %s\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with trio.fail_after(2 * PATIENCE):
        async with two_nodes(tmp_path, **environ) as nodes, AsyncExitStack() as stack:
            answers = []
            for address in ["203.0.113.7"] * 3 + ["203.0.113.8"]:
                stream = await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", nodes.passed))
                await stream.send_all((upgrade % address).encode())
                answers.append((await stream.receive_some(12))[9:])
            assert answers == [b"101", b"101", b"503", b"101"]


async def test_when_the_link_is_cut_its_clients_are_cut_and_others_are_not(nodes: Nodes) -> None:
    async with (
        relay.client.connect(f"http://127.0.0.1:{nodes.direct}", nodes.tokens["alice"]) as alice,
        await trio.open_tcp_stream("127.0.0.1", nodes.passed) as stream,
    ):
        await alice.wait_live()
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert (await stream.receive_some(12)) == b"HTTP/1.1 200"
        await trio.aclose_forcefully(nodes.forwarder.link._stream)
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some(65536):
                pass
        while nodes.links.statistics():
            await trio.sleep(0.01)
        ack = await alice.send("chat_message", {"content": "still here"}, target_id="bob")
        assert ack.seq == 1
