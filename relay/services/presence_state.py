"""Presence of one user: the events that change it and the status that follows. It has no clock and does no I/O.

A device counts as present while it is connected, and for a grace period after it vanished without a goodbye.
Others see the first of these that applies:

1. No device counts: `offline`. After a restart of the server, `unknown` until the user had time to come back.
2. The user chose `offline`, which is invisible: `offline`, exactly as if no device counted.
3. The user chose `away` or `busy`: that.
4. A device that counts is active: `online`. All of them are in the background: `away`.

    event                              call                  effect
    a device said hello                connected             its grace period ends
    a device vanished                  disconnected          it counts until its grace period is over
    a device said goodbye              disconnected          it counts no longer
    the user chose a status            choice = …            it goes before what the devices say
    the user chose who may see it      visible_to = …        see `relay.services.visibility`
    the server was restarted           after_restart         `unknown`, until then or until a device counts
    something happened, or time came   update                what has ended is dropped; the status is computed

Alice's phone, active, goes through a tunnel for ten seconds; then its page is closed (Unix time 1000 is second 0
of the monotonic clock here, and the grace period has 30 seconds):

    >>> alice = PresenceState(Choice(), "everyone", last_disconnect=None)
    >>> alice.connected("phone")
    >>> alice.published = alice.update([True], clock=0.0, now=1000.0)  # the service sends this to followers
    >>> alice.published.status
    'online'
    >>> alice.disconnected("phone", now=1005.0, grace=Grace(35.0, active=True))
    >>> alice.update([], clock=6.0, now=1006.0).status, alice.next_update(clock=6.0, now=1006.0)
    ('online', 35.0)
    >>> alice.connected("phone")
    >>> alice.update([True], clock=15.0, now=1015.0) == alice.published  # so nobody is told anything
    True
    >>> alice.disconnected("phone", now=1020.0, grace=None)
    >>> alice.update([], clock=20.0, now=1020.0)
    Status(status='offline', text=None, until=None, last_seen=1020.0)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from relay.services.deadlines import NEVER
from relay.services.statuses import AWAY, HIDDEN, OFFLINE, ONLINE, Status
from relay.storage.presence import PresenceRow


class Choice(NamedTuple):
    """The status that a user chose, and until when (Unix seconds, None for ever)."""

    status: str = ONLINE
    text: str | None = None
    until: float | None = None

    def at(self, now: float) -> Choice:
        """Return the choice that holds at `now`: one that has ended is as good as none, and its text goes too."""
        return Choice() if self.until is not None and self.until <= now else self


def stored_choice(row: PresenceRow, now: float) -> Choice:
    """Return what a user chose, as it is stored."""
    return Choice(row.status or ONLINE, row.text, row.until).at(now)


class Grace(NamedTuple):
    """The grace period of a device that vanished: until when (monotonic seconds), and whether it was active."""

    until: float
    active: bool


class PresenceState:
    """One user's presence, for as long as it is more than a row of the database.

    Attributes:
        choice: what the user chose.
        visible_to: "everyone", "shared" or "nobody".
        published: the status that followers were sent last.
        last_disconnect: when a device of theirs disconnected last, Unix seconds; None if that is not known.
        graces: the grace periods, by client id.
        unknown_until: until when it is unknown, after a restart, whether the user comes back; monotonic seconds.
    """

    __slots__ = ("choice", "graces", "last_disconnect", "published", "unknown_until", "visible_to")

    def __init__(self, choice: Choice, visible_to: str, last_disconnect: float | None) -> None:
        self.choice = choice
        self.visible_to = visible_to
        self.published = Status(OFFLINE, last_seen=last_disconnect)
        self.last_disconnect = last_disconnect
        self.graces: dict[str, Grace] = {}
        self.unknown_until: float | None = None

    @classmethod
    def stored(cls, row: PresenceRow, now: float) -> PresenceState:
        """Return the state of a user of whom no device has been there since the start."""
        return cls(stored_choice(row, now), row.visible_to, row.last_seen)

    @classmethod
    def after_restart(cls, row: PresenceRow, now: float, unknown_until: float) -> PresenceState:
        """Return the state of a user who was present when the server ended; it is unknown for a while."""
        state = cls.stored(row, now)
        state.unknown_until, state.published = unknown_until, HIDDEN
        return state

    def connected(self, client_id: str) -> None:
        """Note that a device said hello."""
        self.graces.pop(client_id, None)

    def disconnected(self, client_id: str, now: float, grace: Grace | None) -> None:
        """Note that a device is gone.

        Args:
            grace: how long it still counts; None if it said goodbye, and so counts no longer.
        """
        self.last_disconnect = now
        if grace is not None:
            self.graces[client_id] = grace

    @property
    def pending(self) -> bool:
        """Whether no device need be connected for the user to be present, or unknown, a while longer."""
        return bool(self.graces) or self.unknown_until is not None

    def update(self, devices: Iterable[bool], clock: float, now: float) -> Status:
        """Drop what has ended, and return the status that others see now.

        Args:
            devices: for each connected device, whether it is active.
            clock: monotonic seconds.
            now: Unix seconds.
        """
        self.choice = self.choice.at(now)
        if self.graces:
            self.graces = {client_id: grace for client_id, grace in self.graces.items() if grace.until > clock}
        active = [*devices, *(grace.active for grace in self.graces.values())]
        if active or (self.unknown_until is not None and self.unknown_until <= clock):
            self.unknown_until = None
        if self.unknown_until is not None:
            return HIDDEN
        if not active or self.choice.status == OFFLINE:
            return self._offline(now)
        status = self.choice.status if self.choice.status != ONLINE or any(active) else AWAY
        return Status(status, self.choice.text, self.choice.until)

    def next_update(self, clock: float, now: float) -> float:
        """Return when time alone may change the status, in monotonic seconds; the arguments as in `update`."""
        ends = [grace.until for grace in self.graces.values()]
        if self.unknown_until is not None:
            ends.append(self.unknown_until)
        if self.choice.until is not None:
            ends.append(clock + self.choice.until - now)
        return min(ends, default=NEVER)

    def _offline(self, now: float) -> Status:
        """Return `offline`, last seen when others last saw the user present."""
        if self.published.status == OFFLINE:
            # Not a later disconnect: an invisible user's would tell that they had been there.
            return self.published
        invisible = self.choice.status == OFFLINE
        since = now if invisible or self.last_disconnect is None else self.last_disconnect
        return Status(OFFLINE, last_seen=since)
