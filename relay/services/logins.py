"""Logins: passwords, the tokens that they are exchanged for, and a user's changes of their own account.

The hash that a password was compared with is compared again in the transaction that acts on it, because the
password may have been changed meanwhile: no login with the old one survives the change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple, TypeVar

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.accounts import Accounts
from relay.services.limits import TokenBuckets, network_of
from relay.services.passwords import MAX_PASSWORD, Passwords
from relay.services.questions import NOBODY, Asked, allowed_name
from relay.services.second_factors import SecondFactors, SetupNeeded
from relay.storage import accounts, names, pictures, places
from relay.storage.accounts import Identity
from relay.storage.jobs import Runner

Issued = TypeVar("Issued", bound="NewToken | None")
_WRONG: Final = "the user or the password is wrong"
_OTHER_WAYS: Final = "nobody signs in by a password here; use another way that the sign-in page shows"
_SIGNS_IN_ELSEWHERE: Final = (
    "this account has no password on this server, so that none can be changed here; change it where you sign in"
)


class NewToken(NamedTuple):
    """A new token, when it expires, Unix seconds (None for never), and whose it is.

    Attributes:
        recovery_codes: of a second factor that this login has turned on.
        ended: the tokens of logins that it has ended, as they were too many.
    """

    token: str
    expires_at: float | None
    user_id: str
    recovery_codes: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


class SignedIn(NamedTuple):
    """A user whom somebody else than relay knows by their password; their account exists.

    Attributes:
        expires_at: until when, Unix seconds; None for as long as a login lasts.
        scopes: what their token may do besides what any user may.
    """

    user_id: str
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()


SignIn = Callable[[str, str, str], Awaitable[SignedIn | None]]
"""Returns whom a name and a password belong to; called with them and the peer's address."""


class Logins:
    """Exchanges passwords for tokens, and changes passwords and profiles.

    Args:
        now: Unix seconds.
        asked: who may refuse a display name.
        wrong_passwords: the budget of wrong passwords of each account; None for no limit.
        second_factors: checks what logins need besides the password.

    Attributes:
        token_days: how long the token of a login from now on is valid; 0 means for ever.
        password_min_length: the fewest characters of a new password.
        most: how many logins of a user are known; 0 means no limit.
        by_password: whether anybody signs in by a password: `[accounts] password_login`.
    """

    def __init__(
        self,
        runner: Runner,
        accounts: Accounts,
        now: Callable[[], float],
        second_factors: SecondFactors,
        *,
        token_days: float = 365,
        password_min_length: int = 8,
        most: int = 0,
        asked: Asked = NOBODY,
        wrong_passwords: TokenBuckets | None = None,
        by_password: bool = True,
    ) -> None:
        self._runner = runner
        self._accounts = accounts
        self._now = now
        self.second_factors = second_factors
        self.token_days = token_days
        self.password_min_length = password_min_length
        self.most = most
        self._asked = asked
        self._wrong = wrong_passwords or TokenBuckets(0, 0, "", lambda: 0.0)
        self.by_password = by_password
        self.passwords = Passwords()

    async def name_of(self, typed: str) -> str:
        """Return the user id that somebody typed in order to log in, in its own case."""
        return await self._runner.read(lambda connection: names.same_name(connection, typed), inline=True)

    async def login(
        self,
        typed: str,
        password: str,
        client_id: str | None,
        address: str = "",
        *,
        code: str | None = None,
        elsewhere: SignIn | None = None,
    ) -> NewToken:
        """Check a password and return a new token.

        An unknown user takes as long as a wrong password, and gets the same answer.

        Args:
            typed: the name as somebody typed it.
            address: the peer's. A network that the user has logged in from before has a budget of wrong passwords
                of its own, so that guesses from elsewhere do not lock the user out.
            code: of the second factor, where the account has one.
            elsewhere: asked whenever the password is not the one that is stored here, whether there is one or not.

        Raises:
            RelayError: `forbidden`, `rate_limited` after too many wrong ones, `overloaded`; or as
                `SecondFactors.admit`.
        """
        self.check_by_password()
        user_id, network = await self.name_of(typed), network_of(address)
        while True:
            stored_hash, known = await self._runner.read(
                lambda connection: (
                    accounts.password_hash(connection, user_id),
                    places.is_known(connection, user_id, network),
                ),
                inline=True,
            )
            budget = f"{user_id.lower()} {network}" if known else user_id.lower()
            # Taken before the check and given back: many tries at once must not exceed the budget.
            self._wrong.take(budget)
            if await self._is_right(budget, stored_hash, password, network, first=known):
                with self._second_step(code, budget):
                    issued = await self._issue(user_id, password, stored_hash, client_id, network, code)
                if issued is not None:
                    return issued
                continue
            # An LDAP server takes a name without a password for nobody, and lets nobody in with success.
            found = await elsewhere(typed, password, address) if elsewhere is not None and password else None
            if found is None:
                raise RelayError(ErrorCode.FORBIDDEN, _WRONG, details={"reason": "wrong_login"})
            self._wrong.give_back(budget)
            with self._second_step(code, budget):
                return await self._issue_to(found, client_id, network, code)

    def _second_step(self, code: str | None, budget: str) -> AbstractContextManager[None]:
        """Return what counts wrong codes; a login without one guesses nothing."""
        return nullcontext() if code is None else self.second_factors.counting(budget)

    async def _is_right(
        self, budget: str, stored_hash: str | None, password: str, network: str, *, first: bool = False
    ) -> bool:
        """Tell whether a password is the stored one; what was taken of a budget is given back unless it is wrong.

        Raises:
            RelayError: `overloaded`.
        """
        try:
            right = await self.passwords.verify(stored_hash, password, network, first=first)
        except BaseException:
            self._wrong.give_back(budget)
            raise
        if right:
            self._wrong.give_back(budget)
        return right

    async def _issue(
        self,
        user_id: str,
        password: str,
        stored_hash: str | None,
        client_id: str | None,
        network: str,
        code: str | None,
    ) -> NewToken | None:
        """Create the token of a login; None if the password has been changed since `stored_hash` was read."""
        stale = stored_hash is not None and self.passwords.hasher.check_needs_rehash(stored_hash)
        fresh = await self.passwords.hash(password) if stale else None
        now = self._now()

        def issue(connection: sqlite3.Connection) -> NewToken | None:
            user = accounts.get_user(connection, user_id)
            if user is None or user.disabled:
                raise self._refusal(user_id)
            if accounts.password_hash(connection, user_id) != stored_hash:
                return None
            if fresh is not None:
                accounts.update_user(connection, user_id, password_hash=fresh)
            return self._admitted(connection, user_id, client_id, network, now, code)

        return await self._with_setup(user_id, issue)

    def _refusal(self, user_id: str) -> RelayError:
        """Return the refusal of a login with the right password to an account that is closed."""
        wrong = RelayError(ErrorCode.FORBIDDEN, _WRONG, details={"reason": "wrong_login"})
        return self._accounts.ban_of(user_id) or wrong

    async def _issue_to(
        self, signed_in: SignedIn, client_id: str | None, network: str, code: str | None
    ) -> NewToken:
        """Create the token of a user who signed in elsewhere."""
        now = self._now()

        def issue(connection: sqlite3.Connection) -> NewToken:
            user = accounts.get_user(connection, signed_in.user_id)
            if user is None or user.disabled:
                raise self._refusal(signed_in.user_id)
            return self._admitted(connection, user.user_id, client_id, network, now, code, signed_in)

        return await self._with_setup(signed_in.user_id, issue)

    async def _with_setup(self, user_id: str, issue: Callable[[sqlite3.Connection], Issued]) -> Issued:
        """Issue a token; a user who has to set a second factor up first is told how."""
        try:
            issued = await self._runner.write(issue)
        except SetupNeeded:
            raise await self.second_factors.setup_refusal(user_id) from None
        if issued is not None and issued.ended:
            self._accounts.end_tokens(issued.ended)
        return issued

    def _admitted(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        client_id: str | None,
        network: str,
        now: float,
        code: str | None,
        signed_in: SignedIn | None = None,
    ) -> NewToken:
        """Create the token of a login whose second factor is right, where it needs one."""
        recovery_codes = self.second_factors.admit(connection, user_id, code)
        made = self.new_token(connection, user_id, client_id, network, now, signed_in)
        return made._replace(recovery_codes=tuple(recovery_codes))

    def new_token(
        self,
        connection: sqlite3.Connection,
        user_id: str,
        client_id: str | None,
        network: str,
        now: float,
        signed_in: SignedIn | None = None,
    ) -> NewToken:
        """Create the token of a login, and note where it came from.

        Args:
            signed_in: what bounds it besides, for a user who signed in elsewhere.
        """
        bounds = SignedIn(user_id) if signed_in is None else signed_in
        expires_at = now + self.token_days * 86400 if self.token_days else None
        if bounds.expires_at is not None:
            expires_at = min(bounds.expires_at, expires_at or bounds.expires_at)
        places.note(connection, user_id, network, now)
        token = accounts.create_token(
            connection,
            user_id,
            now,
            origin="login",
            label="login",
            scopes=bounds.scopes,
            client_id=client_id,
            expires_at=expires_at,
        )
        ended = accounts.end_surplus_logins(connection, user_id, token, self.most, now)
        return NewToken(token, expires_at, user_id, ended=tuple(ended))

    async def change(
        self, identity: Identity, changes: dict[str, Any], password: str | None = None, current: str | None = None
    ) -> None:
        """Change a user's profile, their password, or both.

        A new password revokes the tokens of all other logins and ends their connections with 4503, because
        somebody else may know the old one.

        Args:
            changes: some of display_name, picture (an upload of the user's, or None), receipts, presence_to,
                groups_from.
            password: the new password; None to keep it.
            current: the present password.

        Raises:
            RelayError: `forbidden` if `current` is not the present password, or there is none here,
                `invalid_payload` for a new one that is too short or too long; as `pictures.check`; or a plugin's
                refusal of the name.
        """
        if "display_name" in changes:
            shown, user_id = changes["display_name"], identity.user_id
            changes = changes | {"display_name": await allowed_name(self._asked, shown, "user", user_id, user_id)}
        while not await self._change(identity, changes, password, current):
            pass

    async def _change(
        self, identity: Identity, changes: dict[str, Any], password: str | None, current: str | None
    ) -> bool:
        """Try what `change` says; return False if another change of the password came first."""
        changes, user_id, stored_hash = dict(changes), identity.user_id, None
        if password is not None:
            self.check_password(password)
            stored_hash = await self.check_own_password(user_id, current or "")
            changes["password_hash"] = await self.passwords.hash(password, f"user {user_id}", first=False)

        def change(connection: sqlite3.Connection) -> list[str] | None:
            self._accounts.check_again(connection, identity)
            if password is not None and accounts.password_hash(connection, user_id) != stored_hash:
                return None
            columns = dict(changes)
            if "picture" in columns:
                pictures.show(connection, user_id, columns.pop("picture"), user_id)
            if columns:
                accounts.update_user(connection, user_id, **columns)
            return [] if password is None else accounts.revoke_logins(connection, user_id, identity.token_id)

        revoked = await self._runner.write(change)
        if revoked:
            self._accounts.end_tokens(revoked)
        return revoked is not None

    async def check_own_password(self, user_id: str, current: str) -> str:
        """Refuse a change that needs the present password if this is not the one; return its hash.

        Raises:
            RelayError: `forbidden` for a wrong one, or if there is none here; `rate_limited`, `overloaded`.
        """
        stored_hash = await self._runner.read(
            lambda connection: accounts.password_hash(connection, user_id), inline=True
        )
        if stored_hash is None:
            raise RelayError(ErrorCode.FORBIDDEN, _SIGNS_IN_ELSEWHERE, details={"reason": "no_password"})
        # A budget of its own: a thief of a token may guess here, and must not lock the user out of logins.
        budget = f"{user_id.lower()} (own)"
        self._wrong.take(budget)
        if not await self._is_right(budget, stored_hash, current, f"user {user_id}"):
            details = {"reason": "wrong_password", "field": "current_password"}
            raise RelayError(ErrorCode.FORBIDDEN, "the current password is wrong", details=details)
        return stored_hash

    def check_by_password(self) -> None:
        """Refuse what needs a password where nobody signs in by one.

        Raises:
            RelayError: `forbidden`.
        """
        if not self.by_password:
            raise RelayError(ErrorCode.FORBIDDEN, _OTHER_WAYS, details={"reason": "password_login_off"})

    def check_password(self, password: str) -> None:
        """Refuse a password that is too short or too long.

        Raises:
            RelayError: `invalid_payload`.
        """
        if not self.password_min_length <= len(password) <= MAX_PASSWORD:
            raise RelayError(
                ErrorCode.INVALID_PAYLOAD,
                f"a password has {self.password_min_length} to {MAX_PASSWORD} characters",
                details={
                    "reason": "password_length",
                    "field": "password",
                    "min": self.password_min_length,
                    "max": MAX_PASSWORD,
                },
            )

    async def hash_password(self, password: str) -> str:
        """Return a password's argon2id hash."""
        return await self.passwords.hash(password)
