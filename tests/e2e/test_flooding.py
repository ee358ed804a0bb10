"""What strangers and users may send without end, while two others talk."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.frames import CONTINUATION, PONG, TEXT, encode_frame
from tests.e2e.wire import Gone
from tests.e2e.world import World

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
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("flood", [PONGS, FRAGMENTS], ids=["pongs", "fragments"])
def test_a_stranger_who_floods_with_small_frames_is_closed_and_others_talk_on(world: World, flood: bytes) -> None:
    codes: list[int | None] = []
    wires = [world.upgraded() for _ in range(5)]

    def attack() -> None:
        wire = wires.pop()
        with contextlib.suppress(Gone):
            wire.send_bytes(flood)
        codes.append(wire.wait_closed(10))

    with meanwhile(attack, 5):
        talk(world)
    assert set(codes) <= {4505, None}
    assert 4505 in codes


def test_a_user_who_sends_events_without_end_is_slowed_down_and_others_talk_on(make_world: MakeWorld) -> None:
    own = make_world(("ann", "ben", "mallory"), {"limits": {"events_per_second": 10}})
    event = json.dumps({"type": "connection_event", "payload": {"event": "active"}}).encode()
    refused = json.dumps({"type": "nonsense", "payload": {}, "meta": {"target_id": "ann", "id": "x"}}).encode()
    mallory = own.device("mallory")
    mallory.wire.send_bytes(encode_frame(event) * 500 + encode_frame(refused))
    talk(own)
    assert not mallory.pump(lambda: bool(mallory.answers["x"]), 0.2), "read as fast as it came"
    assert own.server.alive
