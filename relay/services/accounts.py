"""Accounts: identities behind tokens, and what ends an account's access.

The identity of a token is cached until something about any account changes, so that a request costs no query.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.connections import WebSocketManager
from relay.storage import accounts, leaving
from relay.storage.accounts import Identity
from relay.storage.jobs import Runner

_REMEMBERED: Final = 20_000
"""The most identities in the cache."""


class Accounts:
    """Identifies users by their tokens, and ends their access.

    Attributes:
        changes: how often something about a token or its user has changed.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        now: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._identities: dict[bytes, Identity] = {}
        self.changes = 0

    async def identify(self, token: str) -> Identity:
        """Return the identity of a token's user.

        Raises:
            Disconnect: 4501 if the token is wrong or expired, 4502 if the account is disabled.
        """
        digest = accounts.hash_secret(token)
        identity = self._identities.get(digest)
        if identity is None:
            identity = await self._runner.read(
                lambda connection: accounts.find_token(connection, digest), inline=True
            )
            if identity is None:
                raise Disconnect(CloseCode.BAD_TOKEN)
            if len(self._identities) >= _REMEMBERED:
                self._identities.clear()
            self._identities[digest] = identity
        self.check(identity)
        return identity

    def whose(self, token: str) -> str | None:
        """Return the user id of a token that was just identified, valid or not; None if it is nobody's."""
        identity = self._identities.get(accounts.hash_secret(token))
        return None if identity is None else identity.user_id

    def check(self, identity: Identity) -> None:
        """Refuse an identity that is no longer valid.

        Raises:
            Disconnect: 4501 expired, 4502 disabled.
        """
        if identity.disabled:
            raise Disconnect(CloseCode.ACCOUNT_DISABLED)
        if identity.expires_at is not None and identity.expires_at <= self._now():
            raise Disconnect(CloseCode.BAD_TOKEN, "the token has expired")

    def check_again(self, connection: sqlite3.Connection, identity: Identity) -> None:
        """Refuse, in a transaction, an identity that is no longer valid since the request began.

        Raises:
            Disconnect: 4501 revoked or expired, 4502 disabled.
        """
        user = accounts.get_user(connection, identity.user_id)
        if user is None or not accounts.has_token(connection, identity.token_id):
            raise Disconnect(CloseCode.BAD_TOKEN)
        self.check(identity._replace(disabled=user.disabled))

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """Disable an account, ending its connections with 4502, or enable it again.

        Raises:
            RelayError: `not_found`, or `conflict` for an account that was erased.
        """

        def change(connection: sqlite3.Connection) -> None:
            if not disabled and leaving.is_erased(connection, user_id):
                raise RelayError(
                    ErrorCode.CONFLICT, f"the account {user_id!r} was erased; nobody can have it again"
                )
            accounts.update_user(connection, user_id, disabled=int(disabled))

        await self._runner.write(change)
        self.forget()
        if disabled:
            self._connections.end_user(user_id, CloseCode.ACCOUNT_DISABLED)

    async def end_for_good(self, user_id: str) -> None:
        """Close an account that is to be erased, with its tokens and devices. Its connections end with 4502.

        Raises:
            RelayError: `not_found`.
        """
        now = self._now()
        await self._runner.write(lambda connection: leaving.close(connection, user_id, now))
        self.forget()
        self._connections.end_user(user_id, CloseCode.ACCOUNT_DISABLED)

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token. Connections that said hello with it end with 4503.

        Raises:
            RelayError: `not_found`.
        """
        await self._runner.write(lambda connection: accounts.revoke_token(connection, token_id))
        self.forget()
        self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)

    async def revoke_device(self, user_id: str, client_id: str) -> None:
        """Revoke a device's session and its login. Connections that use either end with 4503.

        Several devices may use the token of one login; the connections of all of them end.

        Raises:
            RelayError: `not_found`.
        """
        now = self._now()
        void = await self._runner.write(
            lambda connection: accounts.revoke_device(connection, user_id, client_id, now)
        )
        self.forget()
        for connection in list(self._connections.of(user_id).values()):
            if connection.client_id == client_id or connection.identity.token_id in void:
                connection.socket.end(CloseCode.SESSION_REVOKED)

    def forget(self) -> None:
        """Empty the cache of identities, because something about one of them changed."""
        self.changes += 1
        self._identities.clear()
