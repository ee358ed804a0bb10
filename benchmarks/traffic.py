"""Messages through one conversation, and the proof that each arrived once, everywhere, in order."""

from array import array
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import msgspec

from benchmarks.frames import Frame, MismatchError, masked
from benchmarks.load import Client
from benchmarks.loop import Loop

TEXT_BYTES = 200
ID_BYTES = 12


class Run(NamedTuple):
    """Deliveries that were checked for one member, and hold for each other one who is sent equal bytes.

    `first` and `last` are their `seq`, with `_id` their `message_id`, `sent` the moments they were sent.
    """

    frames: list[Frame]
    first: int
    first_id: int
    last: int
    last_id: int
    sent: list[float]

    def follows(self, client: Client) -> bool:
        """Tell whether this run is exactly what the client must be sent next."""
        return client.position + 1 == self.first and client.cursor < self.first_id


class Conversation:
    """A conversation under load.

    A sender's acks and a member's deliveries are one sequence: every connection must see every `seq` exactly
    once, rising by one, and under the same `seq` the same message. Anything else raises at once.
    """

    def __init__(
        self, kind: str, target: str, senders: Sequence[Client], members: Sequence[Client], base: int = 0
    ) -> None:
        self.kind = kind
        self.members = members
        self.base = base
        self.refilling = False
        self.acked = 0
        self.latencies: array[float] = array("d")  # seconds, one for each delivery
        self._sent: dict[str, float] = {}
        self._order: dict[int, str] = {}
        self._waiting: dict[Client, set[str]] = {sender: set() for sender in senders}
        self._numbers = {sender: number for number, sender in enumerate(senders)}
        self._count = dict.fromkeys(senders, 0)
        self._run = Run([], 0, 0, 0, 0, [])
        blank = b"@" * ID_BYTES
        meta = {"target_id": target, "id": blank.decode()}
        message = {"type": kind, "payload": {"content": "x" * TEXT_BYTES}, "meta": meta}
        self._head, self._tail = masked(msgspec.json.encode(message)).split(blank)
        for member in members:
            member.position = base
            member.handle(self.receive)

    @property
    def delivered(self) -> int:
        """Deliveries so far, the senders' acks not among them."""
        return len(self.latencies)

    def start(self, in_flight: int) -> None:
        """Send from every sender, and from now on one message more for each ack."""
        self.refilling = True
        for sender in self._waiting:
            self.send(sender, in_flight)

    def send(self, sender: Client, count: int = 1, moment: float = 0) -> None:
        """Send fresh messages; their latency counts from `moment`, or from now."""
        moment = moment or perf_counter()
        parts: list[bytes] = []
        first = self._count[sender]
        for number in range(first, first + count):
            name = f"{self._numbers[sender]:03d}-{number:08d}"
            self._sent[name] = moment
            self._waiting[sender].add(name)
            parts += (self._head, name.encode(), self._tail)
        self._count[sender] = first + count
        sender.write(b"".join(parts))

    def receive(self, client: Client, frames: list[Frame], now: float) -> None:
        """Check the frames one connection read at `now`.

        Raises:
            MismatchError: one is lost, doubled, out of order, altered or an error.
        """
        if frames is self._run.frames and self._run.follows(client):
            return self._repeat(client, now)
        acks, first, sent = 0, client.position + 1, []
        for frame in frames:
            if frame.type == self.kind:
                meta = frame.meta
                self._advance(client, meta.seq, meta.message_id, meta.id)
                sent.append(self._sent[meta.id])
            elif frame.type == "ack":
                self._ack(client, frame)
                acks += 1
            elif frame.type == "error":
                raise MismatchError(f"{client.user}: {frame.payload.code}: {frame.payload.message}")
        self.latencies.extend([now - moment for moment in sent])
        if len(sent) == len(frames):
            self._run = Run(frames, first, frames[0].meta.message_id, client.position, client.cursor, sent)
        self.acked += acks
        if acks and self.refilling:
            self.send(client, acks)

    def _repeat(self, client: Client, now: float) -> None:
        run = self._run
        client.position, client.cursor = run.last, run.last_id
        self.latencies.extend([now - moment for moment in run.sent])

    def _ack(self, client: Client, frame: Frame) -> None:
        ref, payload = frame.meta.ref, frame.payload
        if ref not in self._waiting.get(client, ()) or payload.duplicate:
            raise MismatchError(f"{client.user}: an ack for {ref!r}, which does not wait for one")
        self._waiting[client].remove(ref)
        self._advance(client, payload.seq, payload.message_id, ref)

    def _advance(self, client: Client, seq: int, message_id: int, name: str) -> None:
        if seq != client.position + 1:
            raise MismatchError(f"{client.user}: seq {seq} after {client.position}")
        if message_id <= client.cursor:
            raise MismatchError(f"{client.user}: message_id {message_id} after {client.cursor}")
        if self._order.setdefault(seq, name) != name or name not in self._sent:
            raise MismatchError(f"{client.user}: seq {seq} is {name!r}, elsewhere {self._order[seq]!r}")
        client.position, client.cursor = seq, message_id

    def settled(self) -> bool:
        """Tell whether all that was sent has been acked and delivered."""
        return self.acked == len(self._sent) and self.delivered == self.acked * (len(self.members) - 1)

    def verify(self) -> None:
        """Prove that what was sent is what arrived.

        Raises:
            MismatchError: it is not.
        """
        last = self.base + len(self._sent)
        behind = [member.user for member in self.members if member.position != last]
        if not self._sent or not self.settled() or behind:
            counts = f"{len(self._sent)} sent, {self.acked} acked, {self.delivered} delivered"
            raise MismatchError(f"{counts}; behind: {behind}")
        if set(self._order.values()) != self._sent.keys() or any(self._waiting.values()):
            raise MismatchError("what was stored is not what was sent")


def settle(loop: Loop, conversations: Sequence[Conversation]) -> None:
    """Stop sending, let everything arrive, wait a little for what should not, and verify.

    Raises:
        MismatchError: something is missing, doubled or different.
    """
    for conversation in conversations:
        conversation.refilling = False
    loop.run_until(lambda: all(c.settled() for c in conversations), "end of the traffic")
    loop.run_for(0.2)
    for conversation in conversations:
        conversation.verify()


def pace(loop: Loop, conversations: Sequence[Conversation], rate: float, seconds: float) -> None:
    """Send `rate` messages a second from the first members, evenly spaced, whatever comes back: an open loop.

    A message's latency counts from the moment it was due, so that a late generator cannot hide a slow server.
    """
    start = perf_counter()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        loop.run_to(due)
        conversation = conversations[number % len(conversations)]
        conversation.send(conversation.members[0], 1, due)
    loop.run_to(start + seconds)
