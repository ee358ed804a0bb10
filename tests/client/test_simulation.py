"""A whole life in virtual time: a small server with a log, a network that cuts, and a process that dies.

The seed decides everything, so a failure is repeated by its number.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from relay.client import Client
from tests.client.peer import Far, Peer

INBOUND = 60
OUTBOUND = 30


class LogServer:
    """Keeps one rising log; acks what it has, replays after the cursor, and cuts connections at random."""

    def __init__(self, peer: Peer, rng: random.Random) -> None:
        self.peer = peer
        self.rng = rng
        self.log: list[tuple[int, str | None, str]] = []  # (message_id, id of an own message, text)
        self.grown = trio.lowlevel.ParkingLot()

    def add(self, id: str | None, text: str) -> int:
        self.log.append((len(self.log) + 1, id, text))
        self.grown.unpark_all()
        return len(self.log)

    async def write_to_client(self) -> None:
        for number in range(INBOUND):
            await trio.sleep(self.rng.uniform(0, 1))
            self.add(None, f"in {number}")

    async def serve(self) -> None:
        while True:
            far = await self.peer.accept()
            with trio.move_on_after(self.rng.uniform(0.01, 6)):
                try:
                    await self._talk(far)
                except* ConnectionClosed:
                    pass
            await trio.aclose_forcefully(far.stream)

    async def _talk(self, far: Far) -> None:
        hello = await far.ready()
        known = hello.get("cursor", 0)
        end = len(self.log)
        owed = [entry for entry in self.log[known:end] if entry[1] is None]
        self.rng.shuffle(owed)
        for number, _, text in owed:
            await far.message(number, text, replay=True)
            await trio.sleep(self.rng.uniform(0, 0.05))
        await far.synced(end)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, far, end)
            try:
                await self._take(far)
            finally:
                nursery.cancel_scope.cancel()

    async def _deliver(self, far: Far, position: int) -> None:
        # Acks go out here too, in the order of the log, as the protocol promises.
        try:
            while True:
                while position >= len(self.log):
                    await self.grown.park()
                number, id, text = self.log[position]
                position += 1
                await (far.message(number, text) if id is None else far.ack(id, number))
        except ConnectionClosed:
            return

    async def _take(self, far: Far) -> None:
        while True:
            frame: dict[str, Any] = await far.receive_message()
            id, text = frame["meta"]["id"], frame["payload"]["content"]
            earlier = [number for number, known, _ in self.log if known == id]
            if earlier:
                await far.ack(id, earlier[0], duplicate=True)
            else:
                self.add(id, text)


async def live_once(peer: Peer, path: Path, rng: random.Random, got: list[str], sent: list[str]) -> None:
    """Run the application until its process dies."""
    with trio.CancelScope() as process:

        async def die() -> None:
            await trio.sleep(rng.uniform(2, 15))
            process.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(die)
            async with peer.connect(state=path, inbox_capacity=16, in_flight=4) as client:
                nursery.start_soon(write, client, rng, sent)
                async for event in client:
                    got += [event.payload["content"]] if event.type == "chat_message" else []


async def write(client: Client, rng: random.Random, sent: list[str]) -> None:
    while len(sent) < OUTBOUND:
        text = f"out {len(sent)}"
        pending = client.send_nowait("chat_message", {"content": text}, target_id="bob", id=text)
        await pending.wait_saved()
        sent.append(text)
        await trio.sleep(rng.uniform(0, 1.5))


@pytest.mark.parametrize("seed", range(25))
async def test_everything_arrives_once_both_ways_whatever_breaks(
    peer: Peer, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def vanish(self: Client) -> None:
        """Leave as a killed process does: no word to the server, nothing more to the disk."""
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Client, "_depart", vanish)
    rng = random.Random(seed)
    server = LogServer(peer, rng)
    got: list[str] = []
    sent: list[str] = []
    lives = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve)
        nursery.start_soon(server.write_to_client)
        with trio.fail_after(3_000):
            while len(set(got)) < INBOUND or len([1 for _, id, _ in server.log if id]) < OUTBOUND:
                await live_once(peer, tmp_path / "state", rng, got, sent)
                lives += 1
        nursery.cancel_scope.cancel()
    stored = [text for _, id, text in server.log if id is not None]
    assert stored == sent == [f"out {number}" for number in range(OUTBOUND)]
    assert sorted(set(got)) == sorted(f"in {number}" for number in range(INBOUND))
    # A process that dies with an event in its hands is given it again; nothing else comes twice.
    assert len(got) - len(set(got)) <= lives
