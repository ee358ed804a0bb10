"""A client that stops reading costs a bounded amount of memory, and nobody else anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.server import Tables
from tests.e2e.test_resume import back
from tests.e2e.wire import PATIENCE, Closed, Gone
from tests.e2e.world import Device, World, message, unique

pytestmark = pytest.mark.e2e

MIB = 1 << 20
QUEUE_BYTES = 256 * 1024
CONTENT = "x" * 15_000
# What the kernel itself takes for a stalled connection is a few MB; the rest must overflow the queue.
FLOOD = 600
SLOW: Tables = {
    "replay": {"limit": 100_000},
    "limits": {"queue_bytes": QUEUE_BYTES},
    "timeouts": {"write_seconds": 15},
}


@contextmanager
def conversation(world: World, a: str, b: str) -> Iterator[list[float]]:
    """Have two others talk meanwhile; yields the list of how long each message took to arrive."""
    first, second = world.device(a), world.device(b)
    waits: list[float] = []
    failures: list[BaseException] = []
    over = threading.Event()

    def talk() -> None:
        try:
            while not over.is_set():
                content = unique("talk")
                start = time.monotonic()
                first.acked(first.send(b, content))
                second.wait_content(content)
                second.messages.clear()
                waits.append(time.monotonic() - start)
                over.wait(0.01)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
    assert failures == []


def flood(sender: Device, target: str, count: int, *, group: bool = False, step: int = 10) -> list[str]:
    """Send big messages, at most `step` of them at once, and return their ids."""
    refs = [unique("flood") for _ in range(count)]
    for start in range(0, count, step):
        part = refs[start : start + step]
        sender.send_all(message(target, CONTENT, id=ref, group=group) for ref in part)
        for ref in part:
            sender.acked(ref)
    return refs


def test_one_who_never_reads_is_cut_at_the_bound_and_disturbs_nobody(make_world: MakeWorld) -> None:
    world = make_world(("alice", "victim", "carol", "dave"), SLOW)
    alice = world.device("alice")
    flood(alice, "dave", 20)  # what the first messages allocate for good is not the victim's doing
    victim = world.device("victim", receive_buffer=4096)
    before = world.server.rss_bytes()
    with conversation(world, "carol", "dave") as waits:
        refs = flood(alice, "victim", FLOOD)
        code = read_to_the_end(victim)
    assert code in (4403, None)
    assert max(waits) < 10, "others went on talking"
    assert len(waits) > 20
    assert world.server.rss_bytes() - before < 24 * MIB
    assert ids(victim) + ids(back(world, victim)) == refs, "resume brings everything stored, each once"


def test_a_burst_over_the_queue_delivers_nothing_behind_what_it_dropped(make_world: MakeWorld) -> None:
    # A cursor that moved past a hole would hide the hole from the resume.
    world = make_world(("alice", "bob"), SLOW)
    alice = world.device("alice")
    bob = world.device("bob")
    for _ in range(5):
        bob = back(world, bob)
        refs = flood(alice, "bob", 40, step=40)
        assert read_to_the_end(bob) in (4403, None)
        received = ids(bob)
        assert received == refs[: len(received)]
        again = back(world, bob)
        assert received + ids(again) == refs
        bob = again


def ids(device: Device) -> list[str]:
    return [m["meta"]["id"] for m in device.messages]


def read_to_the_end(victim: Device) -> int | None:
    """Read what the kernel still holds, up to the end of the connection."""
    try:
        while True:
            victim.take(PATIENCE)
    except Closed as closed:
        return closed.code
    except Gone:
        return None


def test_a_replay_larger_than_the_queue_is_paced_and_not_cut(make_world: MakeWorld) -> None:
    world = make_world(("alice", "bob"), SLOW)
    alice = world.device("alice")
    refs = flood(alice, "bob", 300)
    before = world.server.rss_bytes()
    bob = world.device("bob", receive_buffer=65536, sync=False)
    for _ in range(30):
        bob.take(PATIENCE)
        time.sleep(0.01)
    assert bob.sync()["replayed"] == 300
    assert ids(bob) == refs
    assert world.server.rss_bytes() - before < 24 * MIB
