"""The real server and the real client in memory, on virtual time, over a network that cuts and a server that dies.

The seed decides everything that the test decides; a failure names it. At the end every device has received
every message of its conversations exactly once, in the order of `seq`, and every send was stored once.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import trio

import relay.client
from relay.client import Backoff, Client
from relay.testing import World
from relay.testing import world as open_world

PEOPLE = {"alice": ["alice-desk", "alice-phone"], "bob": ["bob-desk"], "carol": ["carol-web"]}
MESSAGES = 25


class Network:
    """Between the clients and whichever server lives; cuts what it likes, when it likes."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.server: World | None = None
        self.streams: list[trio.abc.Stream] = []

    async def dial(self) -> trio.abc.Stream:
        if self.server is None:
            raise OSError("connection refused")
        stream = await self.server.dial()
        self.streams.append(stream)
        return stream

    async def cut_now_and_then(self) -> None:
        while True:
            await trio.sleep(self.rng.uniform(0.2, 4))
            if self.streams:
                await trio.aclose_forcefully(self.streams.pop(self.rng.randrange(len(self.streams))))


class Run:
    """One simulated afternoon."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.rng = random.Random(seed)
        self.network = Network(self.rng)
        self.tokens: dict[str, str] = {}
        self.received: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.acked: dict[str, list[int]] = defaultdict(list)
        self.writing = 0

    async def server(self, ready: trio.Event) -> None:
        """Run servers one after the other on one database; each ends without any warning to anybody."""
        while True:
            async with open_world(self.path, RELAY_LIMITS__MESSAGES_PER_SECOND="0") as world:
                if not self.tokens:
                    await world.user(*PEOPLE)
                    self.tokens = dict(world.tokens)
                    await world.engine.groups.create("alice", "Team", ["bob", "carol"], "team")
                self.network.server = world
                ready.set()
                await trio.sleep(self.rng.uniform(3, 15))
                self.network.server = None
            await trio.sleep(self.rng.uniform(0, 2))

    async def device(self, user: str, name: str, nursery: trio.Nursery) -> None:
        async with relay.client.connect(
            "http://relay",
            self.tokens[user],
            client_id=name,
            dial=self.network.dial,
            rng=random.Random(self.rng.random()),
            backoff=Backoff(base=0.1, cap=2.0),
        ) as client:
            nursery.start_soon(self.write, client, user, name)
            async for event in client:
                if event.seq is not None:
                    self.received[name][conversation(user, event)].append(event.seq)

    async def write(self, client: Client, user: str, name: str) -> None:
        others = [other for other in PEOPLE if other != user]
        for number in range(MESSAGES):
            await trio.sleep(self.rng.uniform(0, 0.6))
            target = self.rng.choice([*others, "team"])
            kind = "group_message" if target == "team" else "chat_message"
            ack = await client.send(kind, {"content": f"{name} {number}"}, target_id=target)
            self.acked[name].append(ack.message_id or 0)
        self.writing -= 1


def conversation(user: str, event: Any) -> str:
    if event.target_id == "team":
        return "team"
    return ":".join(sorted({event.sender_id, event.target_id}))


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIMULATION_SEEDS", "12"))))
async def test_every_device_receives_everything_once_and_in_order(tmp_path: Path, seed: int) -> None:
    run = Run(tmp_path, seed)
    names = [(user, name) for user, devices in PEOPLE.items() for name in devices]
    run.writing = len(names)
    async with trio.open_nursery() as nursery:
        ready = trio.Event()
        nursery.start_soon(run.server, ready)
        await ready.wait()
        nursery.start_soon(run.network.cut_now_and_then)
        for user, name in names:
            nursery.start_soon(run.device, user, name, nursery)
        with trio.fail_after(3600):
            while run.writing:
                await trio.sleep(1)
            await trio.sleep(120)
        nursery.cancel_scope.cancel()

    async with open_world(tmp_path) as world:
        rows = await world.engine.runner.read(
            lambda c: c.execute(
                "SELECT c.address, l.seq, l.message_id, l.client_id FROM log l JOIN channels c USING (channel_id)"
                " ORDER BY l.seq"
            ).fetchall()
        )
    stored: dict[str, list[int]] = defaultdict(list)
    own: dict[tuple[str, str], set[int]] = defaultdict(set)
    positions: dict[str, list[int]] = defaultdict(list)
    for address, seq, message_id, client_id in rows:
        name = address.partition(":")[2]
        stored[name].append(seq)
        own[client_id, name].add(seq)
        positions[client_id].append(message_id)
    for name, seqs in stored.items():
        assert seqs == list(range(1, len(seqs) + 1)), f"seed {seed}: {name} has holes"
    for user, device in names:
        assert len(set(run.acked[device])) == MESSAGES, f"seed {seed}: {device} was acked something twice"
        assert sorted(run.acked[device]) == sorted(positions[device]), f"seed {seed}: {device}"
        for name, seqs in stored.items():
            if name != "team" and user not in name.split(":"):
                continue
            got = run.received[device][name]
            assert len(got) == len(set(got)), f"seed {seed}: {device} received something twice in {name}"
            missing = set(seqs) - set(got) - own[device, name]
            assert not missing, f"seed {seed}: {device} misses {sorted(missing)} of {name}"
