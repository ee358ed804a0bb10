"""The front door: deadlines and limits on heads, refusals, and one peer's fault that stays its own."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from relay.protocol.errors import CLOSE_REASONS, CloseCode
from relay.protocol.framing import close_frame
from relay.testing import UPGRADE, Closed, Device, World
from relay.testing import world as open_world


async def answer(stream: Any) -> tuple[int, dict[str, Any], str]:
    """Return the status of one refusal, its problem, and its head."""
    data = b""
    while True:
        piece = await stream.receive_some(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), json.loads(body), head


async def knock(server: World, data: bytes) -> tuple[int, dict[str, Any], str]:
    """Send bytes to the server and return what it refuses them with."""
    stream = await server.dial()
    await stream.send_all(data)
    return await answer(stream)


@pytest.mark.world(RELAY_TIMEOUTS__HEAD_SECONDS="7")
async def test_a_head_that_never_ends_is_answered_at_exactly_the_deadline(world: World) -> None:
    stream = await world.dial()
    began = trio.current_time()
    await stream.send_all(UPGRADE[:-2])
    first = await stream.receive_some(1)
    assert trio.current_time() - began == 7
    assert (first + await stream.receive_some(1000)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_gains_no_time(tmp_path: Path) -> None:
    async with open_world(tmp_path, RELAY_TIMEOUTS__HEAD_SECONDS="7") as world, trio.open_nursery() as nursery:
        stream = await world.dial()
        began = trio.current_time()

        async def drip() -> None:
            for byte in UPGRADE:
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        assert (await stream.receive_some(9)).startswith(b"HTTP/1.1 ")
        assert trio.current_time() - began == 7
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [16_000, 16_384])
@pytest.mark.world
async def test_a_head_of_up_to_the_limit_is_read(world: World, size: int) -> None:
    stream = await world.dial()
    padding = size - len(UPGRADE) + 4 - len(b"X-Pad: \r\n")
    await stream.send_all(UPGRADE.replace(b"Host", b"X-Pad: " + b"x" * padding + b"\r\nHost"))
    assert (await stream.receive_some(12)) == b"HTTP/1.1 101"


@pytest.mark.parametrize(
    "data",
    [UPGRADE.replace(b"Host", b"X-Pad: " + b"x" * 16_400 + b"\r\nHost"), b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000],
)
@pytest.mark.world
async def test_a_head_over_the_limit_is_refused(world: World, data: bytes) -> None:
    status, problem, _ = await knock(world, data)
    assert (status, problem["code"]) == (431, "too_large")


@pytest.mark.world
async def test_what_is_no_http_is_refused(world: World) -> None:
    status, problem, _ = await knock(world, b"\x16\x03\x01 hello?\r\n\r\n")
    assert (status, problem["retry"]) == (400, False)


@pytest.mark.world
async def test_a_peer_that_leaves_before_its_head_is_over_is_answered_nothing(world: World) -> None:
    stream = await world.dial()
    await stream.send_all(b"GET /ws")
    await stream.send_eof()
    assert await stream.receive_some(100) == b""
    await trio.testing.wait_all_tasks_blocked()
    assert world.door.streams == set()


@pytest.mark.world
async def test_an_upgrade_while_draining_is_told_to_come_back(world: World) -> None:
    world.engine.drain.begin()
    status, problem, head = await knock(world, UPGRADE)
    assert (status, problem["code"], problem["retry"]) == (503, "overloaded", True)
    assert "Retry-After: 1" in head


async def test_a_page_of_another_origin_is_refused_unless_listed(tmp_path: Path) -> None:
    listed = '["https://app.example.org"]'
    async with open_world(tmp_path, RELAY_SERVER__ALLOWED_ORIGINS=listed) as world:
        stream = await world.dial()
        await stream.send_all(UPGRADE.replace(b"Host", b"Origin: https://evil.example\r\nHost"))
        data = b""
        while piece := await stream.receive_some(1000):
            data += piece
        head, _, close = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert close == close_frame(4506, CLOSE_REASONS[CloseCode.ORIGIN_REFUSED])
        stream = await world.dial()
        await stream.send_all(UPGRADE.replace(b"Host", b"Origin: https://app.example.org\r\nHost"))
        assert (await stream.receive_some(12)) == b"HTTP/1.1 101"


@pytest.mark.world(RELAY_LIMITS__CONNECTIONS_PER_ADDRESS="2")
async def test_connections_of_one_address_are_limited_and_a_place_is_given_back(world: World) -> None:
    one, two = await world.upgrade(), await world.upgrade()
    status, problem, head = await knock(world, UPGRADE)
    assert (status, problem["retry"]) == (503, True)
    assert "Retry-After: 10" in head
    await one.cut()
    await trio.testing.wait_all_tasks_blocked()
    three = await world.upgrade()
    for device in (two, three):
        await device.cut()
    await trio.testing.wait_all_tasks_blocked()
    assert world.door._per_address == {}


async def test_behind_a_trusted_proxy_each_client_has_its_own_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay.transports import reception

    monkeypatch.setattr(reception, "_peer_address", lambda _stream: "10.0.0.1")
    environ = {"RELAY_LIMITS__CONNECTIONS_PER_ADDRESS": "1", "RELAY_SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]'}
    async with open_world(tmp_path, **environ) as world:
        for address, status in (("203.0.113.1", 101), ("203.0.113.2", 101), ("203.0.113.1", 503)):
            stream = await world.dial()
            await stream.send_all(UPGRADE.replace(b"Host", b"X-Forwarded-For: " + address.encode() + b"\r\nHost"))
            assert int((await stream.receive_some(12))[9:12]) == status


HOSTILE = [
    b"\xff" * 200,
    UPGRADE.replace(b"Host: relay", b"Host: \xe9"),
    UPGRADE.replace(b"Host: relay", b"Sec-WebSocket-Protocol: \xff\r\nHost: relay"),
    UPGRADE.replace(b"Host: relay", b"Sec-WebSocket-Extensions: \xff\r\nHost: relay"),
    UPGRADE.replace(b"Host: relay", b"Origin: https://[\r\nHost: relay"),
    UPGRADE + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    UPGRADE + b"\x81\x85\x00\x00\x00\x00\xff\xfe\xfd\xfc\xfb",
    UPGRADE + b"\x88\x82\x00\x00\x00\x00\x00\x00",
    UPGRADE + b"\x89\x80\x00\x00\x00\x00" * 100,
    UPGRADE + b"\x81\x82\x00\x00\x00\x00{}" * 100,
]


@pytest.mark.parametrize("data", HOSTILE, ids=[f"{index}" for index in range(len(HOSTILE))])
async def test_one_peers_fault_is_its_own_and_no_fault_of_ours(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        bad = await world.dial()
        await bad.send_all(data)
        await trio.testing.wait_all_tasks_blocked()
        await alice.say("bob", "still here?", id="1")
        assert (await bob.next("chat_message"))["payload"]["content"] == "still here?"
        await bad.aclose()
        await trio.sleep(60)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("where", ["draft_nowait", "draft"])
async def test_a_fault_of_our_own_ends_that_connection_with_1011_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    async with open_world(tmp_path, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")

        def broken(*_: Any) -> None:
            raise ZeroDivisionError("ours")

        with monkeypatch.context() as patch:
            patch.setattr(world.engine.dispatcher, where, broken)
            await alice.say("bob", "x", id="1")
            assert (await alice.closed()).code == 1011
        await bob.say("alice", "x", id="2")
        await bob.next("ack")
    assert "ZeroDivisionError: ours" in caplog.text


async def test_a_close_that_meets_a_ping_is_still_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from wsproto.events import Ping

    async with open_world(tmp_path, "alice") as world:
        alice = await world.connect("alice")
        for websocket in list(world.door.websockets):
            websocket.end(4404)  # type: ignore[arg-type]
        await alice.stream.send_all(alice.frames.send(Ping(b"?")))
        assert (await alice.closed()).code == 4404
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_message_to_somebody_new_on_a_full_disk_is_overloaded_and_the_connection_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relay.storage.errors import StorageFailed

    async with open_world(tmp_path, "alice", "bob") as world:
        alice = await world.connect("alice")

        async def full(*_: Any, **__: Any) -> None:
            raise StorageFailed("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(world.engine.runner, "write", full)
            await alice.say("bob", "x", id="1")
            error = await alice.next("error")
            assert (error["payload"]["code"], error["payload"]["retry"]) == ("overloaded", True)
        await alice.say("bob", "x", id="1")
        await alice.next("ack")


async def test_a_hello_on_a_full_disk_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from relay.storage.errors import StorageFailed

    async with open_world(tmp_path, "alice") as world:

        async def full(*_: Any, **__: Any) -> None:
            raise StorageFailed("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(world.engine.runner, "write", full)
            with pytest.raises(Closed) as refused:
                await world.connect("alice")
        assert refused.value.code == 4405
        await world.connect("alice")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.world("alice", RELAY_LIMITS__STRANGERS_PER_ADDRESS="3")
async def test_those_who_said_who_they_are_do_not_count_as_strangers(world: World) -> None:
    for number in range(3):
        await world.connect("alice", f"device-{number}")
    waiting = await world.upgrade()
    await trio.sleep(6)  # nobody is sent away within the first five seconds
    await world.upgrade()
    assert await waiting.drain() == []
    assert waiting.end is None


async def test_a_forwarded_address_of_who_is_not_trusted_is_spoken_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forwarded = UPGRADE[:-2] + b"X-Forwarded-For: 203.0.113.4\r\n\r\n"
    async with open_world(tmp_path, "alice") as world:
        for _ in range(3):
            stream = await world.dial()
            await stream.send_all(forwarded)
            assert (await stream.receive_some(9)) == b"HTTP/1.1 "
            await stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
    told = [record.getMessage() for record in caplog.records if "X-Forwarded-For" in record.getMessage()]
    assert len(told) == 1
    assert told[0].endswith("if it is your proxy, add it: [server] trusted_proxies")


@pytest.mark.world("alice", RELAY_HEARTBEAT__INTERVAL_SECONDS="20")
async def test_an_idle_socket_of_a_probe_gets_heartbeats_until_it_says_anything(world: World) -> None:
    target = f"GET /ws?probe={world.engine.probes.begin()} ".encode()
    stream = await world.dial()
    began = trio.current_time()
    await stream.send_all(UPGRADE.replace(b"GET /ws ", target))
    assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 101 ")
    assert b'"heartbeat"' in await stream.receive_some(1000)
    assert b'"heartbeat"' in await stream.receive_some(1000)
    assert trio.current_time() - began == 40
    await stream.send_all(b"\x88\x80\0\0\0\0")
    assert await stream.receive_some(1000) == b""


@pytest.mark.world("alice", RELAY_TIMEOUTS__HELLO_SECONDS="7")
async def test_a_socket_of_no_probe_must_say_hello_as_any_other(world: World) -> None:
    stream = await world.dial()
    began = trio.current_time()
    await stream.send_all(UPGRADE.replace(b"GET /ws ", b"GET /ws?probe=probe_guessed "))
    while await stream.receive_some(1000):
        pass
    assert trio.current_time() - began >= 7


async def test_a_place_is_given_back_by_every_connection_however_it_ends(world: World) -> None:
    device, stranger = await world.connect("alice"), await world.upgrade()
    silent, wrong = await world.dial(), await world.dial()
    await trio.sleep(0.1)
    assert world.door._lobby._open == 4
    await wrong.send_all(b"nonsense\r\n\r\n")
    await device.event("goodbye")
    await device.closed()
    await device.cut()
    await stranger.cut()
    await silent.aclose()
    await wrong.aclose()
    await trio.sleep(1)
    assert world.door._lobby._open == 0


async def test_a_token_in_the_head_of_the_upgrade_is_as_good_as_one_in_the_hello(world: World) -> None:
    stream = await world.dial()
    bearer = f"Authorization: bearer {world.tokens['alice']}\r\n\r\n".encode()
    await stream.send_all(UPGRADE[:-2] + bearer)
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(1)
    device = Device(stream, world.described)
    await device.event("hello")
    assert (await device.next("ready"))["payload"]["user_id"] == "alice"
