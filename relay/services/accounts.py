"""Accounts: identities behind tokens, logins and passwords, registration, and what ends an account's access.

The identity of a token is cached until something about any account changes, so that a request costs no query. The
hash that a password was compared with is compared again in the transaction that acts on it, because the password
may have been changed meanwhile: no login with the old one survives the change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, RelayError
from relay.services.connections import WebSocketManager
from relay.services.limits import TokenBuckets, network_of
from relay.services.passwords import MAX_PASSWORD as MAX_PASSWORD
from relay.services.passwords import Passwords
from relay.storage import accounts, leaving, names, places
from relay.storage.accounts import Identity
from relay.storage.jobs import Runner

_REMEMBERED: Final = 20_000
"""The most identities in the cache."""

FIRST_INVITE_SECONDS: Final = 86_400.0
_WRONG: Final = "the user or the password is wrong"
_CLOSED: Final = "this server takes no registrations; ask its admin"


class NewToken(NamedTuple):
    """A new token, and when it expires, Unix seconds; None for never."""

    token: str
    expires_at: float | None


class Accounts:
    """Identifies users by their tokens and passwords, and changes their accounts.

    Args:
        wrong_passwords: the budget of wrong passwords of each account; None for no limit.
        token_days: how long a login's token is valid; 0 means for ever.
        password_min_length: the fewest characters of a new password.
        registration: "open", "invite" or "closed".

    Attributes:
        changes: how often something about a token or its user has changed.
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
        wrong_passwords: TokenBuckets | None = None,
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._token_days = token_days
        self._password_min_length = password_min_length
        self._registration = registration
        self._wrong = wrong_passwords or TokenBuckets(0, 0, "", lambda: 0.0)
        self.passwords = Passwords()
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

    async def name_of(self, typed: str) -> str:
        """Return the user id that somebody typed in order to log in, in its own case."""
        return await self._runner.read(lambda connection: names.same_name(connection, typed), inline=True)

    async def login(self, user_id: str, password: str, client_id: str | None, address: str = "") -> NewToken:
        """Check a password and return a new token and when it expires.

        An unknown user takes as long as a wrong password, and gets the same answer.

        Args:
            address: the peer's. A network that the user has logged in from before has a budget of wrong passwords
                of its own, so that guesses from elsewhere do not lock the user out.

        Raises:
            RelayError: `forbidden`, `rate_limited` after too many wrong ones, `overloaded`.
        """
        network = network_of(address)
        while True:
            stored_hash, known = await self._runner.read(
                lambda connection: (
                    accounts.password_hash(connection, user_id),
                    places.is_known(connection, user_id, network),
                ),
                inline=True,
            )
            budget = f"{user_id.lower()} {network}" if known else user_id.lower()
            await self._check_guess(budget, stored_hash, password, network, first=known)
            issued = await self._issue(user_id, password, stored_hash, client_id, network)
            if issued is not None:
                return issued

    async def _check_guess(
        self, budget: str, stored_hash: str | None, password: str, network: str, *, first: bool = False
    ) -> None:
        """Refuse a wrong password, and any password once the budget of wrong ones is used up.

        Raises:
            RelayError: `forbidden`, `rate_limited`, `overloaded`.
        """
        # Taken before the check and given back: many tries at once must not exceed the budget.
        self._wrong.take(budget)
        try:
            right = await self.passwords.verify(stored_hash, password, network, first=first)
        except BaseException:
            self._wrong.give_back(budget)
            raise
        if not right:
            raise RelayError(ErrorCode.FORBIDDEN, _WRONG)
        self._wrong.give_back(budget)

    async def _issue(
        self, user_id: str, password: str, stored_hash: str | None, client_id: str | None, network: str
    ) -> NewToken | None:
        """Create the token of a login; None if the password has been changed since `stored_hash` was read."""
        stale = stored_hash is not None and self.passwords.hasher.check_needs_rehash(stored_hash)
        fresh = await self.passwords.hash(password) if stale else None
        now = self._now()
        expires_at = self._expires_at(now)

        def issue(connection: sqlite3.Connection) -> NewToken | None:
            user = accounts.get_user(connection, user_id)
            if user is None or user.disabled:
                raise RelayError(ErrorCode.FORBIDDEN, _WRONG)
            if accounts.password_hash(connection, user_id) != stored_hash:
                return None
            if fresh is not None:
                accounts.update_user(connection, user_id, password_hash=fresh)
            return self._new_token(connection, user_id, client_id, network, now, expires_at)

        return await self._runner.write(issue)

    def _expires_at(self, now: float) -> float | None:
        return now + self._token_days * 86400 if self._token_days else None

    def _new_token(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        client_id: str | None,
        network: str,
        now: float,
        expires_at: float | None,
    ) -> NewToken:
        places.note(connection, user_id, network, now)
        token = accounts.create_token(
            connection, user_id, now, origin="login", label="login", client_id=client_id, expires_at=expires_at
        )
        return NewToken(token, expires_at)

    async def register(
        self,
        user_id: str,
        password: str,
        *,
        invite: str | None,
        display_name: str | None,
        client_id: str | None,
        address: str = "",
    ) -> NewToken:
        """Create an account, by an invite where the server asks for one, and log it in.

        An invite is used up even where none is needed, as it may make an admin. The first user's invite is valid
        on a closed server too.

        Raises:
            RelayError: `forbidden` without a valid invite, `conflict` if the name is taken, `overloaded`,
                `invalid_payload` for a name or password that breaks a rule.
        """
        if self._registration == "closed" and invite is None:
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
        self.check_password(password)
        now, network = self._now(), network_of(address)
        asked = self._registration != "open" or invite is not None
        if asked:  # before the work of hashing; what counts is the check in the transaction
            await self._runner.read(
                lambda connection: accounts.check_invite(connection, invite or "", now), inline=True
            )
        hashed = await self.passwords.hash(password, network, first=False)
        expires_at = self._expires_at(now)

        def create(connection: sqlite3.Connection) -> NewToken:
            role: accounts.InviteRole = accounts.use_invite(connection, invite or "", now) if asked else "user"
            if self._registration == "closed" and role != "first":
                raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
            accounts.create_user(
                connection, user_id, now, display_name=display_name, admin=role != "user", password_hash=hashed
            )
            return self._new_token(connection, user_id, client_id, network, now, expires_at)

        return await self._runner.write(create)

    async def invite_first(self) -> str | None:
        """Return an invite for the first user, an admin, that is valid for a day; None if there are users.

        It replaces the invite of the last start: only who sees the server start may use it.
        """
        now = self._now()
        return await self._runner.write(
            lambda connection: accounts.create_first_invite(connection, now, now + FIRST_INVITE_SECONDS)
        )

    async def change(
        self, identity: Identity, changes: dict[str, Any], password: str | None = None, current: str | None = None
    ) -> None:
        """Change a user's profile, their password, or both.

        A new password revokes the tokens of all other logins and ends their connections with 4503, because
        somebody else may know the old one.

        Args:
            changes: some of display_name, receipts, presence_to, groups_from.
            password: the new password; None to keep it.
            current: the present password.

        Raises:
            RelayError: `forbidden` if `current` is not the present password, `invalid_payload` for a new one that
                is too short or too long.
        """
        while not await self._change(identity, changes, password, current):
            pass

    async def _change(
        self, identity: Identity, changes: dict[str, Any], password: str | None, current: str | None
    ) -> bool:
        """Try what `change` says; return False if another change of the password came first."""
        changes, user_id, stored_hash = dict(changes), identity.user_id, None
        if password is not None:
            self.check_password(password)
            stored_hash = await self._runner.read(
                lambda connection: accounts.password_hash(connection, user_id), inline=True
            )
            turn = f"user {user_id}"
            try:
                # A budget of its own: a thief of a token may guess here, and must not lock the user out of logins.
                await self._check_guess(f"{user_id.lower()} (own)", stored_hash, current or "", turn)
            except RelayError as error:
                if error.code is ErrorCode.FORBIDDEN:
                    raise RelayError(ErrorCode.FORBIDDEN, "the current password is wrong") from None
                raise
            changes["password_hash"] = await self.passwords.hash(password, turn, first=False)

        def change(connection: sqlite3.Connection) -> list[str] | None:
            self.check_again(connection, identity)
            if password is not None and accounts.password_hash(connection, user_id) != stored_hash:
                return None
            accounts.update_user(connection, user_id, **changes)
            return [] if password is None else accounts.revoke_logins(connection, user_id, identity.token_id)

        revoked = await self._runner.write(change)
        if revoked:
            self.forget()
        for token_id in revoked or ():
            self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)
        return revoked is not None

    def check_again(self, connection: sqlite3.Connection, identity: Identity) -> None:
        """Refuse, in a transaction, an identity that is no longer valid since the request began.

        Raises:
            Disconnect: 4501 revoked or expired, 4502 disabled.
        """
        user = accounts.get_user(connection, identity.user_id)
        if user is None or not accounts.has_token(connection, identity.token_id):
            raise Disconnect(CloseCode.BAD_TOKEN)
        self.check(identity._replace(disabled=user.disabled))

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
        return await self.passwords.hash(password)

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
