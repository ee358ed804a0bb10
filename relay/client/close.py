"""The end of a connection: its close code, and whether and when the client comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from relay.protocol.errors import is_final

CONNECTION_LOST: Final = 1006
"""A connection that ended without a close frame: RFC 6455 reserves this code for it."""

RESYNC: Final = 4000
"""This client's own code when it connects again; 1000 or 1001 would end the user's grace time at once."""

_RETRY_UPGRADE: Final = frozenset({408, 425, 429})
_MAX_WAIT_SECONDS: Final = 300.0
_NAMED_WAIT: Final = re.compile(r"retry_after\D{0,4}(\d+(?:\.\d+)?)")
_ANY_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Close:
    """The end of one connection.

    Args:
        code: a WebSocket close code, or the HTTP status of a refused upgrade.
        reason: the text that came with it.
        after: the seconds of a `Retry-After` header.
    """

    code: int
    reason: str = ""
    after: float | None = None

    @property
    def final(self) -> bool:
        """Whether the server would end every further connection in the same way."""
        if 300 <= self.code < 500:
            return self.code not in _RETRY_UPGRADE
        return is_final(self.code)

    @property
    def retry_after(self) -> float | None:
        """The seconds that the server asks to wait, in a header or in the reason; at most 300."""
        if self.after is not None:
            return min(self.after, _MAX_WAIT_SECONDS)
        if not 4400 <= self.code <= 4499:
            return None
        # A number without its name counts as well: a reason may be meant for people.
        found = _NAMED_WAIT.search(self.reason) or _ANY_NUMBER.search(self.reason)
        return min(float(found.group(1)), _MAX_WAIT_SECONDS) if found else None


class WebSocketClosed(Exception):
    """The WebSocket under a session is closed; `close` says why."""

    def __init__(self, close: Close) -> None:
        super().__init__(f"{close.code} {close.reason}".rstrip())
        self.close = close
