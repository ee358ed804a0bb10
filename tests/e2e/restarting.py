"""A crowd of clients that lives through restarts, and what it saw of them; see `python -m tests.restarts`."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from relay.client import Client, connect
from relay.client.address import parse
from relay.client.pending import PendingSend
from relay.client.websocket import dial_tcp

CROWD_JS = Path(__file__).parents[1] / "js" / "e2e" / "crowd.js"
PROBE_SECONDS = 0.1
GET_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Ledger:
    """What clients sent, what was acked, and what reached whom; and since when each of them is live.

    Args:
        peers: whom each user writes to; nobody is written to by two.
    """

    def __init__(self, peers: Mapping[str, str]) -> None:
        self.peers = peers
        self.sent: dict[str, list[str]] = {user: [] for user in peers}
        self.acked: dict[str, int] = {}
        self.received: dict[str, list[str]] = {user: [] for user in peers}
        self.positions: dict[str, set[int]] = defaultdict(set)
        self.live_at: dict[str, float] = {}
        self.refused = 0
        self._changed = trio.lowlevel.ParkingLot()

    def note(self, said: Mapping[str, Any]) -> None:
        """Note what a client says: that it is live, or that it has sent, has an ack, has received, was refused."""
        user, own_id = said.get("user", ""), said.get("id", "")
        match said["event"]:
            case "live":
                self.live_at[user] = said["at"]
            case "sent":
                self.sent[user].append(own_id)
            case "acked":
                self.acked[own_id] = said["message_id"]
            case "received":
                self.received[user].append(own_id)
                self.positions[own_id].add(said["message_id"])
            case "refused":
                self.refused += 1
        self._changed.unpark_all()

    async def wait(self, found: Callable[[], bool]) -> None:
        """Wait until something is true of this ledger."""
        while not found():
            await self._changed.park()

    def all_live_since(self, moment: float) -> bool:
        """Tell whether every client became live after a moment of Unix time."""
        return len(self.live_at) == len(self.peers) and min(self.live_at.values()) > moment

    def counts(self) -> dict[str, int]:
        """Return how many messages each user has sent, for `missing` and `doubled`."""
        return {user: len(ids) for user, ids in self.sent.items()}

    def missing(self, counts: Mapping[str, int]) -> int:
        """Return how many of each user's first messages have no ack, or have not reached their recipient."""
        return sum(
            own_id not in self.acked or own_id not in self.positions
            for user, count in counts.items()
            for own_id in self.sent[user][:count]
        )

    def doubled(self) -> int:
        """Return how many messages were stored twice, came twice, or came in another order than they were sent."""
        wrong = sum(
            self.positions[own_id] != {at} for own_id, at in self.acked.items() if own_id in self.positions
        )
        for user, peer in self.peers.items():
            came = self.received[peer]
            wrong += sum(one != other for one, other in zip(came, self.sent[user], strict=False))
            wrong += max(0, len(came) - len(self.sent[user]))
        return wrong


class Crowd:
    """Python clients, one for each user, that send and read until they are told to stop.

    Args:
        pause: seconds between two messages of a client.
        until: set when nobody is to send any more; clients leave once all that was sent has come.
    """

    def __init__(self, url: str, ledger: Ledger, pause: float, until: trio.Event) -> None:
        self.url = url
        self.ledger = ledger
        self.pause = pause
        self.until = until

    async def run(self, tokens: Mapping[str, str]) -> None:
        """Run the clients of these users."""
        async with trio.open_nursery() as nursery:
            for user, token in tokens.items():
                nursery.start_soon(self._run_client, user, token, nursery)
            await self.until.wait()
            # One that left earlier would not receive what is still sent to it.
            await self.ledger.wait(lambda: self.ledger.missing(self.ledger.counts()) == 0)
            nursery.cancel_scope.cancel()

    async def _run_client(self, user: str, token: str, nursery: trio.Nursery) -> None:
        address = parse(self.url)

        async def dial() -> trio.abc.Stream:
            try:
                return await dial_tcp(address, None)
            except OSError:
                self.ledger.note({"event": "refused", "user": user})
                raise

        async with connect(self.url, token, client_id=f"{user}-device", dial=dial) as client:
            nursery.start_soon(self._send, client, user, nursery)
            async for event in client:
                if event.event == "synced":
                    self.ledger.note({"event": "live", "user": user, "at": time.time()})
                elif event.type == "chat_message" and event.sender_id != user:
                    came = {"user": user, "id": event.payload["content"], "message_id": event.message_id}
                    self.ledger.note({"event": "received", **came})

    async def _send(self, client: Client, user: str, nursery: trio.Nursery) -> None:
        with trio.move_on_after(random.uniform(0, self.pause)):  # not all in one moment
            await self.until.wait()
        number = 0
        while not self.until.is_set():
            number += 1
            own_id = f"{user}-{number}"
            self.ledger.note({"event": "sent", "user": user, "id": own_id})
            target = self.ledger.peers[user]
            sent = client.send_nowait("chat_message", {"content": own_id}, target_id=target, id=own_id)
            nursery.start_soon(self._wait_acked, sent)
            with trio.move_on_after(self.pause):
                await self.until.wait()

    async def _wait_acked(self, sent: PendingSend) -> None:
        ack = await sent.wait()
        self.ledger.note({"event": "acked", "id": sent.id, "message_id": ack.message_id})


async def run_clients_in_node(
    url: str, tokens: Mapping[str, str], ledger: Ledger, pause: float, until: trio.Event
) -> None:
    """Run a client of the JavaScript SDK for each user, as `Crowd` does, in one process of node's."""
    people = [{"user": user, "token": token, "peer": ledger.peers[user]} for user, token in tokens.items()]
    command = ["node", str(CROWD_JS), url, str(pause), json.dumps(people)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_take_lines, process.stdout, ledger)
            await until.wait()
            await process.stdin.send_all(b"stop\n")
            await ledger.wait(lambda: ledger.missing(ledger.counts()) == 0)
            await process.stdin.aclose()
            await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
    assert process.returncode == 0, f"node ended with {process.returncode}"


async def _take_lines(output: trio.abc.ReceiveStream, ledger: Ledger) -> None:
    rest = b""
    async for part in output:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            ledger.note(json.loads(line))


class Probe:
    """One who asks for `/healthz` all the time, each time over a new connection, and notes the answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.refused = 0
        self.cut = 0
        self.sent_away = 0
        self.answered = 0
        self.slowest = 0.0

    async def run(self) -> None:
        """Ask every tenth of a second, without waiting for the earlier answers."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._ask)
                await trio.sleep(PROBE_SECONDS)

    async def _ask(self) -> None:
        began = trio.current_time()
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        except OSError:
            self.refused += 1
            return
        async with stream:
            try:
                await stream.send_all(GET_HEALTH)
                answer = await stream.receive_some(64)
            except trio.BrokenResourceError:
                answer = b""
        if answer.startswith(b"HTTP/1.1 200"):
            self.answered += 1
            self.slowest = max(self.slowest, trio.current_time() - began)
        elif answer.startswith(b"HTTP/1.1 503"):
            self.sent_away += 1  # it had not asked yet when the drain began
        else:
            self.cut += 1


def names(count: int) -> Sequence[str]:
    """Return names for so many users."""
    return [f"u{number}" for number in range(count)]
