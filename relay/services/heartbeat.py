"""The heartbeat supervisor: one task over all connections, in the order of their deadlines.

A connection that was sent nothing for an interval gets a heartbeat, and one that said nothing for an
interval a ping; one that said nothing for two is closed with 4402. Any inbound byte counts as life, a pong
included. There is no task per connection, and no waiting for a particular pong.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

import trio

from relay.protocol.errors import CloseCode, Disconnect


class Peer(Protocol):
    """When a peer was last heard of, and last sent to: monotonic seconds."""

    last_inbound: float
    last_outbound: float


class Watched(Protocol):
    """A connection, as far as its heart goes."""

    @property
    def peer(self) -> Peer:
        """Its stream's times."""

    @property
    def closed(self) -> trio.Event:
        """Set when it is over."""

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Close it with a code."""


class Heart(Protocol):
    """What a session does at a beat."""

    def beat(self) -> None:
        """Send a heartbeat and a ping."""

    def check(self) -> None:
        """Raise Disconnect when the connection must end for a reason of its own."""

    def ends_at(self) -> float:
        """Return when it must end for such a reason, in monotonic seconds; infinity where that is not known."""


class _Once(NamedTuple):
    """A look at a connection besides its regular ones."""

    heart: Heart


class HeartbeatSupervisor:
    """Watches every connection.

    Args:
        interval: seconds of silence until a beat; twice that until the close.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due: list[tuple[float, int, Watched, Heart | _Once]] = []
        self._ids = count()
        self._wake = trio.Event()

    def watch(self, link: Watched, heart: Heart) -> None:
        """Begin to watch a connection, until it is closed."""
        due = trio.current_time() + self._interval
        if not self._due or due < self._due[0][0]:
            self._wake.set()
        heappush(self._due, (due, next(self._ids), link, heart))

    def check_soon(self, link: Watched, heart: Heart) -> None:
        """Look at a connection's end in time when it comes before the first regular look."""
        ends_at = heart.ends_at()
        if ends_at < trio.current_time() + self._interval:
            heappush(self._due, (ends_at, next(self._ids), link, _Once(heart)))
            self._wake.set()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                _, number, link, heart = heappop(self._due)
                if isinstance(heart, _Once):
                    if not link.closed.is_set() and self._check(link, heart.heart):
                        self.check_soon(link, heart.heart)
                elif not link.closed.is_set():
                    due = self._look(link, heart, now)
                    heappush(self._due, (due, number, link, heart))
            self._wake = trio.Event()
            wait = self._due[0][0] - trio.current_time() if self._due else float("inf")
            with trio.move_on_after(max(wait, 0.0)):
                await self._wake.wait()

    def _look(self, link: Watched, heart: Heart, now: float) -> float:
        """Do what is due for one connection, and return when to look again."""
        interval, peer = self._interval, link.peer
        lost = peer.last_inbound + 2 * interval
        if now >= lost:
            link.end(CloseCode.HEARTBEAT_LOST)
            return now + interval
        if not self._check(link, heart):
            return now + interval
        lost = min(lost, heart.ends_at())
        quiet = min(peer.last_inbound, peer.last_outbound) + interval
        if now < quiet:
            return min(quiet, lost)
        heart.beat()
        return min(now + interval, lost)

    def _check(self, link: Watched, heart: Heart) -> bool:
        """End a connection that must end; tell whether it goes on."""
        try:
            heart.check()
        except Disconnect as end:
            link.end(end.code, end.reason)
            return False
        return True
