"""SIGTERM: in time whatever the clients do, with a word to those who listen, and without losing an ack."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.test_slow_reader import MIB, flood, read_to_the_end
from tests.e2e.wire import request
from tests.e2e.world import message, unique

pytestmark = pytest.mark.e2e

BUSY = 10.0  # seconds that a busy machine may add to any of the times here


def test_sigterm_with_fifty_clients_that_never_read_ends_in_five_seconds(make_world: MakeWorld) -> None:
    names = [f"idle{i}" for i in range(5)]
    world = make_world(("alice", *names), {"limits": {"queue_bytes": 8 * MIB}})
    group = world.group("alice", *names)
    for i in range(50):
        world.device(names[i % 5], receive_buffer=4096)
    alice = world.device("alice")
    flood(alice, group, 200, group=True)  # 3 MB for each: more than the kernel keeps, less than the queue
    start = time.monotonic()
    code = world.server.stop()
    assert code == 0, world.server.diagnosis()
    assert time.monotonic() - start <= 5 + BUSY


def test_sigterm_says_4404_to_those_who_read_and_loses_nothing_acked(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"))
    alice, bob = world.device("alice"), world.device("bob")
    refs = [unique("last") for _ in range(200)]
    alice.send_all(message("bob", ref, id=ref) for ref in refs)
    stopping = threading.Thread(target=world.server.stop)
    stopping.start()
    codes = [read_to_the_end(alice), read_to_the_end(bob)]
    stopping.join()
    assert codes == [4404, 4404]
    assert world.server.process is not None
    assert world.server.process.returncode == 0
    world.server.start()
    acked = [ref for ref in refs if any(a["type"] == "ack" for a in alice.answers[ref])]
    stored = [row["payload"]["content"] for row in world.history("alice", peer="bob")]
    assert set(acked) <= set(stored)
    assert len(stored) == len(set(stored))


def test_a_signal_that_comes_twice_at_once_is_one(make_world: MakeWorld) -> None:
    world = make_world(("alice",))
    alice = world.device("alice")
    process = world.server.process
    assert process is not None
    process.send_signal(signal.SIGINT)
    while "SIGINT: draining" not in world.server.log.read_text():
        assert world.server.alive
    process.send_signal(signal.SIGINT)
    assert read_to_the_end(alice) == 4404
    while process.poll() is None:
        process.send_signal(signal.SIGINT)  # until the very end
        time.sleep(0.001)  # a thousand a second: more than a held Ctrl-C makes
    assert process.returncode == 0, world.server.diagnosis()


def test_a_second_sigterm_ends_at_once(make_world: MakeWorld) -> None:
    world = make_world(("alice",), {"timeouts": {"drain_seconds": 30}})
    world.device("alice", receive_buffer=4096)
    process = world.server.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    start = time.monotonic()
    world.server.stop()
    assert time.monotonic() - start < 1 + BUSY


def test_requests_that_were_not_read_yet_at_a_sigterm_are_answered(make_world: MakeWorld) -> None:
    world = make_world(("alice",))
    get = request("/healthz", upgrade=False)
    fresh, kept, silent = world.wire(), world.wire(), world.wire()
    kept.send_bytes(get)
    assert kept.read_response().status == 200
    silent.send_bytes(get[:3])
    world.rest("alice").get("/api/users/me")  # by now the server has accepted all three
    process = world.server.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    fresh.send_bytes(get)
    kept.send_bytes(get)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    assert [fresh.read_response().status, kept.read_response().status] == [200, 200]
    assert silent.read_response().status == 503
    assert world.server.stop() == 0


def test_connections_on_which_nothing_happens_do_not_delay_the_end(make_world: MakeWorld) -> None:
    # A proxy always keeps one alive: a restart must not wait for the whole drain because of it.
    world = make_world(("alice",), {"timeouts": {"drain_seconds": 30}})
    world.wire()
    world.wire().send_bytes(request()[:30])
    kept = world.wire()
    kept.send_bytes(request("/healthz", upgrade=False))
    assert kept.read_response().status == 200
    world.upgraded().close()
    start = time.monotonic()
    assert world.server.stop() == 0
    assert time.monotonic() - start < 1 + BUSY
