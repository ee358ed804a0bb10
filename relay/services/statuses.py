"""What others see of a user: the arithmetic of presence, without a clock of its own.

A user is *there* while a device is connected, and for a grace after one vanished without a goodbye. What
they chose (away, busy, offline) goes before what their devices say; else they are online while any device
is active, and away when all are in the background. Whoever chose offline is invisible: others see exactly
what they would see of somebody who is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

import msgspec

from relay.protocol.envelope import SentMeta, encode_event
from relay.protocol.framing import text_frame
from relay.services.deadlines import NEVER
from relay.storage.presence import Kept

ONLINE: Final = "online"
AWAY: Final = "away"
OFFLINE: Final = "offline"
UNKNOWN: Final = "unknown"
"""Nobody may say: it is not shown to whoever asks, or the server itself does not know yet."""


class SeenStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a user is, as whoever asks may see it; times are Unix seconds."""

    user_id: str
    status: Literal["online", "away", "busy", "offline", "unknown"]
    text: str | None
    until: float | None
    last_seen: float | None


class Status(NamedTuple):
    """A status as it is told; times are Unix seconds."""

    status: str
    text: str | None = None
    until: float | None = None
    last_seen: float | None = None

    def frame(self, user_id: str, now: float) -> bytes:
        """Return the `status_update` that tells it."""
        payload = {name: value for name, value in self._asdict().items() if value is not None}
        return text_frame(encode_event("status_update", payload, SentMeta(sender_id=user_id, timestamp=now)))

    def described(self, user_id: str) -> dict[str, Any]:
        """Return it as REST and acks tell it, a `SeenStatus`: with every field."""
        return {"user_id": user_id, **self._asdict()}


HIDDEN: Final = Status(UNKNOWN)


class Person:
    """A user whose presence is in motion: connected, in grace, or just gone.

    Attributes:
        graces: by client id: until when (monotonic seconds) a vanished device still counts, and whether it
            was active.
        lost_until: until when nobody knows, after a restart, whether they come back; monotonic seconds.
        away_since: when the last device vanished, Unix seconds.
        told: what others were told last.
    """

    __slots__ = ("away_since", "chosen", "graces", "lost_until", "shown_to", "text", "told", "until")

    def __init__(self, kept: Kept, now: float) -> None:
        self.chosen: str = ONLINE
        self.text: str | None = None
        self.until: float | None = None
        self.choose(kept.status, kept.text, kept.until, now)
        self.shown_to = kept.shown_to
        self.graces: dict[str, tuple[float, bool]] = {}
        self.lost_until: float | None = None
        self.away_since: float | None = kept.last_seen
        self.told = Status(OFFLINE, last_seen=kept.last_seen)

    def choose(self, status: str | None, text: str | None, until: float | None, now: float) -> None:
        """Take what the user wants shown; what was to end by now has ended."""
        over = until is not None and until <= now
        self.chosen = ONLINE if status is None or over else status
        self.text, self.until = (None, None) if over else (text, until)

    def status(self, devices: Iterable[bool], clock: float, now: float) -> Status:
        """Return what others see.

        Args:
            devices: of each connected device, whether it is active.
            clock: monotonic seconds.
            now: Unix seconds.
        """
        if self.until is not None and self.until <= now:
            self.choose(None, None, None, now)
        if self.graces:
            self.graces = {name: grace for name, grace in self.graces.items() if grace[0] > clock}
        active = [*devices, *(was_active for _, was_active in self.graces.values())]
        if active:
            self.lost_until = None
            if self.chosen == OFFLINE:
                return self._gone(now)
            status = self.chosen if self.chosen != ONLINE or any(active) else AWAY
            return Status(status, self.text, self.until)
        if self.lost_until is not None:
            if self.lost_until > clock:
                return HIDDEN
            self.lost_until = None
        return self._gone(now)

    def next_look(self, clock: float, now: float) -> float:
        """Return when time alone will change what others see, in monotonic seconds; the arguments as above."""
        ends = [until for until, _ in self.graces.values()]
        if self.lost_until is not None:
            ends.append(self.lost_until)
        if self.until is not None:
            ends.append(clock + self.until - now)
        return min(ends, default=NEVER)

    def _gone(self, now: float) -> Status:
        """Return offline, since the moment when others last saw them there."""
        if self.told.status == OFFLINE:
            return self.told
        invisible = self.chosen == OFFLINE
        since = now if invisible or self.away_since is None else self.away_since
        return Status(OFFLINE, last_seen=since)


def from_kept(kept: Kept) -> Status:
    """Return the status of somebody who is not in motion: gone."""
    return Status(OFFLINE, last_seen=kept.last_seen)
