"""Pairs of a sender and a reader, at any server: what is in flight, and the proof that all arrived in order."""

from __future__ import annotations

from array import array
from time import perf_counter

from benchmarks.frames import MismatchError
from benchmarks.peers.peer import Link


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

    def _delivered(self, names: list[bytes], now: float) -> None:
        for name in names:
            expected = len(self.deliveries)
            if name != b"%03d-%08d" % (self._number, expected):
                raise MismatchError(f"{name.decode()} came where message {expected} of {self._number} was due")
            self.deliveries.append(now - self._moments[expected])

    def _stray(self, what: object, now: float) -> None:
        raise MismatchError(f"the wrong side was told {what!r}")
