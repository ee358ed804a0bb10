"""Statuses: one user's presence as others see it, as a value and as it is sent."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from relay.protocol.envelope import SentMeta, encode_event
from relay.protocol.framing import text_frame

TYPE: Final = "status_update"
"""The message type, of what a user chooses and of what the server tells their followers."""

ONLINE: Final = "online"
AWAY: Final = "away"
OFFLINE: Final = "offline"
UNKNOWN: Final = "unknown"
"""Hidden from the caller, or not yet known after a restart."""


class SeenStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A user's status as the caller may see it; times are Unix seconds."""

    user_id: str
    status: Literal["online", "away", "busy", "offline", "unknown"]
    text: str | None
    until: float | None
    last_seen: float | None


class Status(NamedTuple):
    """A user's status; times are Unix seconds."""

    status: str
    text: str | None = None
    until: float | None = None
    last_seen: float | None = None

    def frame(self, user_id: str, now: float) -> bytes:
        """Return the `status_update` frame that tells it, with the fields that have a value."""
        payload = {name: value for name, value in self._asdict().items() if value is not None}
        return text_frame(encode_event(TYPE, payload, SentMeta(sender_id=user_id, timestamp=now)))

    def fields(self, user_id: str) -> dict[str, Any]:
        """Return it for REST and acks, with every field of `SeenStatus`."""
        return {"user_id": user_id, **self._asdict()}


HIDDEN: Final = Status(UNKNOWN)
