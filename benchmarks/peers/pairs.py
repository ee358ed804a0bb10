"""Pairs of a sender and a reader, at any server: what is in flight, and the proof that all arrived in order."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from time import perf_counter

from benchmarks.frames import MismatchError
from benchmarks.loop import Loop
from benchmarks.peers.peer import Link, Peer, Running

SETTLE_SECONDS = 90
"""Long enough for a server that syncs once a message on a slow disk."""
AT_ONCE = 16
"""Users who sign in at a time."""


class Pair:
    """One user who sends and one who reads.

    Attributes:
        acks: seconds from the sending of each message to its ack.
        deliveries: seconds from the sending of each message to its arrival at the reader.
    """

    def __init__(self, number: int, sender: Link, reader: Link) -> None:
        self.acks: array[float] = array("d")
        self.deliveries: array[float] = array("d")
        self.refilling = False
        self._number = number
        self._sender = sender
        self._moments: list[float] = []
        sender.acked, reader.delivered = self._acked, self._delivered
        sender.delivered, reader.acked = self._stray, self._stray

    def start(self, in_flight: int) -> None:
        """Send, and from now on one message more for each ack."""
        self.refilling = True
        self.send(in_flight, perf_counter())

    def send(self, count: int, moment: float) -> None:
        """Send fresh messages; their latency counts from `moment`."""
        first = len(self._moments)
        self._moments += [moment] * count
        self._sender.say([b"%03d-%08d" % (self._number, number) for number in range(first, first + count)])

    def settled(self) -> bool:
        """Tell whether all that was sent has been acked and has arrived."""
        return len(self.acks) == len(self.deliveries) == len(self._moments)

    def _acked(self, count: int, now: float) -> None:
        done = len(self.acks)
        if done + count > len(self._moments):
            raise MismatchError("more acks than messages")
        self.acks.extend([now - moment for moment in self._moments[done : done + count]])
        if self.refilling:
            self.send(count, now)

    def _delivered(self, name: bytes, now: float) -> None:
        expected = len(self.deliveries)
        if name != b"%03d-%08d" % (self._number, expected):
            raise MismatchError(f"{name.decode()} came where message {expected} of {self._number} was due")
        self.deliveries.append(now - self._moments[expected])

    def _stray(self, what: object, now: float) -> None:
        raise MismatchError(f"the wrong side was told {what!r}")


def signed_in(peer: Peer, server: Running, loop: Loop, count: int) -> list[Pair]:
    """Sign in the senders and readers of so many pairs.

    Raises:
        MismatchError: one is refused, or takes longer than 60 seconds.
    """
    names = [(f"sender{n:03d}", f"reader{n:03d}") for n in range(count)]
    sides = [(peer.link(loop, a, b, server), peer.link(loop, b, a, server)) for a, b in names]
    links = deque(link for side in sides for link in side)
    under_way: list[Link] = []

    def turn() -> bool:
        under_way[:] = [link for link in under_way if not link.is_ready()]
        while links and len(under_way) < AT_ONCE:
            link = links.popleft()
            link.open(server.port)
            link.sign_in()
            under_way.append(link)
        return not under_way

    loop.run_until(turn, "end of the sign-ins", 60)
    return [Pair(number, *side) for number, side in enumerate(sides)]


def settle(loop: Loop, pairs: Sequence[Pair]) -> None:
    """Stop sending, and wait until everything has arrived.

    Raises:
        MismatchError: something is missing, doubled or out of order.
    """
    for pair in pairs:
        pair.refilling = False
    loop.run_until(lambda: all(pair.settled() for pair in pairs), "end of the traffic", SETTLE_SECONDS)
    loop.run_for(0.2)
    if not all(pair.settled() for pair in pairs):
        raise MismatchError("more arrived than was sent")
