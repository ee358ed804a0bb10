"""A room at any server: some write, all read; each message is proven to come once, and in its writer's order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

from benchmarks.frames import MismatchError
from benchmarks.peers.peer import Link

ROOM = "benchmark"


class _Run(NamedTuple):
    """Names that were checked for one member, and hold for each other one who stands where that one stood."""

    names: list[bytes]
    before: tuple[int, ...]
    after: tuple[int, ...]
    sent: list[float]


class Room:
    """The members of a room, of whom the first write.

    A message is in flight until it is acked and, where the server sends writers their own, has come back: a server
    that acks before it does anything would be sent more and more.

    Attributes:
        acks: seconds from the sending of each message to its ack.
        deliveries: seconds from the sending of each message to each arrival of it.
    """

    def __init__(self, links: Sequence[Link], writers: int, echoes: bool) -> None:
        self.acks: array[float] = array("d")
        self.deliveries: array[float] = array("d")
        self.refilling = False
        self._writers = links[:writers]
        self._copies = len(links) if echoes else len(links) - 1
        self._moments: list[list[float]] = [[] for _ in self._writers]
        self._echoes = echoes
        self._confirmed = [0] * writers
        self._over = [0] * writers  # messages that are no longer in flight
        self._got = [(0,) * writers for _ in links]
        self._run = _Run([], (), (), [])
        for number, link in enumerate(links):
            link.acked, link.delivered = partial(self._acked, number), partial(self._delivered, number)

    def start(self, in_flight: int) -> None:
        """Send from every writer, and from now on one message more for each that is no longer in flight."""
        self.refilling = True
        for number in range(len(self._writers)):
            self._send(number, in_flight, perf_counter())

    def settled(self) -> bool:
        """Tell whether all that was sent has been acked, and has arrived everywhere."""
        sent = sum(map(len, self._moments))
        return len(self.acks) == sent and len(self.deliveries) == sent * self._copies

    def _send(self, writer: int, count: int, moment: float) -> None:
        first = len(self._moments[writer])
        self._moments[writer] += [moment] * count
        self._writers[writer].say([b"%03d-%08d" % (writer, number) for number in range(first, first + count)])

    def _acked(self, member: int, count: int, now: float) -> None:
        if member >= len(self._writers):
            raise MismatchError(f"member {member} got an ack and had said nothing")
        done = self._confirmed[member]
        if done + count > len(self._moments[member]):
            raise MismatchError("more acks than messages")
        self.acks.extend([now - moment for moment in self._moments[member][done : done + count]])
        self._confirmed[member] = done + count
        self._refill(member, now)

    def _delivered(self, member: int, names: list[bytes], now: float) -> None:
        run = self._run
        if names is not run.names or self._got[member] != run.before:
            run = self._run = self._checked(member, names)
        self._got[member] = run.after
        self.deliveries.extend([now - moment for moment in run.sent])
        if member < len(self._writers) and self._echoes:
            self._refill(member, now)

    def _refill(self, writer: int, now: float) -> None:
        over = min(self._confirmed[writer], self._got[writer][writer]) if self._echoes else self._confirmed[writer]
        more, self._over[writer] = over - self._over[writer], over
        if more and self.refilling:
            self._send(writer, more, now)

    def _checked(self, member: int, names: list[bytes]) -> _Run:
        got, sent = list(self._got[member]), []
        for name in names:
            writer, _, number = name.partition(b"-")
            one, which = int(writer), int(number)
            if one >= len(got) or which != got[one] or which >= len(self._moments[one]):
                raise MismatchError(f"{name.decode()} came to member {member}, who had got {got} of the writers'")
            got[one] += 1
            sent.append(self._moments[one][which])
        return _Run(names, self._got[member], tuple(got), sent)
