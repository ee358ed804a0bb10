"""Sign-ins on their way: begun here, out at the provider, and back with a code for the page.

What belongs to a sign-in that has only begun is in the browser's cookie, sealed: whoever opens the address a
million times fills nothing here. The key is made at the start of the server; a sign-in that was on its way then is
begun again.
"""

import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from .faults import Failed
from .provider import Answered, Attempt

SECONDS = 600.0
"""How long somebody has at the provider, and then again on the page."""

_MOST = 10_000
_ENTROPY = 32
_LONGEST_COOKIE = 3800
"""Browsers drop a cookie of more than 4,096 bytes, its name and attributes among them."""


class Flow(msgspec.Struct, frozen=True):
    """A sign-in that has begun, as the cookie has it.

    Attributes:
        until: when it is too late to come back from the provider, Unix seconds.
        user_id: the signed-in user who connects their account; None for who signs in.
    """

    provider: str
    attempt: Attempt
    until: float
    user_id: str | None = None


class Known(NamedTuple):
    """Somebody whom a provider knows, and who is on their way back to the page.

    Attributes:
        id_token: what the claims are from.
        user_id: as in `Flow`.
        named: the account that they were asked to sign in to, where their name is taken by one.
    """

    provider: str
    state: str
    claims: dict[str, Any]
    id_token: str
    until: float
    user_id: str | None
    named: str | None = None


class Flows:
    """All sign-ins that are on their way."""

    def __init__(self) -> None:
        self._seal = Fernet(Fernet.generate_key())
        self._used: dict[str, float] = {}
        self._known: dict[str, Known] = {}

    def begin(self, provider: str, user_id: str | None, now: float) -> tuple[Attempt, str]:
        """Return the secrets of a new sign-in, and the cookie that has them."""
        attempt = Attempt(*(secrets.token_urlsafe(_ENTROPY) for _ in Attempt._fields))
        sealed = self._seal.encrypt(msgspec.msgpack.encode(Flow(provider, attempt, now + SECONDS, user_id)))
        return attempt, sealed.decode()

    def come_back(self, provider: str, cookie: str | None, state: str, now: float) -> Flow:
        """Return the sign-in that somebody comes back from, who cannot come back from it again.

        Raises:
            Failed: it was not begun in this browser, or too long ago; or it was used.
        """
        flow = self._opened(provider, cookie)
        if flow is None or not secrets.compare_digest(flow.attempt.state.encode(), state.encode()):
            raise Failed("sso_expired", "the state is not that of a sign-in which this browser began here")
        if state in self._used:
            raise Failed("sso_used", "the state was used before")
        if now > flow.until:
            raise Failed("sso_expired", "the sign-in was begun too long ago")
        _keep(self._used, state, flow.until, float, now)
        return flow

    def hand_over(self, flow: Flow, answered: Answered, now: float) -> str:
        """Return the code by which the page learns who signed in."""
        code = secrets.token_urlsafe(_ENTROPY)
        known = Known(flow.provider, flow.attempt.state, *answered, now + SECONDS, flow.user_id)
        _keep(self._known, code, known, lambda one: one.until, now)
        return code

    def known(self, provider: str, cookie: str | None, code: str, now: float) -> Known:
        """Return whom a code stands for, if it is this browser's.

        Raises:
            Failed: there is no such code, or no longer.
        """
        known, flow = self._known.get(code), self._opened(provider, cookie)
        if known is None or known.until < now or known.provider != provider:
            raise Failed("sso_expired", "the code of the page is not known, or was used")
        if flow is None or flow.attempt.state != known.state:
            raise Failed("sso_expired", "the code of the page is another browser's")
        return known

    def ask_for(self, code: str, known: Known, user_id: str) -> None:
        """Keep a code until its user has signed in to the account that has their name."""
        self._known[code] = known._replace(named=user_id)

    def use(self, code: str) -> None:
        """Forget a code: it is used."""
        self._known.pop(code, None)

    def sealed(self, id_token: str) -> str | None:
        """Return an ID token as the cookie of a later sign-out has it; None where it is too long for a cookie."""
        cookie = self._seal.encrypt(id_token.encode()).decode()
        return cookie if len(cookie) <= _LONGEST_COOKIE else None

    def unsealed(self, cookie: str | None) -> str | None:
        """Return the ID token of such a cookie; None for none, and for one of before the server's start."""
        try:
            return self._seal.decrypt((cookie or "").encode()).decode()
        except (InvalidToken, UnicodeError):
            return None

    def _opened(self, provider: str, cookie: str | None) -> Flow | None:
        try:
            flow = msgspec.msgpack.decode(self._seal.decrypt((cookie or "").encode()), type=Flow)
        except (InvalidToken, msgspec.DecodeError, UnicodeError):
            return None
        return flow if flow.provider == provider else None


def _keep(kept: dict[str, Any], key: str, value: Any, until: Callable[[Any], float], now: float) -> None:
    """Keep something for a while; what is over goes, and the oldest where there is too much."""
    while kept and (len(kept) >= _MOST or until(next(iter(kept.values()))) < now):
        del kept[next(iter(kept))]
    kept[key] = value
