"""Clients that live through whatever befalls the nodes they are spread over, and a ledger of what they saw."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import trio

from relay.client import Backoff, Client, Event, RelayError, connect
from relay.client.pending import PendingSend
from tests.e2e.wire import Address

MESSAGES: Final = ("chat_message", "group_message")
WINDOW: Final = 16
"""Messages of one client without an ack; while nobody leads they are all that it has sent."""

GROUP_SHARE, REACTION_SHARE, EDIT_SHARE = 0.3, 0.05, 0.03
SIZES: Final = (0, 10, 100, 2000)
BACKOFF: Final = Backoff(base=0.1, cap=1.0)


class Sent(NamedTuple):
    """A message that was given to a client; `at` is of the monotonic clock."""

    ref: str
    sender: str
    device: str
    target: str
    at: float


class Acked(NamedTuple):
    """Where an ack says that a message stands, through which node it came, and when."""

    message_id: int
    seq: int
    node: int
    at: float


class Came(NamedTuple):
    """A message that a device received."""

    message_id: int
    seq: int
    conversation: str
    ref: str


@dataclass
class Ledger:
    """What all clients sent, had acknowledged, and received.

    Attributes:
        devices: of each user.
        groups: the members of each.
        received: by device, in the order in which it came.
        wrong: what a client was told that it must never be told.
        others: edits and reactions that were acknowledged.
        order: what was acknowledged, in the order of the acks.
    """

    devices: Mapping[str, Sequence[str]]
    groups: Mapping[str, Sequence[str]]
    sent: dict[str, Sent] = field(default_factory=dict)
    acked: dict[str, Acked] = field(default_factory=dict)
    received: dict[str, list[Came]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    others: int = 0
    order: list[str] = field(default_factory=list)
    changed: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    def entitled(self, sent: Sent) -> set[str]:
        """Return the devices that a message must come to: all of those it is for, but the one that sent it."""
        users = {sent.sender, *self.groups.get(sent.target, [sent.target])}
        return {device for user in users for device in self.devices[user]} - {sent.device}

    def note_ack(self, ref: str, acked: Acked) -> None:
        """Note an ack."""
        self.acked[ref] = acked
        self.order.append(ref)
        self.changed.unpark_all()

    def note_message(self, device: str, came: Came) -> None:
        """Note a message that came to a device."""
        self.received[device].append(came)
        self.changed.unpark_all()

    async def wait_ack_since(self, moment: float) -> float:
        """Wait for the ack of a message that was sent after a moment; return when the first one came."""
        seen = len(self.order)
        while seen and self.acked[self.order[seen - 1]].at > moment:
            seen -= 1
        while True:
            for ref in self.order[seen:]:
                if self.sent[ref].at > moment:
                    return self.acked[ref].at
            seen = len(self.order)
            await self.changed.park()

    def waiting(self) -> list[str]:
        """Return what is not acknowledged, or has not come everywhere."""
        came = {device: {one.ref for one in found} for device, found in self.received.items()}
        return [
            ref
            for ref, sent in self.sent.items()
            if ref not in self.acked or any(ref not in came.get(one, ()) for one in self.entitled(sent))
        ]


class Member:
    """One device: it goes to another node when its connection is lost."""

    def __init__(self, user: str, device: str, first: int, crowd: Crowd) -> None:
        self.user = user
        self.device = device
        self.node = first % len(crowd.addresses)
        self.dialled = False
        self.crowd = crowd
        self.ledger = crowd.ledger
        self.random = random.Random(f"{crowd.seed}/{device}")
        self.count = 0
        self.client: Client | None = None
        near = [name for name in crowd.ledger.devices if name != user]
        at = self.random.randrange(len(near))
        self.peers = (near + near)[at : at + 3]
        self.groups = [name for name, members in crowd.ledger.groups.items() if user in members]
        self.newest: Came | None = None

    async def run(self, nursery: trio.Nursery) -> None:
        """Send and receive, until cancelled."""
        state = self.crowd.folder / f"{self.device}.db"
        async with connect(
            "http://cluster.test", self.crowd.tokens[self.user], client_id=self.device, state=state,
            backoff=BACKOFF, dial=self._dial, rng=self.random,
        ) as self.client:  # fmt: skip
            nursery.start_soon(self._send, self.client, nursery)
            async for event in self.client:
                self._take(event)

    async def _dial(self) -> trio.abc.Stream:
        """Connect to the node this device begins with; later to any other, and at last to the same."""
        nodes = list(range(len(self.crowd.addresses)))
        nodes.remove(self.node)
        self.random.shuffle(nodes)
        nodes.insert(len(nodes) if self.dialled else 0, self.node)
        self.dialled = True
        error: OSError = ConnectionRefusedError("no node is there")
        for self.node in nodes:
            try:
                return await trio.open_tcp_stream(*self.crowd.addresses[self.node])
            except OSError as refused:
                error = refused
        raise error

    def _take(self, event: Event) -> None:
        if event.event == "ready" and self.ledger.received[self.device] and not event.payload["resumed"]:
            self.ledger.wrong.append(f"{self.device} was not resumed: {event.payload}")
        if event.gaps:
            self.ledger.wrong.append(f"{self.device} has gaps: {event.gaps}")
        if event.type not in MESSAGES:
            return
        assert event.message_id is not None
        assert event.seq is not None
        assert event.target_id is not None
        assert event.sender_id is not None
        is_group = event.type == "group_message"
        name = event.target_id if is_group else " ".join(sorted((event.sender_id, event.target_id)))
        came = Came(event.message_id, event.seq, name, event.meta.get("id", ""))
        self.ledger.note_message(self.device, came)
        self.newest = came

    async def _send(self, client: Client, nursery: trio.Nursery) -> None:
        await trio.sleep(self.random.uniform(0, self.crowd.pause))
        while not self.crowd.until.is_set():
            if client.unanswered < WINDOW:
                self._say(client, nursery)
            with trio.move_on_after(self.crowd.pause * self.random.uniform(0.5, 1.5)):
                await self.crowd.until.wait()

    def _say(self, client: Client, nursery: trio.Nursery) -> None:
        self.count += 1
        ref = f"{self.device}-{self.count}"
        chance = self.random.random()
        if chance < REACTION_SHARE and self.newest is not None:
            self._react(client, nursery, ref, self.newest)
            return
        if chance > 1 - EDIT_SHARE and self._edit(client, nursery, ref):
            return
        to_group = bool(self.groups) and self.random.random() < GROUP_SHARE
        target = self.random.choice(self.groups if to_group else self.peers)
        sent = Sent(ref, self.user, self.device, target, time.monotonic())
        self.ledger.sent[ref] = sent
        payload = {"content": f"{ref} " + "word " * (self.random.choice(SIZES) // 5)}
        pending = client.send_nowait(MESSAGES[to_group], payload, target_id=target, id=ref)
        nursery.start_soon(self._wait_ack, pending)

    def _react(self, client: Client, nursery: trio.Nursery, ref: str, newest: Came) -> None:
        users = set(newest.conversation.split(" ")) - {self.user}
        payload = {"message_id": newest.message_id, "emoji": self.random.choice("👍👎🎉"), "on": True}
        pending = client.send_nowait("reaction", payload, target_id=users.pop(), id=ref)
        nursery.start_soon(self._wait_other, pending)

    def _edit(self, client: Client, nursery: trio.Nursery, ref: str) -> bool:
        """Edit one of the newest own messages that were acknowledged."""
        for earlier in range(self.count - 1, max(0, self.count - 20), -1):
            edited = f"{self.device}-{earlier}"
            if (acked := self.ledger.acked.get(edited)) is not None:
                payload = {"message_id": acked.message_id, "content": f"{edited} edited by {ref}"}
                target = self.ledger.sent[edited].target
                pending = client.send_nowait("message_edit", payload, target_id=target, id=ref)
                nursery.start_soon(self._wait_other, pending)
                return True
        return False

    async def _wait_ack(self, pending: PendingSend) -> None:
        try:
            ack = await pending.wait()
        except RelayError as error:
            self.ledger.wrong.append(f"{pending.id} was refused: {error!r}")
            return
        assert ack.message_id is not None
        assert ack.seq is not None
        self.ledger.note_ack(pending.id, Acked(ack.message_id, ack.seq, self.node, time.monotonic()))

    async def _wait_other(self, pending: PendingSend) -> None:
        try:
            await pending.wait()
        except RelayError as error:
            self.ledger.wrong.append(f"{pending.id} was refused: {error!r}")
        else:
            self.ledger.others += 1


class Crowd:
    """All clients.

    Args:
        addresses: of the nodes, where clients reach them.
        folder: for the files in which clients keep what they sent and where they are.
        pause: seconds between two messages of a client, about.

    Attributes:
        until: set when nobody is to send any more.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        tokens: Mapping[str, str],
        ledger: Ledger,
        folder: Path,
        *,
        seed: int,
        pause: float,
    ) -> None:
        self.addresses = addresses
        self.tokens = tokens
        self.ledger = ledger
        self.folder = folder
        self.seed = seed
        self.pause = pause
        self.until = trio.Event()
        self.members = [
            Member(user, device, number, self)
            for number, (user, device) in enumerate(
                (user, device) for user, devices in ledger.devices.items() for device in devices
            )
        ]

    async def run(self) -> None:
        """Run all clients until cancelled."""
        async with trio.open_nursery() as nursery:
            for member in self.members:
                nursery.start_soon(member.run, nursery)

    async def settle(self, seconds: float) -> list[str]:
        """Send no more, and wait until all that was sent is acknowledged and has come; return what has not."""
        self.until.set()
        with trio.move_on_after(seconds):
            while self.ledger.waiting():
                await self.ledger.changed.park()
                await trio.sleep(0.1)
        return self.ledger.waiting()

    def troubles(self) -> list[str]:
        """Return which clients are not connected, and why."""
        return [
            f"{one.device} at node {one.node}: {one.client.state}, {one.client.trouble}"
            for one in self.members
            if one.client is not None and one.client.state != "live"
        ]
