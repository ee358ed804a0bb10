"""Accounts: who a token speaks for, passwords, invites, devices.

A token that was seen is remembered for as long as nothing about it changes, so that a request costs no
query. Passwords are argon2id; two are hashed at once, at most, as each takes 64 MiB.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from typing import Any, Final

import argon2
import trio

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.connections import WebSocketManager
from relay.storage import accounts
from relay.storage.accounts import Identity
from relay.storage.jobs import Runner

_REMEMBERED: Final = 20_000
_HASHING: Final = 2
MAX_PASSWORD: Final = 1024
FIRST_INVITE_SECONDS: Final = 86_400.0
_CLOSED: Final = "this server takes no registrations; ask its admin"


class Accounts:
    """Knows people by their tokens and passwords.

    Args:
        token_days: how long a login's token lives; 0 means for ever.
        password_min_length: the fewest characters of a new password.
        registration: "open", "invite" or "closed".
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        now: Callable[[], float],
        *,
        token_days: float = 365,
        password_min_length: int = 8,
        registration: str = "invite",
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._token_days = token_days
        self._password_min_length = password_min_length
        self._registration = registration
        self._hasher = argon2.PasswordHasher()
        self._hashing = trio.CapacityLimiter(_HASHING)
        self._identities: dict[bytes, Identity] = {}
        self._decoy = ""

    async def identify(self, token: str) -> Identity:
        """Return whom a token speaks for.

        Raises:
            Disconnect: 4501 when it is wrong or expired, 4502 when the account is disabled.
        """
        digest = accounts.hash_secret(token)
        identity = self._identities.get(digest)
        if identity is None:
            identity = await self._runner.read(
                lambda connection: accounts.find_token(connection, digest), brief=True
            )
            if identity is None:
                raise Disconnect(CloseCode.BAD_TOKEN)
            if len(self._identities) >= _REMEMBERED:
                self._identities.clear()
            self._identities[digest] = identity
        self.check(identity)
        return identity

    def check(self, identity: Identity) -> None:
        """Refuse an identity that was good and is so no longer.

        Raises:
            Disconnect: 4501 expired, 4502 disabled.
        """
        if identity.disabled:
            raise Disconnect(CloseCode.ACCOUNT_DISABLED)
        if identity.expires_at is not None and identity.expires_at <= self._now():
            raise Disconnect(CloseCode.BAD_TOKEN, "the token has expired")

    async def login(self, user_id: str, password: str, client_id: str | None) -> tuple[str, float | None]:
        """Check a password and return a new token and when it expires.

        An unknown user takes as long as a wrong password, and gets the same answer.

        Raises:
            RelayError: `forbidden`.
        """
        kept = await self._runner.read(lambda connection: accounts.password_hash(connection, user_id))
        if not await self._verify(kept, password):
            raise RelayError(ErrorCode.FORBIDDEN, "the user or the password is wrong")
        fresh = await self.hash_password(password) if kept and self._hasher.check_needs_rehash(kept) else None
        now = self._now()
        expires_at = now + self._token_days * 86400 if self._token_days else None

        def issue(connection: sqlite3.Connection) -> str:
            user = accounts.get_user(connection, user_id)
            if user is None or user.disabled:
                raise RelayError(ErrorCode.FORBIDDEN, "the user or the password is wrong")
            if fresh is not None:
                accounts.update_user(connection, user_id, password_hash=fresh)
            return accounts.create_token(
                connection, user_id, now, origin="login", label="login", client_id=client_id, expires_at=expires_at
            )

        return await self._runner.write(issue), expires_at

    async def register(
        self, user_id: str, password: str, *, invite: str | None, display_name: str | None, client_id: str | None
    ) -> tuple[str, float | None]:
        """Create an account, by an invite where the server asks for one, and log it in.

        An invite that is given counts where none is needed as well: it may make an admin. The first user's is
        good on a server that is closed, too.

        Raises:
            RelayError: `forbidden` without a good invite, `conflict` when the name is taken,
                `invalid_payload` for a name or password that cannot be one.
        """
        if self._registration == "closed" and invite is None:
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
        self.check_password(password)
        hashed = await self.hash_password(password)
        now = self._now()

        def create(connection: sqlite3.Connection) -> None:
            role: accounts.InviteRole = "user"
            if self._registration != "open" or invite is not None:
                role = accounts.use_invite(connection, invite or "", now)
            if self._registration == "closed" and role != "first":
                raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
            accounts.create_user(
                connection, user_id, now, display_name=display_name, admin=role != "user", password_hash=hashed
            )

        await self._runner.write(create)
        return await self.login(user_id, password, client_id)

    async def invite_first(self) -> str | None:
        """Return the code by which the first user, an admin, registers within a day; None when there are users.

        The one before is good no longer: whoever sees the server start is who may use it.
        """
        now = self._now()
        return await self._runner.write(
            lambda connection: accounts.create_first_invite(connection, now, now + FIRST_INVITE_SECONDS)
        )

    async def change(
        self, identity: Identity, changes: dict[str, Any], password: str | None = None, current: str | None = None
    ) -> None:
        """Change what a user says of themself, their password, or both; no password leaves that as it is.

        A new password revokes the tokens of all other logins, and ends their connections with 4503: whoever
        changes it may fear that somebody knows the old one.

        Args:
            changes: some of display_name, receipts, presence_to.

        Raises:
            RelayError: `forbidden` when `current` is not the present password, `invalid_payload` for a new
                one that cannot be one.
        """
        changes = dict(changes)
        if password is not None:
            self.check_password(password)
            kept = await self._runner.read(lambda connection: accounts.password_hash(connection, identity.user_id))
            if not await self._verify(kept, current or ""):
                raise RelayError(ErrorCode.FORBIDDEN, "the current password is wrong")
            changes["password_hash"] = await self.hash_password(password)

        def change(connection: sqlite3.Connection) -> list[str]:
            accounts.update_user(connection, identity.user_id, **changes)
            if password is None:
                return []
            return accounts.revoke_logins(connection, identity.user_id, identity.token_id)

        revoked = await self._runner.write(change)
        if revoked:
            self.forget()
        for token_id in revoked:
            self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)

    def check_password(self, password: str) -> None:
        """Refuse a password that is too short or too long.

        Raises:
            RelayError: `invalid_payload`.
        """
        if not self._password_min_length <= len(password) <= MAX_PASSWORD:
            raise RelayError(
                ErrorCode.INVALID_PAYLOAD,
                f"a password has {self._password_min_length} to {MAX_PASSWORD} characters",
            )

    async def hash_password(self, password: str) -> str:
        """Return a password's argon2id hash."""
        return await trio.to_thread.run_sync(self._hasher.hash, password, limiter=self._hashing)

    async def prepare(self) -> None:
        """Make the hash that unknown users' passwords are checked against, before anybody waits for it."""
        if not self._decoy:
            self._decoy = await self.hash_password(secrets.token_hex(8))

    async def _verify(self, kept: str | None, password: str) -> bool:
        if kept is None:
            await self.prepare()
            await self._matches(self._decoy, password)
            return False
        return await self._matches(kept, password)

    async def _matches(self, kept: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(kept, password[: MAX_PASSWORD + 1])
            except argon2.exceptions.VerificationError:
                return False

        return await trio.to_thread.run_sync(verify, limiter=self._hashing)

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """Disable an account, ending its connections with 4502, or enable it again."""
        await self._runner.write(
            lambda connection: accounts.update_user(connection, user_id, disabled=int(disabled))
        )
        self.forget()
        if disabled:
            self._connections.end_user(user_id, CloseCode.ACCOUNT_DISABLED)

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token; live connections that used it end with 4503.

        Raises:
            RelayError: `not_found`.
        """
        await self._runner.write(lambda connection: accounts.revoke_token(connection, token_id))
        self.forget()
        self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)

    async def revoke_device(self, user_id: str, client_id: str) -> None:
        """Revoke a device's session and its login; what is connected by either ends with 4503.

        A login's token may be used by more than one device: the sockets of all of them end with it.

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
                connection.link.end(CloseCode.SESSION_REVOKED)

    def forget(self) -> None:
        """Look every token up anew: something about one of them changed."""
        self._identities.clear()
