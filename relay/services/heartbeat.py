"""The heartbeat supervisor: one task over all connections, in the order of their deadlines.

A connection that was sent nothing for an interval gets a heartbeat, and one that said nothing for an
interval a ping; one that said nothing for two is closed with 4402. Any inbound byte counts as life, a pong
included. There is no task for each connection, and no waiting for a particular pong.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import trio

from relay.protocol.errors import CloseCode, Disconnect
from relay.services.deadlines import NEVER
from relay.wakeup import Wakeup


class Peer(Protocol):
    """The other side, as monotonic times tell of it."""

    last_inbound: float
    """When it was last heard of."""

    last_outbound: float
    """When it was last sent something."""


class Socket(Protocol):
    """A WebSocket, as far as the heartbeat needs to know it."""

    @property
    def peer(self) -> Peer:
        """The peer at its other end."""

    @property
    def closed(self) -> trio.Event:
        """Set when it is over."""

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Close it with a code."""


class Watched(Protocol):
    """A session on a WebSocket."""

    @property
    def socket(self) -> Socket:
        """The WebSocket."""

    def beat(self) -> None:
        """Send a heartbeat and a ping."""

    def check(self) -> None:
        """Raise Disconnect when the connection must end for a reason of its own."""

    def ends_at(self) -> float:
        """Return when it must end for such a reason, in monotonic seconds; infinity where that is not known."""


class HeartbeatSupervisor:
    """Watches every connection.

    Args:
        interval: seconds of silence until a heartbeat; twice that until the close.
        late: told how late it woke up each time, in seconds: as late as whatever else was due on the event loop.
    """

    def __init__(self, interval: float, late: Callable[[float], None] | None = None) -> None:
        self._interval = interval
        self._late = late
        self._due: list[tuple[float, int, Watched, bool]] = []
        """A heap: when to look at what, and whether that look is an extra one. The number orders equal times."""
        self._ids = count()
        self._wakeup = Wakeup()

    def watch(self, session: Watched) -> None:
        """Begin to watch a connection, until it is closed."""
        self._look_at(trio.current_time() + self._interval, session)

    def check_soon(self, session: Watched) -> None:
        """Look at a connection at its own end when that comes before the next regular look."""
        ends_at = session.ends_at()
        if ends_at < trio.current_time() + self._interval:
            self._look_at(ends_at, session, extra=True)

    def _look_at(self, at: float, session: Watched, *, extra: bool = False) -> None:
        if not self._due or at < self._due[0][0]:
            self._wakeup.set()
        heappush(self._due, (at, next(self._ids), session, extra))

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                _, number, session, extra = heappop(self._due)
                if session.socket.closed.is_set():
                    continue
                if not extra:
                    heappush(self._due, (self._look(session, now), number, session, False))
                elif self._check(session):
                    self.check_soon(session)
            due = self._due[0][0] if self._due else NEVER
            if not await self._wakeup.wait_until(due) and self._late is not None:
                self._late(max(0.0, trio.current_time() - due))

    def _look(self, session: Watched, now: float) -> float:
        """Do what is due for one connection, and return when to look again."""
        interval, peer = self._interval, session.socket.peer
        lost = peer.last_inbound + 2 * interval
        if now >= lost:
            session.socket.end(CloseCode.HEARTBEAT_LOST)
            return now + interval
        if not self._check(session):
            return now + interval
        lost = min(lost, session.ends_at())
        quiet = min(peer.last_inbound, peer.last_outbound) + interval
        if now < quiet:
            return min(quiet, lost)
        session.beat()
        return min(now + interval, lost)

    def _check(self, session: Watched) -> bool:
        """End a connection that must end; tell whether it goes on."""
        try:
            session.check()
        except Disconnect as end:
            session.socket.end(end.code, end.reason)
            return False
        return True
