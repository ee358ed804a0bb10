"""Reminders of a real server that is killed around their time: each comes, and comes once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.wire import PATIENCE
from tests.e2e.world import World, unique

pytestmark = pytest.mark.e2e

KILLS = 2
EACH = 20
"""Reminders that are due around one kill: half of them in a conversation, half for their author alone."""

APART = 0.01
"""Seconds between them."""


def ask(world: World, first: float, texts: list[str]) -> None:
    """Ask for reminders that come one after the other, from `first` on, and wait for all acks."""
    device = world.device("alice")
    refs = [unique() for _ in texts]
    device.send_all(
        {
            "type": "remind",
            "payload": {"text": text, "at": first + number * APART, "only_me": number % 2 == 1},
            "meta": {"target_id": "bob", "id": ref},
        }
        for number, (text, ref) in enumerate(zip(texts, refs, strict=True))
    )
    for ref in refs:
        device.acked(ref)


def test_reminders_that_are_due_around_a_kill_come_once(tmp_path: Path) -> None:
    world = World(tmp_path, ("alice", "bob"), {"plugins": {"also": ["remind"]}})
    asked: list[str] = []
    try:
        for kill in range(KILLS):
            texts, first = [f"{kill}-{number}" for number in range(EACH)], time.time() + 3.0
            ask(world, first, texts)
            asked += texts
            time.sleep(max(0.0, first + EACH * APART * (kill + 1) / KILLS - time.time()))
            world.server.kill()
            world.server.start()
        rest, deadline = world.rest("alice"), time.monotonic() + PATIENCE
        while rest.get("/api/reminders").json()["reminders"]:
            assert time.monotonic() < deadline, "reminders wait beyond their time"
            time.sleep(0.05)
        came = world.history("bob", peer="alice")
        came += rest.get("/api/notifications", params={"limit": 200}).json()["messages"]
        assert sorted(row["payload"]["text"] for row in came if row["type"] == "reminder") == sorted(asked)
    finally:
        world.end()
