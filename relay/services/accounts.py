"""Accounts: who a token speaks for, passwords, invites, devices.

A token that was seen is remembered for as long as nothing about it changes, so that a request costs no
query. What a password was checked against is looked at again in the transaction that acts on it: a login with the
old password does not outlive its change.
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
FIRST_INVITE_SECONDS: Final = 86_400.0
_WRONG: Final = "the user or the password is wrong"
_CLOSED: Final = "this server takes no registrations; ask its admin"


class Opened(NamedTuple):
    """A new token, and until when it stands, Unix seconds; None for ever."""

    token: str
    expires_at: float | None


class Accounts:
    """Knows people by their tokens and passwords.

    Args:
        wrong_passwords: counts them by account; None does not.
        token_days: how long a login's token lives; 0 means for ever.
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
        """Return whom a token speaks for.

        Raises:
            Disconnect: 4501 when it is wrong or expired, 4502 when the account is disabled.
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
        """Return whose a token is that was looked at a moment ago, good or not; None when it is nobody's."""
        identity = self._identities.get(accounts.hash_secret(token))
        return None if identity is None else identity.user_id

    def check(self, identity: Identity) -> None:
        """Refuse an identity that was good and is so no longer.

        Raises:
            Disconnect: 4501 expired, 4502 disabled.
        """
        if identity.disabled:
            raise Disconnect(CloseCode.ACCOUNT_DISABLED)
        if identity.expires_at is not None and identity.expires_at <= self._now():
            raise Disconnect(CloseCode.BAD_TOKEN, "the token has expired")

    async def name_of(self, typed: str) -> str:
        """Return the user id that is meant by one that somebody typed, in whatever case, to log in."""
        return await self._runner.read(lambda connection: names.same_name(connection, typed), inline=True)

    async def login(self, user_id: str, password: str, client_id: str | None, address: str = "") -> Opened:
        """Check a password and return a new token and when it expires.

        An unknown user takes as long as a wrong password, and gets the same answer.

        Args:
            address: where it is tried from; wrong passwords count by account and by that.

        Raises:
            RelayError: `forbidden`, `rate_limited` after too many wrong ones, `overloaded`.
        """
        network = network_of(address)
        while True:
            kept, known = await self._runner.read(
                lambda connection: (
                    accounts.password_hash(connection, user_id),
                    places.is_known(connection, user_id, network),
                ),
                inline=True,
            )
            who = user_id.lower()
            await self._check_guess(f"{who} {network}" if known else who, kept, password, network, first=known)
            opened = await self._issue(user_id, password, kept, client_id, network)
            if opened is not None:
                return opened

    async def _check_guess(
        self, account: str, kept: str | None, password: str, network: str, *, first: bool = False
    ) -> None:
        """Refuse a wrong password, and one more than the account's budget has.

        Raises:
            RelayError: `forbidden`, `rate_limited`, `overloaded`.
        """
        # Taken first and given back: many at once must not have more tries than the budget.
        self._wrong.take(account)
        try:
            right = await self.passwords.verify(kept, password, network, first=first)
        except BaseException:
            self._wrong.give_back(account)
            raise
        if not right:
            raise RelayError(ErrorCode.FORBIDDEN, _WRONG)
        self._wrong.give_back(account)

    async def _issue(
        self, user_id: str, password: str, kept: str | None, client_id: str | None, network: str
    ) -> Opened | None:
        """Make the token of a login; None where the password was changed since it was compared with `kept`."""
        stale = kept is not None and self.passwords.hasher.check_needs_rehash(kept)
        fresh = await self.passwords.hash(password) if stale else None
        now = self._now()
        expires_at = self._expires_at(now)

        def issue(connection: sqlite3.Connection) -> Opened | None:
            user = accounts.get_user(connection, user_id)
            if user is None or user.disabled:
                raise RelayError(ErrorCode.FORBIDDEN, _WRONG)
            if accounts.password_hash(connection, user_id) != kept:
                return None
            if fresh is not None:
                accounts.update_user(connection, user_id, password_hash=fresh)
            return self._open(connection, user_id, client_id, network, now, expires_at)

        return await self._runner.write(issue)

    def _expires_at(self, now: float) -> float | None:
        return now + self._token_days * 86400 if self._token_days else None

    def _open(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        client_id: str | None,
        network: str,
        now: float,
        expires_at: float | None,
    ) -> Opened:
        places.note(connection, user_id, network, now)
        token = accounts.create_token(
            connection, user_id, now, origin="login", label="login", client_id=client_id, expires_at=expires_at
        )
        return Opened(token, expires_at)

    async def register(
        self,
        user_id: str,
        password: str,
        *,
        invite: str | None,
        display_name: str | None,
        client_id: str | None,
        address: str = "",
    ) -> Opened:
        """Create an account, by an invite where the server asks for one, and log it in.

        An invite that is given counts where none is needed as well: it may make an admin. The first user's is
        good on a server that is closed, too.

        Raises:
            RelayError: `forbidden` without a good invite, `conflict` when the name is taken,
                `invalid_payload` for a name or password that cannot be one, `overloaded`.
        """
        if self._registration == "closed" and invite is None:
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
        self.check_password(password)
        now, network = self._now(), network_of(address)
        asked = self._registration != "open" or invite is not None
        if asked:  # before the work of hashing; whether it is good is for the transaction to say
            await self._runner.read(
                lambda connection: accounts.check_invite(connection, invite or "", now), inline=True
            )
        hashed = await self.passwords.hash(password, network, first=False)
        expires_at = self._expires_at(now)

        def create(connection: sqlite3.Connection) -> Opened:
            role: accounts.InviteRole = accounts.use_invite(connection, invite or "", now) if asked else "user"
            if self._registration == "closed" and role != "first":
                raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
            accounts.create_user(
                connection, user_id, now, display_name=display_name, admin=role != "user", password_hash=hashed
            )
            return self._open(connection, user_id, client_id, network, now, expires_at)

        return await self._runner.write(create)

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
            changes: some of display_name, receipts, presence_to, groups_from.

        Raises:
            RelayError: `forbidden` when `current` is not the present password, `invalid_payload` for a new
                one that cannot be one.
        """
        while not await self._change(identity, changes, password, current):
            pass

    async def _change(
        self, identity: Identity, changes: dict[str, Any], password: str | None, current: str | None
    ) -> bool:
        """Do what `change` says; False where another change of the password came first."""
        changes, user_id, kept = dict(changes), identity.user_id, None
        if password is not None:
            self.check_password(password)
            kept = await self._runner.read(
                lambda connection: accounts.password_hash(connection, user_id), inline=True
            )
            turn = f"user {user_id}"
            try:
                # A budget of its own: who has stolen a token guesses here, and must not keep logins out.
                await self._check_guess(f"{user_id.lower()} (own)", kept, current or "", turn)
            except RelayError as error:
                if error.code is ErrorCode.FORBIDDEN:
                    raise RelayError(ErrorCode.FORBIDDEN, "the current password is wrong") from None
                raise
            changes["password_hash"] = await self.passwords.hash(password, turn, first=False)

        def change(connection: sqlite3.Connection) -> list[str] | None:
            self.check_again(connection, identity)
            if password is not None and accounts.password_hash(connection, user_id) != kept:
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
        """Refuse, in a transaction, an identity that ended since the request began.

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
            RelayError: `not_found`, and `conflict` for one that was erased.
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
        """End an account that is to be erased, with its tokens and devices; its connections end with 4502.

        Raises:
            RelayError: `not_found`.
        """
        now = self._now()
        await self._runner.write(lambda connection: leaving.close(connection, user_id, now))
        self.forget()
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
        self.changes += 1
        self._identities.clear()
