"""Registration: every way in which an account is created, and what is asked before it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.protocol.kinds import ServerRole
from relay.services.invitations import Invitations
from relay.services.limits import network_of
from relay.services.logins import Logins, NewToken, SignedIn
from relay.services.questions import NOBODY, Asked, NewUser, RegisteredUser, Way, allowed_name
from relay.services.server_roles import first_is_owner
from relay.storage import account_links, accounts, invites
from relay.storage.jobs import Runner
from relay.storage.shown import cleaned

FIRST_INVITE_SECONDS: Final = 86_400.0
_CLOSED: Final = "this server takes no registrations; ask its admin"
_NO_ACCOUNT: Final = "there is no account of yours here; ask this server's admin for one"
_DISABLED: Final = "this account is disabled; ask this server's admin"
_CLAIMED: Final = frozenset({"authenticator", "sign_in"})


class Registration:
    """Creates accounts.

    Args:
        logins: logs a new user in.
        now: Unix seconds.
        invitations: has new users join the groups that they were invited to.
        mode: "open", "invite", "domain" or "closed".
        asked: who may refuse a new user, or their name.
    """

    def __init__(
        self,
        runner: Runner,
        logins: Logins,
        now: Callable[[], float],
        invitations: Invitations,
        *,
        mode: str = "invite",
        asked: Asked = NOBODY,
    ) -> None:
        self._runner = runner
        self._logins = logins
        self._now = now
        self._invitations = invitations
        self.mode = mode
        self._asked = asked

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

        The user joins the groups of the invite.

        An invite is used up even where none is needed, as it may make an admin. The first user's invite is valid
        on a closed server too.

        Where the server demands a second factor, the account is made, and its first login sets that up.

        Raises:
            RelayError: `forbidden` without a valid invite, where nobody signs in by a password, or as
                `SecondFactors.setup_refusal`; `conflict` if the name is taken, `overloaded`,
                `invalid_payload` for a name or password that breaks a rule; or a plugin's refusal.
        """
        if self.mode == "closed" and invite is None:
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED, details={"reason": "registration_closed"})
        if not self._logins.by_password and not await self.awaits_first():
            self._logins.check_by_password()
        self._logins.check_password(password)
        code = None if invite is None else invites.code_of(invite)
        new = NewUser(user_id=user_id, display_name=display_name, way="register", invite=code, address=address)
        await self._ask(new)
        now, network, code = self._now(), network_of(address), new.invite or ""
        asked = self.mode != "open" or new.invite is not None
        if asked:  # before the work of hashing; what counts is the check in the transaction
            await self._runner.read(lambda connection: invites.check_invite(connection, code, now), inline=True)
        hashed = await self._logins.passwords.hash(password, network, first=False)
        second_factors = self._logins.second_factors

        def create(connection: sqlite3.Connection) -> NewToken | None:
            self._create(connection, new, code if asked else None, hashed, now)
            if second_factors.is_required(connection, new.user_id):
                return None
            return self._logins.new_token(connection, new.user_id, client_id, network, now)

        try:
            made = await self._runner.write(create)
        except BaseException:
            self._invitations.wake()  # who left meanwhile may have an account all the same
            raise
        self._tell(new)
        await self._invitations.join(new.user_id)
        if made is None:
            raise await second_factors.setup_refusal(new.user_id)
        return made

    def _create(
        self, connection: sqlite3.Connection, new: NewUser, code: str | None, hashed: str, now: float
    ) -> None:
        """Create the account, as the invite with the code says; None for an account without one.

        Raises:
            RelayError: as `register`.
        """
        used = None if code is None else invites.use_invite(connection, code, now, new.user_id)
        role: invites.InviteRole = "user" if used is None else used.role
        if self.mode == "closed" and role != "first":
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED, details={"reason": "registration_closed"})
        accounts.create_user(
            connection,
            new.user_id,
            now,
            display_name=new.display_name,
            role=first_is_owner(connection, invites.MADE[role]),
            password_hash=hashed,
        )
        if used is not None and used.mail is not None:  # the link came by that address
            with suppress(RelayError):  # somebody else has verified it meanwhile
                account_links.set_address(connection, new.user_id, used.mail, now)

    async def awaits_first(self) -> bool:
        """Return whether there are no users yet."""
        return await self._runner.read(lambda connection: accounts.count_users(connection) == 0)

    async def invite_first(self) -> str | None:
        """Return an invite for the first user, the owner, that is valid for a day; None if there are users.

        It replaces the invite of the last start: only who sees the server start may use it.
        """
        now = self._now()
        return await self._runner.write(
            lambda connection: invites.create_first_invite(connection, now, now + FIRST_INVITE_SECONDS)
        )

    async def add(
        self,
        user_id: str,
        display_name: str | None,
        *,
        role: ServerRole = ServerRole.MEMBER,
        password_hash: str | None = None,
        then: Callable[[sqlite3.Connection], None] = lambda _connection: None,
    ) -> None:
        """Create an account for the operator. The first admin of a server is its owner.

        Args:
            then: runs in the same transaction, after it.

        Raises:
            RelayError: `conflict` if the name is taken, `invalid_payload`; or a plugin's refusal.
        """
        new = NewUser(user_id=user_id, display_name=display_name, way="operator")
        await self._ask(new)
        now = self._now()

        def create(connection: sqlite3.Connection) -> None:
            given = first_is_owner(connection, role)
            accounts.create_user(
                connection, user_id, now, display_name=new.display_name, role=given, password_hash=password_hash
            )
            then(connection)

        await self._runner.write(create)
        self._tell(new)

    async def ensure(
        self,
        user_id: str,
        display_name: str | None,
        way: Way,
        address: str = "",
        then: Callable[[sqlite3.Connection], None] | None = None,
    ) -> bool:
        """Create an account if there is none, and return whether one was created.

        Args:
            then: runs in the transaction that creates it.

        Raises:
            RelayError: `conflict` if a group has the name, `invalid_payload`; or a plugin's refusal.
        """
        if await self._runner.read(lambda found: accounts.get_user(found, user_id), inline=True) is not None:
            return False
        if way in _CLAIMED:  # what shows nothing is dropped, and not refused: nobody is here to choose another
            display_name = cleaned(display_name or "") or None
        new = NewUser(user_id=user_id, display_name=display_name, way=way, address=address)
        await self._ask(new)
        now = self._now()

        def create(connection: sqlite3.Connection) -> bool:
            created = accounts.ensure_user(connection, user_id, now, display_name=new.display_name)
            if created and then is not None:
                then(connection)
            return created

        made = await self._runner.write(create)
        if made:
            self._tell(new)
        return made

    async def admit(
        self,
        signed_in: SignedIn,
        client_id: str | None,
        address: str,
        check: Callable[[sqlite3.Connection], None] | None = None,
    ) -> NewToken:
        """Return the token of a user whom somebody else than relay knows, without a password.

        Args:
            check: may refuse, in the transaction that creates the token.

        Raises:
            RelayError: `forbidden` for an account that is disabled or not there; or the refusal of `check`.
        """
        now, network = self._now(), network_of(address)

        def issue(connection: sqlite3.Connection) -> NewToken:
            user = accounts.get_user(connection, signed_in.user_id)
            if user is None:
                raise RelayError(ErrorCode.FORBIDDEN, _NO_ACCOUNT, details={"reason": "no_account"})
            if user.disabled:
                raise RelayError(ErrorCode.FORBIDDEN, _DISABLED, details={"reason": "account_disabled"})
            if check is not None:
                check(connection)
            return self._logins.new_token(connection, user.user_id, client_id, network, now, signed_in)

        return await self._runner.write(issue)

    async def add_missing(
        self,
        user_ids: Iterable[str],
        then: Callable[[sqlite3.Connection, int], None] | None = None,
        *,
        skip_refused: bool = False,
    ) -> int:
        """Create those accounts that do not exist, for the operator, in one transaction; return how many.

        Args:
            then: runs in the same transaction, after them, with how many were created.
            skip_refused: leave out who is refused, instead of creating nobody.

        Raises:
            RelayError: as `add`.
        """
        wanted = list(dict.fromkeys(user_ids))
        missing = await self._runner.read(
            lambda connection: [one for one in wanted if accounts.get_user(connection, one) is None]
        )
        asked = []
        for user_id in missing:
            new = NewUser(user_id=user_id, display_name=None, way="operator")
            try:
                await self._ask(new)
            except RelayError:
                if not skip_refused:
                    raise
                continue
            asked.append(new)
        now = self._now()

        def create(connection: sqlite3.Connection) -> list[NewUser]:
            created = []
            for new in asked:
                try:
                    if accounts.ensure_user(connection, new.user_id, now, display_name=new.display_name):
                        created.append(new)
                except RelayError:
                    if not skip_refused:
                        raise
            if then is not None:
                then(connection, len(created))
            return created

        created = await self._runner.write(create)
        for new in created:
            self._tell(new)
        return len(created)

    async def _ask(self, new: NewUser) -> None:
        """Ask whether an account may be created, and shown by its name.

        Raises:
            RelayError: `invalid_payload` for a user id that cannot be one; or a plugin's refusal.
        """
        accounts.check_name(new.user_id, "user id")
        await self._asked.ask("register", new)
        shown = new.display_name or new.user_id
        try:
            allowed = await allowed_name(self._asked, shown, "user", new.user_id, None)
        except RelayError as refused:
            if new.way not in _CLAIMED or refused.code in (ErrorCode.PLUGIN_FAILED, ErrorCode.OVERLOADED):
                raise
            new.display_name = None
        else:
            if allowed != shown:
                new.display_name = allowed

    def _tell(self, new: NewUser) -> None:
        self._asked.registered(RegisteredUser(new.user_id, new.display_name or new.user_id, new.way))
