"""Authentication: finds the user that credentials belong to, by relay's own tokens first, then by plugins."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.engine.guard import Guard, PluginFailed
from relay.engine.registry import Owned
from relay.plugin.registrations import Authenticator, Claim, Credentials
from relay.plugin.types import Server
from relay.protocol.errors import CLOSE_REASONS, CloseCode, Disconnect, RelayError
from relay.services.accounts import Accounts
from relay.services.refusals import Refusals
from relay.storage import accounts as stored
from relay.storage.accounts import Identity, User
from relay.storage.jobs import Runner
from relay.storage.shown import cleaned


class Authentication:
    """Identifies users by their credentials.

    Args:
        refusals: logs who is refused.
        parts: all registered parts, by hook; of these, authenticators.
        server_of: returns the server as a plugin sees it, by the plugin's name.
        now: Unix seconds.

    Attributes:
        by_plugins: whether plugins are asked too, who may need a request's headers.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        refusals: Refusals,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        runner: Runner,
        now: Callable[[], float],
    ) -> None:
        self._accounts = accounts
        self._refusals = refusals
        self._parts = parts
        self._server_of = server_of
        self._runner = runner
        self._now = now
        self.arrange()

    def arrange(self) -> None:
        """Sort the authenticators by order; again when plugins have changed."""
        listed: Sequence[Owned[Authenticator]] = self._parts["relay_authenticators"]
        self._authenticators = sorted(listed, key=lambda owned: owned.part.order)
        self.by_plugins = bool(listed)

    async def identify(self, credentials: Credentials) -> Identity:
        """Return who somebody is; a refusal is logged.

        Raises:
            Disconnect: 4501 when nobody knows the credentials or they have expired, 4502 when the account is
                disabled.
        """
        try:
            return await self._identify(credentials)
        except Disconnect as refused:
            # Without any credentials it is no refusal: they only have to log in yet.
            if credentials.token or refused.reason != CLOSE_REASONS[CloseCode.BAD_TOKEN]:
                user_id = self._accounts.whose(credentials.token) if credentials.token else None
                self._refusals.token(user_id, credentials.address, refused.reason)
            raise

    async def _identify(self, credentials: Credentials) -> Identity:
        unknown = Disconnect(CloseCode.BAD_TOKEN)
        if credentials.token:
            try:
                return await self._accounts.identify(credentials.token)
            except Disconnect as refused:
                if refused.code is not CloseCode.BAD_TOKEN or not self.by_plugins:
                    raise
                unknown = refused
        for guard, authenticator in ((owned.guard, owned.part) for owned in self._authenticators):
            if guard.quarantined:
                continue
            try:
                claim = await guard.call_async(
                    "identify", authenticator.identify, self._server_of(guard.plugin), credentials
                )
            except PluginFailed:
                continue
            except RelayError as refused:
                raise Disconnect(CloseCode.BAD_TOKEN, refused.message) from None
            if claim is not None:
                identity = await self._identity(guard, claim, credentials)
                if identity is not None:
                    self._accounts.check(identity)
                    return identity
        raise unknown

    async def _identity(self, guard: Guard, claim: Claim, credentials: Credentials) -> Identity | None:
        """Return the identity of a claimed user; None where there is no such user, or the claim is malformed."""
        try:
            _check(claim)
            user = await self._user(claim)
        except TypeError as fault:
            guard.failed("identify", fault)
            return None
        except RelayError as refused:  # a name that a group has is no mistake of the plugin's
            raise Disconnect(CloseCode.BAD_TOKEN, refused.message) from None
        if user is None:
            return None
        shown = hashlib.sha256(f"{guard.plugin}\0{claim.user_id}\0{credentials.token or ''}".encode()).hexdigest()
        return Identity(
            user_id=user.user_id,
            admin=user.admin or claim.admin,
            disabled=user.disabled,
            token_id=f"{guard.plugin}:{shown[:16]}",
            scopes=frozenset(claim.scopes),
            created_at=claim.issued_at,
            expires_at=claim.expires_at,
        )

    async def _user(self, claim: Claim) -> User | None:
        """Return a claimed user, who is created where there is none and the claim allows it."""
        user_id = claim.user_id
        user = await self._runner.read(lambda connection: stored.get_user(connection, user_id), inline=True)
        if user is not None or not claim.create:
            return user
        stored.check_name(user_id, "user id")
        now = self._now()
        # A display name that shows nothing is dropped, and not refused: nobody is here to choose another.
        display_name = cleaned(claim.display_name or "") or None

        def create(connection: sqlite3.Connection) -> User | None:
            stored.ensure_user(connection, user_id, now, display_name=display_name)
            return stored.get_user(connection, user_id)

        return await self._runner.write(create)


def _check(claim: Any) -> None:
    """Check that an authenticator returned a well-formed claim.

    Raises:
        TypeError: naming what is wrong with it.
    """
    if not isinstance(claim, Claim):
        raise TypeError(f"identify returned {claim!r:.200}; return a Claim or None")
    until: Any = 0.0 if claim.expires_at is None else claim.expires_at
    right: dict[str, tuple[Any, type | tuple[type, ...]]] = {
        "user_id, a text": (claim.user_id, str),
        "expires_at, Unix seconds or None": (until, (int, float)),
        "issued_at, Unix seconds": (claim.issued_at, (int, float)),
        "scopes, a frozenset of texts": (claim.scopes, (frozenset, set, list, tuple)),
        "display_name, a text or None": (claim.display_name, (str, type(None))),
    }
    for what, (value, kinds) in right.items():
        if not isinstance(value, kinds):
            raise TypeError(f"identify returned a Claim whose {what}, is {value!r:.200}")
    if not all(isinstance(scope, str) for scope in claim.scopes):
        raise TypeError(f"identify returned a Claim whose scopes, texts, are {claim.scopes!r:.200}")
