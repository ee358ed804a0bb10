"""Registration: every way in which an account is created, and what is asked before it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.services.limits import network_of
from relay.services.logins import Logins, NewToken
from relay.services.questions import NOBODY, Asked, NewUser, RegisteredUser, Way, allowed_name
from relay.storage import accounts
from relay.storage.jobs import Runner
from relay.storage.shown import cleaned

FIRST_INVITE_SECONDS: Final = 86_400.0
_CLOSED: Final = "this server takes no registrations; ask its admin"
_CLAIMED: Final = frozenset({"authenticator", "sign_in"})


class Registration:
    """Creates accounts.

    Args:
        logins: logs a new user in.
        now: Unix seconds.
        mode: "open", "invite" or "closed".
        asked: who may refuse a new user, or their name.
    """

    def __init__(
        self,
        runner: Runner,
        logins: Logins,
        now: Callable[[], float],
        *,
        mode: str = "invite",
        asked: Asked = NOBODY,
    ) -> None:
        self._runner = runner
        self._logins = logins
        self._now = now
        self._mode = mode
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

        An invite is used up even where none is needed, as it may make an admin. The first user's invite is valid
        on a closed server too.

        Raises:
            RelayError: `forbidden` without a valid invite, `conflict` if the name is taken, `overloaded`,
                `invalid_payload` for a name or password that breaks a rule; or a plugin's refusal.
        """
        if self._mode == "closed" and invite is None:
            raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
        self._logins.check_password(password)
        new = NewUser(user_id=user_id, display_name=display_name, way="register", invite=invite, address=address)
        await self._ask(new)
        now, network, code = self._now(), network_of(address), new.invite or ""
        asked = self._mode != "open" or new.invite is not None
        if asked:  # before the work of hashing; what counts is the check in the transaction
            await self._runner.read(lambda connection: accounts.check_invite(connection, code, now), inline=True)
        hashed = await self._logins.passwords.hash(password, network, first=False)

        def create(connection: sqlite3.Connection) -> NewToken:
            role: accounts.InviteRole = accounts.use_invite(connection, code, now) if asked else "user"
            if self._mode == "closed" and role != "first":
                raise RelayError(ErrorCode.FORBIDDEN, _CLOSED)
            accounts.create_user(
                connection,
                new.user_id,
                now,
                display_name=new.display_name,
                admin=role != "user",
                password_hash=hashed,
            )
            return self._logins.new_token(connection, new.user_id, client_id, network, now)

        made = await self._runner.write(create)
        self._tell(new)
        return made

    async def invite_first(self) -> str | None:
        """Return an invite for the first user, an admin, that is valid for a day; None if there are users.

        It replaces the invite of the last start: only who sees the server start may use it.
        """
        now = self._now()
        return await self._runner.write(
            lambda connection: accounts.create_first_invite(connection, now, now + FIRST_INVITE_SECONDS)
        )

    async def add(
        self, user_id: str, display_name: str | None, *, admin: bool = False, password_hash: str | None = None
    ) -> None:
        """Create an account for the operator.

        Raises:
            RelayError: `conflict` if the name is taken, `invalid_payload`; or a plugin's refusal.
        """
        new = NewUser(user_id=user_id, display_name=display_name, way="operator")
        await self._ask(new)
        now = self._now()
        await self._runner.write(
            lambda connection: accounts.create_user(
                connection, user_id, now, display_name=new.display_name, admin=admin, password_hash=password_hash
            )
        )
        self._tell(new)

    async def ensure(self, user_id: str, display_name: str | None, way: Way, address: str = "") -> bool:
        """Create an account if there is none, and return whether one was created.

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
        made = await self._runner.write(
            lambda connection: accounts.ensure_user(connection, user_id, now, display_name=new.display_name)
        )
        if made:
            self._tell(new)
        return made

    async def add_missing(
        self,
        user_ids: Iterable[str],
        then: Callable[[sqlite3.Connection], None] | None = None,
        *,
        skip_refused: bool = False,
    ) -> int:
        """Create those accounts that do not exist, for the operator, in one transaction; return how many.

        Args:
            then: runs in the same transaction, after them.
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
                then(connection)
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
