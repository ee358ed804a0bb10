"""Accounts: identities behind tokens, and what ends an account's access.

The identity of a token is cached until something about any account changes, so that a request costs no query.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

import trio

from relay.protocol.errors import CloseCode, Disconnect, RelayError
from relay.services.connections import WebSocketManager
from relay.services.restrictions import Restrictions
from relay.storage import accounts, devices, leaving
from relay.storage.accounts import Identity
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.restrictions import refusal
from relay.wakeup import Wakeup

_REMEMBERED: Final = 20_000
"""The most identities in the cache."""

_GATHER_SECONDS: Final = 60.0
"""When tokens were last used is written as seldom as this."""


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
        restrictions: Restrictions | None = None,
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._restrictions = restrictions or Restrictions(runner, now)
        self._restrictions.ended = self.forget
        self._identities: dict[bytes, Identity] = {}
        self._uses: dict[str, float] = {}
        self._used = Wakeup()
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
        if not self._uses:
            self._used.set()
        self._uses[identity.token_id] = self._now()
        return identity

    def last_use(self, token_id: str, stored: float | None) -> float | None:
        """Return when a token was last used, by what is stored of it and what is not yet."""
        return max((at for at in (stored, self._uses.get(token_id)) if at is not None), default=None)

    async def run(self) -> None:
        """Save for ever when tokens were last used, a while after they were."""
        while True:
            await self._used.wait()
            await trio.sleep(_GATHER_SECONDS)
            await self.save_uses()

    async def save_uses(self) -> None:
        """Save when tokens were last used; what the disk does not take waits for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._runner.write(lambda connection: accounts.save_uses(connection, list(uses.items())))
        except StorageFailed:
            self._uses = uses | self._uses
            self._used.set()

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
            raise self._restrictions.closed(identity.user_id)
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

    def end_access(self, user_id: str) -> None:
        """End the connections of an account that is closed with 4502; they are told of a ban."""
        self.forget()
        closed = self._restrictions.closed(user_id)
        self._connections.end_user(user_id, closed.code, closed.reason)

    def ban_of(self, user_id: str) -> RelayError | None:
        """Return the refusal of a login to an account that is banned; None for any other."""
        ban = self._restrictions.bans.get(user_id)
        return None if ban is None else refusal(ban)

    async def end_for_good(
        self, user_id: str, check: Callable[[sqlite3.Connection], None], *, keep: bool = False
    ) -> None:
        """Close an account for good, with its tokens and devices. Its connections end with 4502.

        Args:
            check: runs in the same transaction, before anything else.
            keep: what the user said stays, which will be erased otherwise.

        Raises:
            RelayError: `not_found`; or what `check` raises.
        """
        now = self._now()

        def close(connection: sqlite3.Connection) -> None:
            check(connection)
            (leaving.close_keeping if keep else leaving.close)(connection, user_id, now)

        await self._runner.write(close)
        self._restrictions.forget_user(user_id)
        self.end_access(user_id)

    async def revoke_token(
        self, token_id: str, then: Callable[[sqlite3.Connection, str], None] = lambda _connection, _owner: None
    ) -> None:
        """Revoke a token. Connections that said hello with it end with 4503.

        Args:
            then: runs in the same transaction, with the id of the token's user.

        Raises:
            RelayError: `not_found`; or what `then` raises.
        """
        await self._runner.write(lambda connection: then(connection, accounts.revoke_token(connection, token_id)))
        self.forget()
        self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)

    def end_tokens(self, token_ids: Iterable[str]) -> None:
        """End the connections of tokens that are revoked already, with 4503."""
        self.forget()
        for token_id in token_ids:
            self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)

    async def revoke_device(
        self, user_id: str, client_id: str, check: Callable[[sqlite3.Connection], None] = lambda _connection: None
    ) -> None:
        """Revoke a device's session and its login. Connections that use either end with 4503.

        Several devices may use the token of one login; the connections of all of them end.

        Args:
            check: runs in the same transaction, before anything else.

        Raises:
            RelayError: `not_found`; or what `check` raises.
        """
        now = self._now()

        def revoke(connection: sqlite3.Connection) -> list[str]:
            check(connection)
            return devices.revoke_device(connection, user_id, client_id, now)

        void = await self._runner.write(revoke)
        self.forget()
        for connection in list(self._connections.of(user_id).values()):
            if connection.client_id == client_id or connection.identity.token_id in void:
                connection.socket.end(CloseCode.SESSION_REVOKED)

    def forget(self) -> None:
        """Empty the cache of identities, because something about one of them changed."""
        self.changes += 1
        self._identities.clear()
