"""Whom credentials speak for: relay's own tokens first, then what plugins know."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any

from relay.engine.guard import Guard, PluginFailed
from relay.plugin.registrations import Claim, Credentials
from relay.protocol.errors import CLOSE_REASONS, CloseCode, Disconnect, RelayError
from relay.storage import accounts
from relay.storage.accounts import Identity, User
from relay.storage.shown import cleaned

if TYPE_CHECKING:
    from relay.engine.engine import Engine


async def identify(engine: Engine, credentials: Credentials) -> Identity:
    """Return whom somebody is, by a token of relay's or by a plugin's word; the log tells of who is refused.

    Raises:
        Disconnect: 4501 when nobody knows the credentials or they have expired, 4502 when the account is disabled.
    """
    try:
        return await _identify(engine, credentials)
    except Disconnect as refused:
        # Who shows nothing at all only has yet to log in.
        if credentials.token or refused.reason != CLOSE_REASONS[CloseCode.BAD_TOKEN]:
            user_id = engine.accounts.whose(credentials.token) if credentials.token else None
            engine.refusals.token(user_id, credentials.address, refused.reason)
        raise


async def _identify(engine: Engine, credentials: Credentials) -> Identity:
    unknown = Disconnect(CloseCode.BAD_TOKEN)
    if credentials.token:
        try:
            return await engine.accounts.identify(credentials.token)
        except Disconnect as refused:
            if refused.code is not CloseCode.BAD_TOKEN or not engine.hooks.authenticators:
                raise
            unknown = refused
    for guard, authenticator in ((owned.guard, owned.part) for owned in engine.hooks.authenticators):
        if guard.aside:
            continue
        try:
            claim = await guard.call_async(
                "identify", authenticator.identify, engine.server_of(guard.plugin), credentials
            )
        except PluginFailed:
            continue
        except RelayError as refused:
            raise Disconnect(CloseCode.BAD_TOKEN, refused.message) from None
        if claim is not None:
            identity = await _identity(engine, guard, claim, credentials)
            if identity is not None:
                engine.accounts.check(identity)
                return identity
    raise unknown


async def _identity(engine: Engine, guard: Guard, claim: Claim, credentials: Credentials) -> Identity | None:
    """Return the identity of a claimed user, who is created where the claim says so."""
    try:
        _check(claim)
        user = await _user(engine, claim)
    except TypeError as fault:
        guard.failed("identify", fault)
        return None
    except RelayError as refused:  # a name that a group has is no mistake of the plugin's
        raise Disconnect(CloseCode.BAD_TOKEN, refused.message) from None
    if user is None:
        return None
    shown = hashlib.sha256(f"{guard.plugin}\0{claim.user_id}\0{credentials.token or ''}".encode()).hexdigest()
    return Identity(
        user.user_id,
        user.admin or claim.admin,
        user.disabled,
        f"{guard.plugin}:{shown[:16]}",
        frozenset(claim.scopes),
        None,
        claim.issued_at,
        claim.expires_at,
    )


def _check(claim: Any) -> None:
    """Refuse what is no claim.

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


async def _user(engine: Engine, claim: Claim) -> User | None:
    user_id = claim.user_id
    user = await engine.runner.read(lambda connection: accounts.get_user(connection, user_id), inline=True)
    if user is not None or not claim.create:
        return user
    accounts.check_name(user_id, "user id")
    now = engine.now()
    # Whoever named the user is not here to be asked for another name.
    display_name = cleaned(claim.display_name or "") or None

    def create(connection: sqlite3.Connection) -> User | None:
        accounts.ensure_user(connection, user_id, now, display_name=display_name)
        return accounts.get_user(connection, user_id)

    return await engine.runner.write(create)
