"""Authentication: finds the user that credentials belong to, by relay's own tokens first, then by plugins.

For a password that is not relay's own, plugins are asked as well.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

from relay.engine.guard import PASSED_ON, Guard, PluginFailed
from relay.engine.registry import Owned
from relay.plugin.asking import PasswordAuthenticator
from relay.plugin.claims import Claim
from relay.plugin.registrations import Authenticator, Credentials
from relay.plugin.types import Server
from relay.protocol.errors import CLOSE_REASONS, CloseCode, Disconnect, ErrorCode, RelayError
from relay.protocol.kinds import ServerRole
from relay.services.accounts import Accounts
from relay.services.logins import SignedIn
from relay.services.questions import Way
from relay.services.refusals import Refusals
from relay.services.registration import Registration
from relay.storage import accounts as stored
from relay.storage.accounts import Identity, User
from relay.storage.jobs import Runner

_AS_THEY_ARE: Final = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.OVERLOADED, ErrorCode.PLUGIN_FAILED})
"""Refusals of a login that say nothing of a name or a password; all others are told as `forbidden`."""


class Authentication:
    """Identifies users by their credentials.

    Args:
        refusals: logs who is refused.
        registration: creates the users of claims.
        parts: all registered parts, by hook; of these, authenticators.
        server_of: returns the server as a plugin sees it, by the plugin's name.

    Attributes:
        by_plugins: whether plugins are asked too, who may need a request's headers.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        registration: Registration,
        refusals: Refusals,
        parts: Mapping[str, Sequence[Owned[Any]]],
        server_of: Callable[[str], Server],
        runner: Runner,
    ) -> None:
        self._accounts = accounts
        self._registration = registration
        self._refusals = refusals
        self._parts = parts
        self._server_of = server_of
        self._runner = runner
        self.arrange()

    def arrange(self) -> None:
        """Sort the authenticators by order; again when plugins have changed."""
        listed: Sequence[Owned[Authenticator]] = self._parts["relay_authenticators"]
        self._authenticators = sorted(listed, key=lambda owned: owned.part.order)
        self.by_plugins = bool(listed)
        by_password: Sequence[Owned[PasswordAuthenticator]] = self._parts["relay_password_authenticators"]
        self._by_password = sorted(by_password, key=lambda owned: owned.part.order)

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
            _check("identify", claim)
            user = await self._user(claim, "authenticator", credentials.address)
        except TypeError as fault:
            guard.failed("identify", fault)
            return None
        except RelayError as refused:  # a name that a group has, or a plugin's refusal of a new user
            raise Disconnect(CloseCode.BAD_TOKEN, refused.message) from None
        if user is None:
            return None
        shown = hashlib.sha256(f"{guard.plugin}\0{claim.user_id}\0{credentials.token or ''}".encode()).hexdigest()
        return Identity(
            user_id=user.user_id,
            role=_role(user, claim),
            disabled=user.disabled,
            token_id=f"{guard.plugin}:{shown[:16]}",
            scopes=frozenset(claim.scopes),
            created_at=claim.issued_at,
            expires_at=claim.expires_at,
        )

    async def sign_in(self, name: str, password: str, address: str) -> SignedIn | None:
        """Return whom a name and a password belong to, by the plugins; None where none of them knows.

        Raises:
            RelayError: a plugin's refusal; `plugin_failed` where one could not be asked, and no other knew.
        """
        failed: Guard | None = None
        for guard, part in ((owned.guard, owned.part) for owned in self._by_password):
            if guard.quarantined:
                failed = guard
                continue
            try:
                claim = await guard.call_async(
                    "sign_in",
                    _ask_discreetly,
                    part.sign_in,
                    self._server_of(guard.plugin),
                    name,
                    password,
                    address,
                )
                user = None if claim is None else await self._user(claim, "sign_in", address)
            except PluginFailed:
                failed = guard
                continue
            except RelayError as refused:
                if refused.code in _AS_THEY_ARE:
                    raise
                # Whatever its code, it answers a login, and not the request for a name that is taken or not there.
                raise RelayError(ErrorCode.FORBIDDEN, refused.message) from None
            if user is not None:
                return SignedIn(user.user_id, claim.expires_at, tuple(sorted(claim.scopes)))
        if failed is not None:
            raise failed.refusal()
        return None

    async def _user(self, claim: Claim, way: Way, address: str) -> User | None:
        """Return a claimed user, who is created where there is none and the claim allows it."""

        def read() -> Awaitable[User | None]:
            return self._runner.read(lambda connection: stored.get_user(connection, claim.user_id), inline=True)

        user = await read()
        if user is None and claim.create:
            await self._registration.ensure(claim.user_id, claim.display_name, way, address)
            user = await read()
        return user


async def _ask_discreetly(
    sign_in: Callable[..., Any], server: Server, name: str, password: str, address: str
) -> Claim | None:
    """Ask a `sign_in`, and let no error out that tells the password: it would be logged, or shown.

    Raises:
        RelayError: its refusal.
        TypeError: it returned something else than a claim.
    """
    try:
        answer = sign_in(server, name, password, address)
        claim: Claim | None = await answer if isawaitable(answer) else answer
        if claim is not None:
            _check_signed_in(claim)
    except RelayError as refused:
        # Not a failure: who types "is" as their password could set the plugin aside with it.
        text = refused.message.replace(password, "…") if password else refused.message
        raise RelayError(refused.code, text, retry_after=refused.retry_after) from None
    except BaseException as fault:
        if isinstance(fault, BaseExceptionGroup) and (passed_on := fault.split(PASSED_ON)[0]) is not None:
            raise passed_on from None
        if isinstance(fault, PASSED_ON) or password not in "".join(traceback.format_exception(fault)):
            raise
        raise RuntimeError(f"it raised {type(fault).__name__}, whose text had the password in it") from None
    return claim


def _role(user: User, claim: Claim) -> ServerRole:
    """Return the highest of the account's role and those that a claim gives."""
    given = {user.role, claim.role or user.role, ServerRole.ADMIN if claim.admin else user.role}
    return next(role for role in ServerRole if role in given)


def _check_signed_in(claim: Any) -> None:
    """Check the claim of a password.

    Raises:
        TypeError: naming what is wrong with it.
    """
    _check("sign_in", claim)
    if claim.admin or claim.role is not None:
        raise TypeError(
            "sign_in returned a Claim with admin or role; a login has its account's rights: relay user role"
        )


def _check(what: str, claim: Any) -> None:
    """Check that an authenticator returned a well-formed claim.

    Raises:
        TypeError: naming what is wrong with it.
    """
    if not isinstance(claim, Claim):
        raise TypeError(f"{what} returned {claim!r:.200}; return a Claim or None")
    until: Any = 0.0 if claim.expires_at is None else claim.expires_at
    right: dict[str, tuple[Any, type | tuple[type, ...]]] = {
        "user_id, a text": (claim.user_id, str),
        "expires_at, Unix seconds or None": (until, (int, float)),
        "issued_at, Unix seconds": (claim.issued_at, (int, float)),
        "scopes, a frozenset of texts": (claim.scopes, (frozenset, set, list, tuple)),
        "display_name, a text or None": (claim.display_name, (str, type(None))),
        "role, a ServerRole or None": (claim.role, (ServerRole, type(None))),
    }
    for field, (value, kinds) in right.items():
        if not isinstance(value, kinds):
            raise TypeError(f"{what} returned a Claim whose {field}, is {value!r:.200}")
    if not all(isinstance(scope, str) for scope in claim.scopes):
        raise TypeError(f"{what} returned a Claim whose scopes, texts, are {claim.scopes!r:.200}")
