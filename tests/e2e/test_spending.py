"""What one user can spend of the server's memory is bounded, and the others do not feel it.

The bounds are wide: what is held against them is a server that keeps what it should not, not the allocator's habits.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.frames import encode_frame
from tests.e2e.test_attachments import Peak
from tests.e2e.test_slow_reader import conversation
from tests.e2e.wire import PATIENCE
from tests.e2e.world import Device, World, unique

pytestmark = pytest.mark.e2e

MIB = 1 << 20
LARGE = "y" * 60_000
PEOPLE = ("alice", "victim", "carol", "dave")


def large(target: str, *, group: bool = False) -> dict[str, Any]:
    kind = "group_message" if group else "chat_message"
    payload = {"content": "", "extra": {"large": LARGE}}
    return {"type": kind, "payload": payload, "meta": {"target_id": target, "id": unique("large")}}


def fill(world: World, sender: Device, target: str, count: int) -> None:
    """Have many large messages stored."""
    for _ in range(0, count, 20):
        sent = [large(target) for _ in range(20)]
        sender.send_all(sent)
        for message in sent:
            sender.acked(message["meta"]["id"])


@contextmanager
def bystanders(world: World) -> Iterator[None]:
    """Have two others talk meanwhile, and hold that they could."""
    with conversation(world, "carol", "dave") as waits:
        yield
    assert len(waits) > 5
    assert max(waits) < 15


def test_replays_that_nobody_reads_cost_a_slice_each(make_world: MakeWorld) -> None:
    world = make_world(PEOPLE, {"timeouts": {"write_seconds": 20}})
    fill(world, world.device("alice"), "victim", 200)
    with bystanders(world), Peak(world.server) as peak:
        for number in range(40):
            world.device("victim", f"d{number}", sync=False, receive_buffer=4096)
        time.sleep(2)
    print(f"40 unread replays of 12 MB: +{peak.growth / MIB:.0f} MiB")
    assert peak.growth < 100 * MIB
    again = world.device("victim", "d-again")
    assert (again.synced["replayed"], len(again.messages)) == (200, 200)


def test_pages_that_nobody_reads_cost_few_pages_and_nobody_else_a_wait(make_world: MakeWorld) -> None:
    world = make_world(PEOPLE, {"timeouts": {"write_seconds": 60}})
    fill(world, world.device("alice"), "victim", 200)
    head = (
        "GET /api/messages/user/alice?limit=200 HTTP/1.1\r\nHost: relay\r\n"
        f"Authorization: Bearer {world.tokens['victim']}\r\n\r\n"
    )
    path = "/api/messages/user/victim?limit=200"
    wires = [world.wire(receive_buffer=4096) for _ in range(60)]
    with bystanders(world), Peak(world.server) as peak:
        for wire in wires:
            wire.send_bytes(head.encode())
        time.sleep(2)
        assert world.rest("alice").get(path).status_code == 200, "another's pages do not wait"
    print(f"60 unread pages: +{peak.growth / MIB:.0f} MiB")
    assert peak.growth < 80 * MIB
    for wire in wires[1:]:
        wire.close()
    page = json.loads(wires[0].read_response().body)
    assert page["has_more"]
    assert 10 <= len(page["messages"]) < 20
    assert world.rest("victim").get(path.replace("victim", "alice")).status_code == 200, "theirs go on as well"


def test_a_burst_larger_than_a_queue_closes_nobody_who_reads(make_world: MakeWorld) -> None:
    readers = [f"reader-{number}" for number in range(10)]
    world = make_world((*PEOPLE, *readers))
    group = world.group("alice", *readers)
    sent = [large(group, group=True) for _ in range(120)]
    devices = [world.device(name) for name in readers]
    got: dict[str, int] = {}

    def read(name: str, sock: socket.socket) -> None:
        """Read as fast as this machine can: bytes, and no JSON."""
        sock.settimeout(PATIENCE)
        count, rest = 0, b""
        while count < len(sent) and (data := sock.recv(MIB)):
            data = rest + data
            count += data.count(b'"type":"group_message"')
            rest = data[-21:] if not data.endswith(b'"type":"group_message"') else b""
        got[name] = count

    threads = [threading.Thread(target=read, args=(d.ready["user_id"], d.wire.socket)) for d in devices]
    for thread in threads:
        thread.start()
    burst = b"".join(encode_frame(json.dumps(message).encode()) for message in sent)
    with bystanders(world):
        alice = world.device("alice")
        alice.wire.send_bytes(burst)
        for thread in threads:
            thread.join()
    assert got == dict.fromkeys(readers, len(sent)), "7 MB in one burst, a queue holds 1"
