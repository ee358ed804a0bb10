"""What a stranger can write before a WebSocket exists, and what must come back each time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import ALLOWED_ORIGIN, HEAD_BYTES
from tests.e2e.frames import PING, encode_frame
from tests.e2e.wire import Closed, Gone, Response, Wire, hello, request
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

HASTY_SECONDS = 1.0
BOUND = 8.0  # seconds a deadline may be late on a busy machine; by default it is 10 s long

HEADERS = (
    "Host",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Origin",
    "Authorization",
    "X-Unknown",
)
NON_ASCII = "é\xff".encode("latin-1")
SOUND = {
    "Host": b"relay.test",
    "Connection": b"Upgrade",
    "Upgrade": b"websocket",
    "Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": b"13",
}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that waits for heads and hellos for a short time."""
    deadlines = {"head_seconds": HASTY_SECONDS, "hello_seconds": HASTY_SECONDS}
    world = World(tmp_path_factory.mktemp("hasty"), ("mallory",), {"timeouts": deadlines})
    yield world
    assert world.server.alive
    world.end()


def ask(world: World, data: bytes) -> tuple[Response, Wire]:
    wire = world.wire()
    wire.send_bytes(data)
    return wire.read_response(), wire


def assert_closes(wire: Wire, within: float) -> None:
    """Read whatever still comes; the connection must end in time."""
    deadline = time.monotonic() + within
    with contextlib.suppress(Gone):
        while True:
            wire.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                if not wire.socket.recv(65536):
                    return
            except TimeoutError:
                pytest.fail(f"still open after {within} s")
            except ConnectionError:
                return


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_not_ascii_is_answered_in_an_upgrade(world: World, name: str) -> None:
    value = SOUND.get(name, b"") + NON_ASCII
    response, wire = ask(world, request(headers={name: value}))
    assert response.status < 500
    if response.status == 101:
        assert wire.hello(world.tokens["mallory"], "d")["user_id"] == "mallory"


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_not_ascii_is_answered_in_a_plain_request(world: World, name: str) -> None:
    value = SOUND.get(name, b"") + NON_ASCII
    response, _ = ask(world, request("/healthz", {name: value}, upgrade=False))
    assert response.status < 500


def test_a_hello_in_the_packet_of_the_handshake_is_answered(world: World) -> None:
    wire = world.wire()
    first = encode_frame(_hello_bytes(world))
    wire.upgrade(together_with=first)
    assert wire.expect_ready()["user_id"] == "mallory"


def test_half_a_frame_in_the_packet_of_the_handshake_is_kept(world: World) -> None:
    wire = world.wire()
    first = encode_frame(_hello_bytes(world))
    wire.upgrade(together_with=first[:7])
    wire.send_bytes(first[7:])
    assert wire.expect_ready()["user_id"] == "mallory"


def test_a_handshake_that_comes_byte_by_byte_is_served(world: World) -> None:
    wire = world.wire()
    for byte in request():
        wire.send_bytes(bytes([byte]))
    assert wire.read_response().status == 101
    assert wire.hello(world.tokens["mallory"], "d")["user_id"] == "mallory"


def _hello_bytes(world: World) -> bytes:
    return json.dumps(hello(world.tokens["mallory"], "d")).encode()


def test_the_subprotocol_is_answered_when_offered_and_only_then(world: World) -> None:
    offered, _ = ask(world, request(headers={"Sec-WebSocket-Protocol": "chat, relay.v1"}))
    assert (offered.status, offered.headers.get("sec-websocket-protocol")) == (101, "relay.v1")
    silent, _ = ask(world, request())
    assert (silent.status, silent.headers.get("sec-websocket-protocol")) == (101, None)


def test_no_compression_is_negotiated(world: World) -> None:
    response, _ = ask(world, request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"}))
    assert response.status == 101
    assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize(
    ("head", "allowed"),
    [
        pytest.param(request("/elsewhere"), {404}, id="wrong path"),
        pytest.param(request("/ws/deeper"), {404}, id="path below"),
        pytest.param(request(method="POST", headers={"Content-Length": "0"}), {400, 405}, id="POST"),
        pytest.param(request(headers={"Sec-WebSocket-Version": "8"}), {400, 426}, id="old version"),
        pytest.param(request(headers={"Sec-WebSocket-Version": None}), {400, 426}, id="no version"),
        pytest.param(request(headers={"Sec-WebSocket-Key": None}), {400}, id="no key"),
        pytest.param(request(headers={"Sec-WebSocket-Key": "short"}), {400}, id="short key"),
        pytest.param(request(headers={"Sec-WebSocket-Key": ""}), {400}, id="empty key"),
        pytest.param(request(headers={"Host": None}), {400}, id="no host"),
        pytest.param(request(version="1.0"), {400, 426, 505}, id="HTTP 1.0 upgrade"),
        pytest.param(request(version="9.9"), {400, 505}, id="HTTP 9.9"),
        pytest.param(request("/ws", upgrade=False), {400, 404, 405, 426}, id="ws without upgrade"),
        pytest.param(request("/a b"), {400, 404}, id="space in the target"),
        pytest.param(request("/\0"), {400, 404}, id="nul in the target"),
        pytest.param(request("/healthz", {"X": "a\r\n b"}, upgrade=False), {200, 400}, id="folded header"),
        pytest.param(request("/healthz", {"X y": "1"}, upgrade=False), {400}, id="space in a name"),
        pytest.param(request("/healthz", {"Content-Length": "-1"}, upgrade=False), {400}, id="length -1"),
        pytest.param(request("/healthz", {"Content-Length": "1e3"}, upgrade=False), {400}, id="odd length"),
        pytest.param(b"\r\n" * 3 + b"\x16\x03\x01\x02\r\n\r\n", {400}, id="not HTTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 505}, id="HTTP 2 preface"),
        pytest.param(b"GET /healthz\r\n\r\n", {400}, id="HTTP 0.9"),
        pytest.param(b": \r\n\r\n", {400}, id="no request line"),
    ],
)
def test_a_wrong_head_is_refused_by_its_status(world: World, head: bytes, allowed: set[int]) -> None:
    response, _ = ask(world, head)
    assert response.status in allowed


def test_a_length_and_chunks_together_are_refused_or_end_the_connection(world: World) -> None:
    # Two parsers in a row that choose differently are how requests are smuggled past a proxy.
    smuggled = b"0\r\n\r\n" + request("/healthz", {"X-Smuggled": "1"}, upgrade=False)
    both = {"Content-Length": str(len(smuggled)), "Transfer-Encoding": "chunked"}
    response, wire = ask(world, request("/api/login", both, method="POST", upgrade=False) + smuggled)
    assert response.status >= 400
    if response.status != 400:
        assert_closes(wire, within=BOUND)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", ALLOWED_ORIGIN + ".evil.example", "http://[::1", "http://[::1:8484"]
)
def test_a_page_of_another_origin_is_closed_with_4506_and_told_where_to_be_listed(
    world: World, origin: str
) -> None:
    wire = world.wire()
    assert wire.upgrade(headers={"Origin": origin}).status == 101
    with pytest.raises(Closed, match=r"\[server\] allowed_origins") as closed:
        wire.recv_json()
    assert closed.value.code == 4506
    assert f"a page of the origin {origin!r} is refused" in world.server.log.read_text()


def test_a_tls_hello_to_the_plain_port_is_refused_at_once(world: World) -> None:
    response, wire = ask(world, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    assert response.status == 400
    assert "plain HTTP" in json.loads(response.body)["detail"]
    assert_closes(wire, within=BOUND)


@pytest.mark.parametrize("origin", [ALLOWED_ORIGIN, None], ids=["allowed", "none"])
def test_an_allowed_origin_and_a_program_without_one_may_connect(world: World, origin: str | None) -> None:
    response, _ = ask(world, request(headers={"Origin": origin}))
    assert response.status == 101


def test_the_servers_own_origin_may_connect(world: World) -> None:
    host = f"127.0.0.1:{world.server.port}"
    response, _ = ask(world, request(headers={"Host": host, "Origin": f"http://{host}"}))
    assert response.status == 101


def test_a_flood_of_headers_is_refused_and_closed(world: World) -> None:
    flood = request(headers={f"X-{i}": "y" * 100 for i in range(HEAD_BYTES // 50)})
    response, wire = ask(world, flood)
    assert response.status in (400, 431)
    assert_closes(wire, within=BOUND)


def test_a_request_line_without_end_is_refused_and_closed(world: World) -> None:
    response, wire = ask(world, b"GET /" + b"a" * 2 * HEAD_BYTES)
    assert response.status in (400, 414, 431)
    assert_closes(wire, within=BOUND)


@pytest.mark.parametrize("part", [b"", b"G", request()[:40], request("/", upgrade=False)[:-2]])
def test_half_a_head_and_silence_ends_in_time(hasty: World, part: bytes) -> None:
    wire = hasty.wire()
    wire.send_bytes(part)
    assert_closes(wire, within=HASTY_SECONDS + BOUND)


def test_a_head_that_drips_is_not_given_more_time(hasty: World) -> None:
    wire = hasty.wire()
    end = time.monotonic() + HASTY_SECONDS + BOUND

    def drip() -> None:
        while time.monotonic() < end:
            wire.send_bytes(b"a")
            time.sleep(0.05)

    with pytest.raises(Gone):
        drip()


def test_no_hello_in_time_is_closed_with_4401(hasty: World) -> None:
    wire = hasty.upgraded()
    assert wire.wait_closed(HASTY_SECONDS + BOUND) == 4401


def test_pings_do_not_stand_in_for_a_hello(hasty: World) -> None:
    wire = hasty.upgraded()
    end = time.monotonic() + HASTY_SECONDS + BOUND

    def keep_pinging() -> None:
        while time.monotonic() < end:
            wire.send_frame(b"", PING)
            with contextlib.suppress(TimeoutError):
                wire.recv_json(0.05)

    with pytest.raises(Closed) as closed:
        keep_pinging()
    assert closed.value.code == 4401


def test_half_a_hello_and_silence_is_closed_in_time(hasty: World) -> None:
    wire = hasty.upgraded()
    wire.send_bytes(encode_frame(_hello_bytes(hasty))[:20])
    assert wire.wait_closed(HASTY_SECONDS + BOUND) in (4401, None)


@pytest.mark.parametrize(
    "first",
    [
        {"type": "chat_message", "payload": {"content": "hi"}, "meta": {"target_id": "ann", "id": "early"}},
        {"type": "connection_event", "payload": {"event": "heartbeat", "cursor": 1}, "meta": {}},
        {"type": "connection_event", "payload": {"event": "ready"}, "meta": {}},
        {"type": "connection_event", "payload": {"event": "hello", "token": 5}, "meta": {"client_id": "d"}},
        {"type": "no_such_type", "payload": {}, "meta": {}},
    ],
    ids=["message", "heartbeat", "ready", "token of another type", "unknown type"],
)
def test_a_first_frame_that_is_no_hello_is_an_error_and_ends(hasty: World, first: object) -> None:
    wire = hasty.upgraded()
    wire.send_json(first)
    assert wire.recv_json()["type"] == "error"
    assert wire.wait_closed(HASTY_SECONDS + BOUND) in (4401, 4501, 4505)


@pytest.mark.parametrize("token", ["wrong", "", "é\U0001f600", "x" * 4096, None])
def test_a_wrong_token_is_closed_with_4501(world: World, token: str | None) -> None:
    assert world.refused_hello(token) == 4501


def test_a_token_in_the_url_is_worth_nothing(world: World) -> None:
    wire = world.wire()
    wire.send_bytes(request(f"/ws?token={world.tokens['mallory']}&access_token={world.tokens['mallory']}"))
    if wire.read_response().status == 101:
        wire.send_json(hello(None, "d"))
        assert wire.wait_closed() == 4501


def test_a_token_in_the_authorization_header_is_enough(world: World) -> None:
    wire = world.wire()
    wire.upgrade(headers={"Authorization": f"Bearer {world.tokens['mallory']}"})
    assert wire.hello(None, "d")["user_id"] == "mallory"


@pytest.mark.parametrize("stage", ["connected", "half a head", "upgraded", "half a frame", "ready"])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_peer_that_vanishes_takes_nobody_along(world: World, stage: str, how: str) -> None:
    wire = world.wire()
    if stage == "half a head":
        wire.send_bytes(request()[:50])
    elif stage != "connected":
        wire.upgrade()
    if stage == "half a frame":
        wire.send_bytes(encode_frame(b"x" * 500)[:100])
    elif stage == "ready":
        wire.hello(world.tokens["mallory"], "d")
    if how == "reset":
        wire.reset()
    else:
        wire.close()
