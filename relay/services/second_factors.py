"""Second factors: codes of an authenticator app that a login needs besides the password, and recovery codes.

Whether a code is right is decided in the transaction that acts on it, which uses it up: no code is good twice,
however many logins come at once.
"""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, TypeVar

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services import totp
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.limits import TokenBuckets
from relay.services.server_roles import check_manages
from relay.storage import accounts, second_factors
from relay.storage.jobs import Runner
from relay.storage.second_factors import SecondFactor

T = TypeVar("T")

RequiredFor = Literal["nobody", "admins", "everybody"]
_RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_DIGITS: Final = re.compile(rf"[0-9]{{{totp.DIGITS}}}")
_BLANKS: Final = re.compile(r"[\s-]")


class Enrolment(NamedTuple):
    """A secret that its user has to put into an app: as it is typed, and as the link that a QR code shows."""

    secret: str
    link: str


class SetupNeeded(RelayError):
    """A login needs a second factor, and its user has none yet."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.FORBIDDEN, "this server demands a second factor")


class State(NamedTuple):
    """A user's second factor as they see it.

    Attributes:
        since: since when logins need it; None if they do not.
        required: whether the server demands one of this user.
    """

    since: float | None
    recovery_codes_left: int
    required: bool


class SecondFactors:
    """Checks, makes and removes second factors.

    Args:
        now: Unix seconds.
        required_for: whose logins need one whether they want it or not.
        issuer: the server's name, as apps show it.
        wrong_codes: the budget of wrong codes of each account.
    """

    def __init__(
        self,
        runner: Runner,
        audit: AuditLog,
        now: Callable[[], float],
        *,
        required_for: RequiredFor,
        issuer: str,
        wrong_codes: TokenBuckets,
    ) -> None:
        self._runner = runner
        self._audit = audit
        self._now = now
        self.required_for = required_for
        self._issuer = issuer
        self.wrong_codes = wrong_codes

    def admit(self, connection: sqlite3.Connection, user_id: str, code: str | None) -> list[str]:
        """Check the second factor of a login whose password was right, in the login's transaction.

        Returns:
            New recovery codes, if this code was the first one of a second factor that the server demands.

        Raises:
            RelayError: `forbidden` without a code where one is needed, or with a wrong one. The reason
                `second_factor_setup` comes with what an app needs, for a user who has to have a second factor.
        """
        found = second_factors.find(connection, user_id)
        if found is not None and found.confirmed_at is not None:
            if code is None:
                raise _missing()
            self._use(connection, user_id, found, code)
            return []
        if not self.is_required(connection, user_id):
            return []
        if found is None or code is None:
            raise SetupNeeded
        return self._confirm(connection, user_id, found, code)

    async def setup_refusal(self, user_id: str) -> RelayError:
        """Return the refusal of a login without the second factor that the server demands, with what an app needs.

        The secret is the same until a code confirms it, so that whoever tries again need not begin anew.
        """
        now = self._now()

        def begin(connection: sqlite3.Connection) -> bytes:
            found = second_factors.find(connection, user_id)
            if found is not None:
                return found.secret
            secret = totp.new_secret()
            second_factors.begin(connection, user_id, secret, now)
            return secret

        enrolment = self._enrolment(user_id, await self._runner.write(begin))
        return RelayError(
            ErrorCode.FORBIDDEN,
            "this server demands a second factor: put the secret into an authenticator app, and log in with the"
            " code that it shows",
            details={
                "reason": "second_factor_setup", "field": "code",
                "secret": enrolment.secret, "link": enrolment.link,
            },
        )  # fmt: skip

    def is_required(self, connection: sqlite3.Connection, user_id: str) -> bool:
        """Return whether the server demands a second factor of a user."""
        if self.required_for != "admins":
            return self.required_for == "everybody"
        user = accounts.get_user(connection, user_id)
        return user is not None and user.admin

    async def state(self, user_id: str) -> State:
        """Return a user's second factor as they see it."""

        def read(connection: sqlite3.Connection) -> State:
            found = second_factors.find(connection, user_id)
            left = second_factors.recovery_codes_left(connection, user_id)
            return State(
                None if found is None else found.confirmed_at, left, self.is_required(connection, user_id)
            )

        return await self._runner.read(read)

    async def begin(self, user_id: str) -> Enrolment:
        """Make a secret for a user who wants a second factor; it counts once they confirm it by a code.

        Raises:
            RelayError: `conflict` if there is a second factor.
        """
        secret, now = totp.new_secret(), self._now()

        def begin(connection: sqlite3.Connection) -> None:
            found = second_factors.find(connection, user_id)
            if found is not None and found.confirmed_at is not None:
                text = "there is a second factor; turn it off before you set up another"
                raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "second_factor_on"})
            second_factors.begin(connection, user_id, secret, now)

        await self._runner.write(begin)
        return self._enrolment(user_id, secret)

    async def confirm(self, user_id: str, code: str) -> list[str]:
        """Turn a second factor on, by the first code of the app; return its recovery codes.

        Raises:
            RelayError: `forbidden` for a wrong code, `conflict` if none was begun, `rate_limited`.
        """

        def confirm(connection: sqlite3.Connection) -> list[str]:
            found = second_factors.find(connection, user_id)
            if found is None or found.confirmed_at is not None:
                text = "there is no second factor to confirm; begin with POST /api/users/me/second-factor"
                raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "second_factor_not_begun"})
            return self._confirm(connection, user_id, found, code)

        return await self._counted(user_id, confirm)

    async def renew_recovery_codes(self, user_id: str, code: str) -> list[str]:
        """Return new recovery codes, in place of those of before.

        Raises:
            RelayError: `forbidden` for a wrong code, `conflict` without a second factor, `rate_limited`.
        """

        def renew(connection: sqlite3.Connection) -> list[str]:
            self._use(connection, user_id, _confirmed(connection, user_id), code)
            return _new_recovery_codes(connection, user_id)

        return await self._counted(user_id, renew)

    async def prove(self, user_id: str, code: str | None) -> None:
        """Check a code of a user's second factor where they have one, and use it up.

        Raises:
            RelayError: `forbidden` for a wrong or missing code, `rate_limited`.
        """

        def use(connection: sqlite3.Connection) -> None:
            found = second_factors.find(connection, user_id)
            if found is None or found.confirmed_at is None:
                return
            if code is None:
                raise _missing()
            self._use(connection, user_id, found, code)

        await self._counted(user_id, use)

    async def turn_off(self, user_id: str, code: str) -> None:
        """Turn a user's own second factor off.

        Raises:
            RelayError: `forbidden` for a wrong code, or where the server demands a second factor; `conflict`
                without one, `rate_limited`.
        """

        def remove(connection: sqlite3.Connection) -> None:
            found = _confirmed(connection, user_id)
            if self.is_required(connection, user_id):
                text = (
                    "this server demands a second factor of you; an admin can reset it, so that you set it up anew"
                )
                raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "second_factor_demanded"})
            self._use(connection, user_id, found, code)
            second_factors.remove(connection, user_id)

        await self._counted(user_id, remove)

    async def reset(self, actor: Actor, user_id: str) -> None:
        """Remove a user's second factor, as an admin does for somebody who has lost theirs.

        Raises:
            RelayError: `not_found` for a user who does not exist, or has none; `forbidden` as `check_manages`.
        """

        def remove(connection: sqlite3.Connection) -> None:
            user = accounts.get_user(connection, user_id)
            if user is not None:
                check_manages(actor.rights, user.role)
            if not second_factors.remove(connection, user_id):
                raise not_found(f"second factor of {user_id!r}")
            self._audit.write(connection, actor, Act.USER_SECOND_FACTOR, About("user", user_id))

        await self._runner.write(remove)

    async def _counted(self, user_id: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job that checks a code, and count it towards the account's budget if that is wrong."""
        # Apart from that of logins: a thief of a token may guess here, and must not lock the user out of logins.
        with self.counting(f"{user_id.lower()} (own)"):
            return await self._runner.write(job)

    @contextmanager
    def counting(self, budget: str) -> Iterator[None]:
        """Count what is tried within the block towards a budget, if it is a wrong code.

        Raises:
            RelayError: `rate_limited`.
        """
        self.wrong_codes.take(budget)
        try:
            yield
        except RelayError as refused:
            if (refused.details or {}).get("reason") != "wrong_code":
                self.wrong_codes.give_back(budget)
            raise
        except BaseException:
            self.wrong_codes.give_back(budget)
            raise
        self.wrong_codes.give_back(budget)

    def _use(self, connection: sqlite3.Connection, user_id: str, found: SecondFactor, code: str) -> None:
        """Use a code up.

        Raises:
            RelayError: `forbidden` if it is wrong, or was used before.
        """
        typed = _BLANKS.sub("", code)
        if _DIGITS.fullmatch(typed):
            step = totp.step_of(found.secret, typed, self._now())
            right = step is not None and second_factors.use_step(connection, user_id, step)
        else:
            right = second_factors.use_recovery_code(connection, user_id, typed.upper())
        if not right:
            raise _wrong()

    def _confirm(self, connection: sqlite3.Connection, user_id: str, found: SecondFactor, code: str) -> list[str]:
        step = totp.step_of(found.secret, _BLANKS.sub("", code), self._now())
        if step is None:
            raise _wrong()
        second_factors.confirm(connection, user_id, step, self._now())
        return _new_recovery_codes(connection, user_id)

    def _enrolment(self, user_id: str, secret: bytes) -> Enrolment:
        return Enrolment(totp.shown(secret), totp.link_of(secret, user_id, self._issuer))


def _confirmed(connection: sqlite3.Connection, user_id: str) -> SecondFactor:
    found = second_factors.find(connection, user_id)
    if found is None or found.confirmed_at is None:
        raise RelayError(ErrorCode.CONFLICT, "there is no second factor", details={"reason": "second_factor_off"})
    return found


def _new_recovery_codes(connection: sqlite3.Connection, user_id: str) -> list[str]:
    """Store new recovery codes, and return them as people read them: four letters and digits at a time."""
    codes = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode() for _ in range(_RECOVERY_CODES)]
    second_factors.put_recovery_codes(connection, user_id, codes)
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]


def _missing() -> RelayError:
    return RelayError(
        ErrorCode.FORBIDDEN,
        "this account has a second factor: log in with `code` as well, the six digits of its authenticator app or"
        " a recovery code; a program that cannot uses a token (relay token create)",
        details={"reason": "second_factor", "field": "code"},
    )


def _wrong() -> RelayError:
    text = "this code is wrong, used or too old; wait for the next one of the app"
    return RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "wrong_code", "field": "code"})
