"""Log lines of refused logins and tokens: one for each, but of a flood only a few and then the number of others.

They tell an operator, or a program that bans addresses, from where and for which user it was tried. They never
contain a password or a token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

_log: Final = logging.getLogger("relay.accounts")
_LINES: Final = 20
_SECONDS: Final = 60.0
_LONGEST: Final = 80


class Refusals:
    """Logs refusals, a bounded number of lines in a minute.

    Args:
        clock: monotonic seconds.

    Attributes:
        logins, tokens: how many there were since the start.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.logins = self.tokens = 0
        self._clock = clock
        self._since = float("-inf")
        self._lines = 0
        self._more = 0

    def login(self, user_id: str | None, address: str, why: str) -> None:
        """Log a login, registration, link or change of a password that was refused."""
        self.logins += 1
        self._note("a login", user_id, address, why)

    def token(self, user_id: str | None, address: str, why: str) -> None:
        """Log a token, or a proxy's identity, that was refused; `user_id` is None if it is not known."""
        self.tokens += 1
        self._note("a token", user_id, address, why)

    def _note(self, what: str, user_id: str | None, address: str, why: str) -> None:
        now = self._clock()
        if now - self._since >= _SECONDS:
            if self._more:
                _log.warning("%d more logins and tokens were refused", self._more)
            self._since, self._lines, self._more = now, 0, 0
        if self._lines >= _LINES:
            self._more += 1
            return
        self._lines += 1
        whose = "" if user_id is None else f", of {user_id[:_LONGEST]!r}"
        shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in why)
        # The address comes before anything that the peer has written: config/fail2ban-filter.conf finds it.
        _log.warning("%s from %s was refused%s: %s", what, address or "nowhere", whose, shown)
        if self._lines == _LINES:
            _log.warning("further refusals within %g s are counted and not told one by one", _SECONDS)
