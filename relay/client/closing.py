"""Why a connection ended, and whether to come back."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a peer sends when it could not make sense of our frames, or forbids them: the same frames would end the
# same way. Everything else outside 45xx is weather.
_HOPELESS = frozenset({1002, 1003, 1007, 1008, 1010})
_HTTP_PASSING = frozenset({408, 425, 429})
_LONGEST_HINT = 300.0
_NAMED_WAIT = re.compile(r"retry_after\D{0,4}(\d+(?:\.\d+)?)")
_ANY_NUMBER = re.compile(r"(\d+(?:\.\d+)?)")

TOO_BIG = 1009
SESSION_REVOKED = 4503
RESYNC = 4000  # neither 1000 nor 1001, which would end the user's grace time at once


@dataclass(frozen=True, slots=True)
class Close:
    """The end of one connection: a WebSocket close code, or the HTTP status of a refused upgrade."""

    code: int
    reason: str = ""
    after: float | None = None

    @property
    def final(self) -> bool:
        """Tell whether coming back unchanged is hopeless."""
        if 300 <= self.code < 500:
            return self.code not in _HTTP_PASSING
        return 4500 <= self.code <= 4599 or self.code in _HOPELESS

    @property
    def retry_after(self) -> float | None:
        """Give the seconds the server asks to wait, from a header or the reason's text; at most 300."""
        if self.after is not None:
            return min(self.after, _LONGEST_HINT)
        if not 4400 <= self.code <= 4499:
            return None
        found = _NAMED_WAIT.search(self.reason) or _ANY_NUMBER.search(self.reason)
        return min(float(found.group(1)), _LONGEST_HINT) if found else None


class WireClosed(Exception):
    """The connection under a session is gone; `close` says why."""

    def __init__(self, close: Close) -> None:
        super().__init__(f"{close.code} {close.reason}".rstrip())
        self.close = close
