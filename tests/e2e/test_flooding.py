"""What strangers and users may send without end, while two others talk."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.frames import CONTINUATION, PONG, TEXT, encode_frame
from tests.e2e.server import RELAY
from tests.e2e.wire import PATIENCE, Gone, Wire, request
from tests.e2e.world import World, unique

pytestmark = pytest.mark.e2e

PONGS = encode_frame(b"", PONG) * 5000
FRAGMENTS = encode_frame(b"", TEXT, fin=False) + encode_frame(b"", CONTINUATION, fin=False) * 5000


def talk(world: World, times: int = 20) -> None:
    """Have ann and ben exchange messages."""
    ann, ben = world.device("ann"), world.device("ben")
    for number in range(times):
        ann.say("ben", f"word {number}")
        ben.wait_content(f"word {number}")


@contextlib.contextmanager
def meanwhile(act: Callable[[], None], times: int) -> Iterator[None]:
    """Run something in threads beside the block."""
    threads = [threading.Thread(target=act) for _ in range(times)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("flood", [PONGS, FRAGMENTS], ids=["pongs", "fragments"])
def test_a_stranger_who_floods_with_small_frames_is_closed_and_others_talk_on(world: World, flood: bytes) -> None:
    codes: list[int | None] = []
    wires = [world.upgraded() for _ in range(5)]

    def attack() -> None:
        wire = wires.pop()
        with contextlib.suppress(Gone):
            wire.send_bytes(flood)
        codes.append(wire.wait_closed())

    with meanwhile(attack, 5):
        talk(world)
    assert set(codes) <= {4505, None}
    assert 4505 in codes


def test_a_user_who_sends_events_without_end_is_slowed_down_and_others_talk_on(make_world: MakeWorld) -> None:
    own = make_world(("ann", "ben", "mallory"), {"limits": {"events_per_second": 10}})
    event = json.dumps({"type": "connection_event", "payload": {"event": "active"}}).encode()
    refused = json.dumps({"type": "nonsense", "payload": {}, "meta": {"target_id": "ann", "id": "x"}}).encode()
    mallory = own.device("mallory")
    mallory.wire.send_bytes(encode_frame(event) * 2000 + encode_frame(refused))
    talk(own)
    assert not mallory.pump(lambda: bool(mallory.answers["x"]), 0.2), "read as fast as it came"
    assert own.server.alive


def silent(world: World, count: int) -> list[socket.socket]:
    """Open connections that say nothing."""
    found = [socket.create_connection(world.server.address, timeout=PATIENCE) for _ in range(count)]
    for one in found:
        world.opened.callback(one.close)
    return found


def ended(connections: list[socket.socket]) -> int:
    """Return how many of them the server has closed."""
    count = 0
    for one in connections:
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            count += one.recv(1, socket.MSG_PEEK) == b""
    return count


def test_silent_connections_of_one_address_make_room_for_those_who_ask(make_world: MakeWorld) -> None:
    own = make_world(("ann", "ben"), {"limits": {"strangers_per_address": 50}, "timeouts": {"head_seconds": 600}})
    idle = own.wire()
    idle.send_bytes(request("/healthz", upgrade=False))
    assert idle.read_response().status == 200
    crowd = silent(own, 200)
    time.sleep(5.1)  # none is sent away within its first five seconds
    talk(own)
    wait_for(lambda: ended(crowd) >= 150)
    assert own.rest(None).get("/healthz").status_code == 200
    with pytest.raises(Gone):
        idle.read_response()
    said = [line for line in own.server.log.read_text().splitlines() if "strangers_per_address" in line]
    assert len(said) == 1


def test_without_descriptors_for_all_the_rest_is_refused_and_everything_else_goes_on(
    make_world: MakeWorld,
) -> None:
    own = make_world(("ann", "ben"))
    own.server.stop()
    own.server.files = 256
    own.server.start()
    devices = []
    statuses = []
    for _ in range(300):
        wire = own.wire()
        statuses.append(asked(wire, request()))
        if statuses[-1] == 101:
            wire.hello(own.tokens["ann"], unique("device"))
            devices.append(wire)
    assert set(statuses) == {101, 503}
    assert statuses.count(101) == 168
    assert own.rest(None).get("/healthz").status_code == 200
    assert "ann" in own.server.relay("user", "list")
    devices.pop().close()
    wait_for(lambda: asked(own.wire(), request()) == 101)
    assert len(own.server.log.read_text().splitlines()) < 20, own.server.log.read_text()


def test_the_limit_on_open_files_is_raised_to_the_hard_one(make_world: MakeWorld) -> None:
    own = make_world(())
    own.server.stop()
    own.server.command = ("prlimit", "--nofile=256:4096", *RELAY)
    own.server.start()
    assert resource.prlimit(own.server.pid, resource.RLIMIT_NOFILE) == (4096, 4096)


def asked(wire: Wire, head: bytes) -> int:
    wire.send_bytes(head)
    return wire.read_response().status


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
