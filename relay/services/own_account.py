"""The end of one's own account, by its user: proven by the password and the second factor, or by a fresh login."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.acts import Act
from relay.services.administration import Administration
from relay.services.audit import About, Actor, AuditLog
from relay.services.logins import Logins
from relay.services.server_roles import check_owner_stays
from relay.storage import accounts, leaving
from relay.storage.accounts import Identity
from relay.storage.jobs import Runner
from relay.storage.leaving import Progress

_FRESH_SECONDS: Final = 600.0
"""How old a login may be that proves who somebody is where they have no password."""


class OwnAccount:
    """Erases accounts for the users whose they are.

    Args:
        now: Unix seconds.
        allowed: whether users may erase their accounts.
    """

    def __init__(
        self,
        runner: Runner,
        audit: AuditLog,
        logins: Logins,
        administration: Administration,
        now: Callable[[], float],
        *,
        allowed: bool,
    ) -> None:
        self._runner = runner
        self._audit = audit
        self._logins = logins
        self._administration = administration
        self._now = now
        self.allowed = allowed

    async def has_password(self, user_id: str) -> bool:
        """Return whether a user signs in by a password here."""
        if not self._logins.by_password:
            return False
        return await self._runner.read(
            lambda connection: accounts.password_hash(connection, user_id) is not None, inline=True
        )

    async def erase(self, actor: Actor, identity: Identity, password: str | None, code: str | None) -> Progress:
        """Erase the caller's account for good, and return once that is done, or how far it has come after 20 s.

        Raises:
            RelayError: `forbidden` where users may not, and for a wrong or missing password, code or fresh login;
                `conflict` for the last owner; `rate_limited`, `overloaded`.
        """
        user_id = identity.user_id
        if not self.allowed:
            text = "accounts are erased by an admin on this server; ask one"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "erasure_by_admins"})
        await self._runner.read(lambda connection: check_owner_stays(connection, user_id))
        await self._prove(identity, password, code)

        def check(connection: sqlite3.Connection) -> None:
            check_owner_stays(connection, user_id)
            if not leaving.is_erased(connection, user_id):
                self._audit.write(connection, actor, Act.USER_ERASED, About("user", user_id))

        return await self._administration.departing(user_id, check)

    async def _prove(self, identity: Identity, password: str | None, code: str | None) -> None:
        """Refuse who does not show that they are the account's user, and not just somebody with its token.

        Raises:
            RelayError: `forbidden`, `rate_limited`, `overloaded`.
        """
        if not await self.has_password(identity.user_id):
            return await self._runner.read(lambda connection: self._check_fresh(connection, identity))
        if password is None:
            text = "current_password is missing: an account is erased by its password"
            details = {"reason": "wrong_password", "field": "current_password"}
            raise RelayError(ErrorCode.FORBIDDEN, text, details=details)
        await self._logins.check_own_password(identity.user_id, password)
        await self._logins.second_factors.prove(identity.user_id, code)

    def _check_fresh(self, connection: sqlite3.Connection, identity: Identity) -> None:
        made = accounts.logged_in_at(connection, identity.token_id)
        if made is None or made < self._now() - _FRESH_SECONDS:
            text = "sign in again, and do it within 10 minutes after that; or ask an admin"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "sign_in_again"})
