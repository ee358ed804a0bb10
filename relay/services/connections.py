"""The registry of connections (WebSocketManager): user id → client id → connection.

A `Connection` is what the rest of the server knows of a WebSocket: whose it is, what waits to be sent, and
the `Socket` that sends it. Pushing never blocks and never raises; a connection that cannot keep up is ended with
4403, and resume brings it everything that was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import trio

from relay.protocol.errors import CloseCode, Disconnect
from relay.protocol.outbox import Outbox
from relay.storage.accounts import Identity
from relay.wakeup import Wakeup

if TYPE_CHECKING:
    from relay.services.statuses import Status
    from relay.storage.replay import Gap

NOBODY: Final[dict[str, Connection]] = {}
_SOON_SECONDS: Final = 0.02
"""How long `flush_soon` lets frames gather: devices that come back together are told of each other at once."""


class Socket(Protocol):
    """A WebSocket, as far as the services need to know it."""

    @property
    def open(self) -> bool:
        """Whether what is in the outbox is sent; not before the replay is over, as it would move the cursor."""

    @property
    def outbox(self) -> Outbox:
        """The frames that wait to be sent."""

    def flush(self) -> None:
        """Send what waits in the outbox, now or as soon as the peer takes it; never blocks or raises."""

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Close the connection with a code, soon; never blocks or raises."""


class Connection:
    """One authenticated connection of one device.

    Args:
        on_settled: called when one of its messages was answered.

    Attributes:
        in_flight: messages of this connection that wait for their commit.
        sent_cursor: the highest position pushed to it.
        active: False while the application is in the background.
        missed_statuses: what became of those its user follows while it was in the background.
        overflowed: True once more waited than may; the connection is about to end.
        since: when it came, Unix seconds; 0 until its replay begins.
        start, until: where its replay began and ended, as positions; what was stored later came live.
        left_out: what its replay left out, as it would be too long; the client fetches it by REST.
    """

    __slots__ = (
        "_manager", "_on_settled", "_queued", "active", "address", "client_id", "identity", "in_flight",
        "left_out", "missed_statuses", "outbox", "overflowed", "sent_cursor", "since", "socket", "start",
        "until", "user_id",
    )  # fmt: skip

    def __init__(
        self,
        manager: WebSocketManager,
        identity: Identity,
        client_id: str,
        socket: Socket,
        address: str,
        on_settled: Callable[[], None] | None = None,
    ) -> None:
        self._manager = manager
        self._on_settled = on_settled
        self._queued = False
        self.identity = identity
        self.user_id = identity.user_id
        self.client_id = client_id
        self.address = address
        self.socket = socket
        self.outbox = socket.outbox
        self.active = True
        self.missed_statuses: dict[str, Status] | None = None
        self.in_flight = 0
        self.overflowed = False
        self.sent_cursor = 0
        self.since = 0.0
        self.start = self.until = 0
        self.left_out: Sequence[Gap] = ()

    def push(self, frame: bytes) -> None:
        """Queue a frame that must arrive; it goes out at the manager's next `flush`."""
        if self.overflowed:
            return
        if not self.outbox.push(frame):
            self._make_room()
        elif not self._queued:
            self._queued = True
            self._manager.waiting.append(self)

    def push_latest(self, frame: bytes, key: tuple[object, ...]) -> None:
        """Queue the newest value of `key` in place of an older one that still waits."""
        if self.overflowed:
            return
        if not self.outbox.push_latest(frame, key):
            self._make_room()
        elif not self._queued:
            self._queued = True
            self._manager.waiting.append(self)

    def push_transient(self, frame: bytes) -> None:
        """Queue a frame that is dropped under pressure, during a replay, and for a device in the background."""
        if not self.socket.open or not self.active or self.overflowed:
            return
        self.outbox.push_transient(frame)
        if not self._queued:
            self._queued = True
            self._manager.waiting.append(self)

    def settle(self) -> None:
        """Note that a message of this connection was answered."""
        self.in_flight -= 1
        if self._on_settled is not None:
            self._on_settled()

    def flushed(self) -> None:
        """Note that the manager is about to flush it."""
        self._queued = False

    def _make_room(self) -> None:
        """Send what waits at once, ahead of the manager's flush; overflow where the peer does not take it.

        A batch may hold more than an outbox does, and a client that reads as fast as it can is not too slow.
        """
        self.socket.flush()
        if not self.outbox.fits:
            self._overflow()

    def _overflow(self) -> None:
        """Mark as overflowed. It is ended at the next flush, as the caller may be iterating over the registry.

        Nothing is queued from here on: a message after those that were dropped would move the client's cursor
        over a hole.
        """
        self.overflowed = True
        self.outbox.clear()
        self._manager.overflowed.append(self)


class ConnectionStatistics(NamedTuple):
    """The figures of all connections at this moment."""

    connections: int
    users: int


class WebSocketManager:
    """The registry of connections: user id → client id → connection.

    Args:
        per_user: the most connections of one user; 0 means no limit.
        total: the most connections in all; 0 means no limit.
    """

    def __init__(self, per_user: int = 0, total: int = 0) -> None:
        self._by_user: dict[str, dict[str, Connection]] = {}
        self._count = 0
        self._per_user = per_user
        self._total = total
        self.waiting: list[Connection] = []
        self.overflowed: list[Connection] = []
        self._soon = Wakeup()

    def limit(self, per_user: int, total: int) -> None:
        """Allow other numbers of connections from now on; those that are open stay."""
        self._per_user, self._total = per_user, total

    def register(self, connection: Connection) -> None:
        """Add a connection; an older one of the same device is ended with 4510.

        Raises:
            Disconnect: 4504 when the user has too many, 4405 when the server has.
        """
        devices = self._by_user.get(connection.user_id, NOBODY)
        older = devices.get(connection.client_id)
        if older is not None:
            self.unregister(older)
            older.socket.end(CloseCode.REPLACED)
        elif self._per_user and len(devices) >= self._per_user:
            raise Disconnect(CloseCode.TOO_MANY_CONNECTIONS)
        if self._total and self._count >= self._total:
            raise Disconnect(CloseCode.OVERLOADED)
        self._by_user.setdefault(connection.user_id, {})[connection.client_id] = connection
        self._count += 1

    def unregister(self, connection: Connection) -> bool:
        """Remove a connection; False when it was replaced, or removed, before."""
        devices = self._by_user.get(connection.user_id, NOBODY)
        if devices.get(connection.client_id) is not connection:
            return False
        del devices[connection.client_id]
        if not devices:
            del self._by_user[connection.user_id]
        self._count -= 1
        return True

    def of(self, user_id: str) -> dict[str, Connection]:
        """Return a user's connections by client id; the caller does not change the mapping."""
        return self._by_user.get(user_id, NOBODY)

    def users(self) -> list[str]:
        """Return the users who are connected now."""
        return list(self._by_user)

    def __iter__(self) -> Iterator[Connection]:
        return (connection for devices in list(self._by_user.values()) for connection in list(devices.values()))

    def flush(self) -> None:
        """Send what was pushed since the last time, in one write for each connection."""
        overflowed, self.overflowed = self.overflowed, []
        for connection in overflowed:
            connection.socket.end(CloseCode.TOO_SLOW)
        waiting, self.waiting = self.waiting, []
        for connection in waiting:
            connection.flushed()
            connection.socket.flush()

    def flush_soon(self) -> None:
        """Send what was pushed in 20 ms at the latest, with what else is pushed meanwhile."""
        self._soon.set()

    async def run(self) -> None:
        """Send what may wait a moment, in a loop that never ends."""
        while True:
            await self._soon.wait()
            await trio.sleep(_SOON_SECONDS)
            self._soon.clear()
            self.flush()

    def end_user(self, user_id: str, code: CloseCode, reason: str | None = None) -> None:
        """Close every connection of a user."""
        for connection in list(self.of(user_id).values()):
            connection.socket.end(code, reason)

    def end_token(self, token_id: str, code: CloseCode) -> None:
        """Close every connection that said hello with a token."""
        for connection in self:
            if connection.identity.token_id == token_id:
                connection.socket.end(code)

    def statistics(self) -> ConnectionStatistics:
        """Return the figures of this moment."""
        return ConnectionStatistics(self._count, len(self._by_user))
