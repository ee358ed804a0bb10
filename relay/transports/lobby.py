"""The lobby: connections whose clients have not said who they are, and how many of them there may be.

A connection is a descriptor and a few KiB before it has said a word. So whoever waits here is counted by
address, and where there are too many, or where descriptors run short, the one that has waited longest goes.
One that has waited for a moment only never does, and none whose bytes are there and were not read yet: after
a restart everybody comes at once, and then it is the server that lets them wait.
"""

from __future__ import annotations

import logging
import select
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

import trio

from relay.services.limits import network_of

_WAIT_SECONDS: Final = 5.0
"""How long a stranger is left alone."""

_SHORT_WAIT_SECONDS: Final = 1.0
"""The same, where there is no room at all."""

_LOOKED_AT: Final = 32
"""How many are looked at for one that may go: the oldest are in front, and those that must stay go to the back."""

_QUIET_SECONDS: Final = 60.0
_REMEMBERED: Final = 1000


class ThrottledLog:
    """A logger that writes each kind of warning once a minute, with the number of those that were left out.

    Strangers cause them, so they must not fill a disk. The number of kinds is bounded as well.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, tuple[float, int]] = {}

    def warn(self, key: str, message: str) -> None:
        """Log `message`, unless one of the same key was logged within the last minute."""
        now = trio.current_time()
        said_at, left_out = self._said.get(key, (-_QUIET_SECONDS, 0))
        if now - said_at < _QUIET_SECONDS:
            self._said[key] = (said_at, left_out + 1)
            return
        if key not in self._said and len(self._said) >= _REMEMBERED:
            self._forget(now)
            if len(self._said) >= _REMEMBERED:
                return
        self._said[key] = (now, 0)
        self._log.warning("%s%s", message, f" ({left_out} more like this before)" if left_out else "")

    def _forget(self, now: float) -> None:
        self._said = {key: said for key, said in self._said.items() if now - said[0] < _QUIET_SECONDS}


def _always() -> bool:
    return True


class Source(Protocol):
    """A connection's bytes that come by no descriptor of its own."""

    def has_unread(self) -> bool:
        """Tell whether something has come that was not received yet."""


class Guest:
    """One connection, from the moment it is accepted.

    Attributes:
        network: what counts as one place that connections come from.
        source: the descriptor that its bytes come by, or what else they come by; None where that is not known.
        scope: cancelled to end the connection.
        since: when it began to wait for what it waits for now.
        waiting: whether it is the peer's turn: a request, its body, or a hello is to come.
        upgraded: whether it is a WebSocket.
    """

    __slots__ = ("gone", "network", "scope", "since", "source", "upgraded", "waiting")

    def __init__(self, network: str, source: int | Source | None) -> None:
        self.network = network
        self.source = source
        self.scope = trio.CancelScope()
        self.since = trio.current_time()
        self.waiting: Callable[[], bool] = _always
        self.upgraded = False
        self.gone = False

    @property
    def has_file(self) -> bool:
        """Whether it takes a place of the limit on open files; what another node passes on does not."""
        return self.source is None or isinstance(self.source, int)

    def was_silent(self) -> bool:
        """Tell whether nothing of the peer's lies unread."""
        if self.source is None:
            return True
        if not isinstance(self.source, int):
            return not self.source.has_unread()
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        return not poll.poll(0)

    def begin_waiting(self) -> None:
        """Note that from now on something else is waited for."""
        self.since = trio.current_time()

    def upgrade(self, waiting: Callable[[], bool]) -> None:
        """Note that the connection is a WebSocket, which waits for its hello while `waiting` says so."""
        self.upgraded = True
        self.waiting = waiting
        self.begin_waiting()


class Lobby:
    """Counts connections and those in them who have not said who they are.

    Args:
        per_address: the most of one address; 0 means no limit.
        room: the most connections of any kind; 0 means no limit.
        exempt: whether an address is not counted, as a proxy's is not.
    """

    def __init__(self, per_address: int, room: int, exempt: Callable[[str], bool], log: ThrottledLog) -> None:
        self._per_address = per_address
        self._room = room
        self._sockets_room = room - max(8, room // 8) if room else 0
        self._exempt = exempt
        self._log = log
        self._open = 0
        self._guests: dict[str, OrderedDict[Guest, None]] = {}

    def limit(self, per_address: int) -> None:
        """Allow another number of strangers of one address from now on; those that are here stay."""
        self._per_address = per_address

    def enter(self, address: str, source: int | Source | None = None) -> Guest | None:
        """Let a new connection in; return None where there is no room for it.

        Args:
            source: its descriptor, or what else its bytes come by.
        """
        network = network_of(address)
        neighbours = self._guests.get(network)
        most = self._per_address
        if neighbours is not None and most and len(neighbours) >= most and not self._exempt(address):
            while len(neighbours) >= most and self._send_away(neighbours, _WAIT_SECONDS):
                self._log.warn(
                    f"crowd {network}",
                    f"{most} connections from {network} have not said who they are: the ones that have "
                    "waited longest are ended ([limits] strangers_per_address)",
                )
        guest = Guest(network, source)
        if guest.has_file and self._room and self._open >= self._room:
            self._log.warn(
                "room", f"{self._room} connections are open, the most that the limit on files leaves room for"
            )
            if not self._make_room(upgraded=False):
                return None
        self._open += guest.has_file
        self._guests.setdefault(network, OrderedDict())[guest] = None
        return guest

    def may_upgrade(self, sockets: int) -> bool:
        """Tell whether there is room for one more WebSocket beside so many; some is kept for requests."""
        return not self._sockets_room or sockets < self._sockets_room or self._make_room(upgraded=True)

    def known(self, guest: Guest) -> None:
        """Note that a guest said who it is: it is counted no more, and may wait as long as it likes."""
        guest.waiting = _always
        neighbours = self._guests.get(guest.network)
        if neighbours is not None and guest in neighbours:
            del neighbours[guest]
            if not neighbours:
                del self._guests[guest.network]

    def dismiss(self, guest: Guest) -> None:
        """Note that a guest was refused, and stays only to read why: it is the first to go."""
        guest.since, guest.waiting = -inf, _always
        neighbours = self._guests.get(guest.network)
        if neighbours is not None and guest in neighbours:
            neighbours.move_to_end(guest, last=False)

    def leave(self, guest: Guest) -> None:
        """Note that a connection is over."""
        self.known(guest)
        if not guest.gone:
            guest.gone = True
            self._open -= guest.has_file

    def _make_room(self, *, upgraded: bool) -> bool:
        """End the connection of a guest, of the network that has most of them."""
        if not self._guests:
            return False
        return self._send_away(max(self._guests.values(), key=len), _SHORT_WAIT_SECONDS, upgraded=upgraded)

    def _send_away(self, neighbours: OrderedDict[Guest, None], seconds: float, *, upgraded: bool = False) -> bool:
        """End one that has waited for so long, where there is one; tell whether there was."""
        latest = trio.current_time() - seconds
        for _ in range(min(len(neighbours), _LOOKED_AT)):
            guest = next(iter(neighbours))
            may_go = guest.since <= latest and guest.waiting() and (guest.upgraded or not upgraded)
            if may_go and (guest.since == -inf or guest.was_silent()):
                self.leave(guest)
                guest.scope.cancel()
                return True
            neighbours.move_to_end(guest)
        return False
