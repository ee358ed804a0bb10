"""The administration of accounts: every act of an admin or the operator on somebody's account, on every path.

Each act is checked in its transaction, by the roles of both, and leaves an entry in the audit log in the same one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import trio

from relay.protocol.errors import CloseCode, ErrorCode, RelayError, not_found
from relay.protocol.kinds import ServerRole
from relay.services.accounts import Accounts
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.connections import WebSocketManager
from relay.services.leaving import Leaving
from relay.services.logins import Logins
from relay.services.questions import NOBODY, Asked, allowed_name
from relay.services.registration import Registration
from relay.services.server_roles import check_gives, check_manages, check_owner_stays
from relay.storage import accounts, leaving
from relay.storage.accounts import User
from relay.storage.jobs import Runner
from relay.storage.leaving import Progress
from relay.storage.restrictions import is_disabled
from relay.storage.shown import check_shown

_ERASE_SECONDS: Final = 20.0
"""How long one answer waits for an erasure to finish; the control socket waits 30 s."""


class Changes(NamedTuple):
    """Changes of an account; None leaves something as it is."""

    display_name: str | None = None
    role: ServerRole | None = None
    disabled: bool | None = None


class Administration:
    """Adds, changes and ends accounts for somebody who may.

    Args:
        now: Unix seconds.
        asked: who may refuse a display name.

    Attributes:
        roles_changed: called after a change of a role, or of who may sign in.
    """

    def __init__(
        self,
        runner: Runner,
        audit: AuditLog,
        identities: Accounts,
        logins: Logins,
        registration: Registration,
        departures: Leaving,
        connections: WebSocketManager,
        now: Callable[[], float],
        *,
        asked: Asked = NOBODY,
    ) -> None:
        self._runner = runner
        self._audit = audit
        self._identities = identities
        self._logins = logins
        self._registration = registration
        self._departures = departures
        self._connections = connections
        self._now = now
        self._asked = asked
        self.roles_changed: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    async def add(
        self,
        actor: Actor,
        user_id: str,
        display_name: str | None = None,
        *,
        role: ServerRole = ServerRole.MEMBER,
        password: str | None = None,
    ) -> ServerRole:
        """Create an account, and return its role; without a password its user logs in with tokens only.

        The first admin of a server is its owner.

        Raises:
            RelayError: `conflict` when the name is taken, `invalid_payload` for an invalid name or password,
                `forbidden` for a role that the actor may not give; or a plugin's refusal.
        """
        check_gives(actor.rights, role)
        accounts.check_name(user_id, "user id")
        hashed = None if password is None else await self._hashed(password)

        given = role

        def record(connection: sqlite3.Connection) -> None:
            nonlocal given
            made = _found(connection, user_id)
            given, details = made.role, {"role": made.role, "display_name": made.display_name}
            self._audit.write(connection, actor, Act.USER_ADDED, About("user", user_id), details)

        await self._registration.add(user_id, display_name, role=role, password_hash=hashed, then=record)
        return given

    async def import_missing(
        self, actor: Actor, user_ids: Sequence[str], *, tokens: bool = False
    ) -> tuple[int, list[tuple[str, str]]]:
        """Create the users that do not exist yet, in one transaction, and with `tokens` a token for each user.

        Returns:
            How many were created, and the tokens by their users.

        Raises:
            RelayError: `invalid_payload` or `conflict` for one name, or a plugin's refusal; then nothing was done.
        """
        now = self._now()
        issued: list[tuple[str, str]] = []

        def then(connection: sqlite3.Connection, created: int) -> None:
            if tokens:
                made = partial(accounts.create_token, connection, now=now, origin="cli", label="import")
                issued.extend((user_id, made(user_id)) for user_id in dict.fromkeys(user_ids))
            self._audit.write(connection, actor, Act.USER_IMPORTED, details={"created": created, "tokens": tokens})

        return await self._registration.add_missing(user_ids, then), issued

    async def change(self, actor: Actor, user_id: str, changes: Changes, reason: str = "") -> User:
        """Change an account's display name, its role, or whether it is disabled, all or nothing; return it.

        Connections of a disabled account end with 4502. What changes nothing leaves no entry.

        Raises:
            RelayError: `not_found`; `forbidden` for one's own account, or a role that the actor may not change or
                give; `conflict` for the last owner, and for an account that was erased; `invalid_payload` for an
                invisible name; or a plugin's refusal of it.
        """
        name = changes.display_name
        if name is not None:
            name = await allowed_name(self._asked, check_shown(name, "display_name"), "user", user_id, actor.by)
            changes = changes._replace(display_name=name)
        user = await self._runner.write(
            lambda connection: self._change(connection, actor, user_id, changes, reason)
        )
        self._identities.forget()
        if changes.disabled:
            self._connections.end_user(user_id, CloseCode.ACCOUNT_DISABLED)
        elif changes.role is not None:
            self._refresh(user_id, changes.role)
        if changes.role is not None or changes.disabled is not None:
            await self.roles_changed()
        return user

    def _change(
        self, connection: sqlite3.Connection, actor: Actor, user_id: str, changes: Changes, reason: str
    ) -> User:
        was = self._manageable(connection, actor, user_id)
        about, why = About("user", user_id), {"reason": reason} if reason else {}
        over = leaving.is_over(connection, user_id)
        if over and (changes.disabled is False or changes.role not in (None, was.role)):
            raise _over(user_id)
        for act, column, before, after in (
            (Act.USER_RENAMED, "display_name", was.display_name, changes.display_name),
            (Act.USER_ROLE, "role", was.role, changes.role),
        ):
            if after is None or after == before:
                continue
            if column == "role":
                check_gives(actor.rights, ServerRole(after))
                check_owner_stays(connection, user_id)
            accounts.update_user(connection, user_id, **{column: after})
            self._audit.write(connection, actor, act, about, {"before": before, "after": after, **why})
        if changes.disabled is not None and changes.disabled is not is_disabled(connection, user_id):
            if changes.disabled:
                check_owner_stays(connection, user_id)
            accounts.update_user(connection, user_id, disabled=int(changes.disabled))
            act = Act.USER_DISABLED if changes.disabled else Act.USER_ENABLED
            self._audit.write(connection, actor, act, about, why)
        return _found(connection, user_id)

    def _refresh(self, user_id: str, role: ServerRole) -> None:
        """Give a user's open connections their new role; those that a plugin let in have the role it gave them."""
        for connection in self._connections.of(user_id).values():
            if ":" not in connection.identity.token_id:
                connection.identity = connection.identity._replace(role=role)

    async def set_role(self, actor: Actor, user_id: str, role: ServerRole, reason: str = "") -> User:
        """Give a user another role; see `change`."""
        return await self.change(actor, user_id, Changes(role=role), reason)

    async def set_disabled(self, actor: Actor, user_id: str, disabled: bool, reason: str = "") -> User:
        """Disable an account, or enable it again; see `change`."""
        return await self.change(actor, user_id, Changes(disabled=disabled), reason)

    async def set_password(self, actor: Actor, user_id: str, password: str) -> int:
        """Set a password, and end the sessions that were logged in with the old one; return how many those were.

        Tokens that were made by hand stay valid.

        Raises:
            RelayError: `not_found`, `invalid_payload`, `forbidden`; `conflict` for an account that was erased.
        """
        hashed = await self._hashed(password)

        def change(connection: sqlite3.Connection) -> list[str]:
            self._manageable(connection, actor, user_id)
            if leaving.is_over(connection, user_id):
                raise _over(user_id)
            accounts.update_user(connection, user_id, password_hash=hashed)
            ended = accounts.revoke_logins(connection, user_id, "")
            about, details = About("user", user_id), {"logins_ended": len(ended)}
            self._audit.write(connection, actor, Act.USER_PASSWORD, about, details)
            return ended

        ended = await self._runner.write(change)
        self._identities.forget()
        for token_id in ended:
            self._connections.end_token(token_id, CloseCode.SESSION_REVOKED)
        return len(ended)

    async def delete(self, actor: Actor, user_id: str) -> None:
        """Delete an account for good; what its user said stays, under their name. Its connections end with 4502.

        Asking again is harmless, and leaves no second entry.

        Raises:
            RelayError: `not_found`, `forbidden`; `conflict` for the last owner.
        """

        def check(connection: sqlite3.Connection) -> None:
            self._manageable(connection, actor, user_id)
            check_owner_stays(connection, user_id)
            if not leaving.is_over(connection, user_id):
                self._audit.write(connection, actor, Act.USER_DELETED, About("user", user_id))

        await self._departures.delete(user_id, check)

    async def erase(self, actor: Actor, user_id: str) -> Progress:
        """Erase an account for good, and return once that is done; its connections end with 4502.

        The erasure goes on if the caller is cancelled; asking again is harmless, and leaves no second entry.

        Raises:
            RelayError: `not_found`, `forbidden`; `conflict` for the last owner.
        """
        return await self._departures.erase(user_id, self._erasure_check(actor, user_id))

    def _erasure_check(self, actor: Actor, user_id: str) -> Callable[[sqlite3.Connection], None]:
        """Return what checks and records an erasure, in the transaction that begins it."""

        def check(connection: sqlite3.Connection) -> None:
            self._manageable(connection, actor, user_id)
            check_owner_stays(connection, user_id)
            if not leaving.is_erased(connection, user_id):
                self._audit.write(connection, actor, Act.USER_ERASED, About("user", user_id))

        return check

    async def erase_within(self, actor: Actor, user_id: str) -> Progress:
        """Erase an account, and return once that is done, or how far it has come after 20 s; it goes on then.

        Raises:
            RelayError: as `erase`.
        """
        return await self.departing(user_id, self._erasure_check(actor, user_id))

    async def departing(self, user_id: str, check: Callable[[sqlite3.Connection], None]) -> Progress:
        """Erase an account whose erasure somebody has asked for, and return as `erase_within` does.

        Args:
            check: runs in the transaction that ends the account, and may refuse.

        Raises:
            RelayError: `not_found`; or what `check` raises.
        """
        with trio.move_on_after(_ERASE_SECONDS):
            return await self._departures.erase(user_id, check)
        found = await self._runner.read(lambda connection: leaving.progress(connection, user_id))
        if found is None:  # the writer has not come to it yet
            raise RelayError(ErrorCode.OVERLOADED, "the server is busy; ask again", retry_after=1.0)
        return found

    def _manageable(self, connection: sqlite3.Connection, actor: Actor, user_id: str) -> User:
        """Return an account that the actor may change.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        user = _found(connection, user_id)
        if actor.by == user_id and not actor.trusted:
            text = "this is your own account: change it in your settings; what is not there, another admin does"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "own_account"})
        check_manages(actor.rights, user.role)
        return user

    async def _hashed(self, password: str) -> str:
        self._logins.check_password(password)
        return await self._logins.hash_password(password)


def _over(user_id: str) -> RelayError:
    return RelayError(
        ErrorCode.CONFLICT, f"the account {user_id!r} was erased or deleted; nobody can have it again"
    )


def _found(connection: sqlite3.Connection, user_id: str) -> User:
    user = accounts.get_user(connection, user_id)
    if user is None:
        raise not_found(f"user {user_id!r}")
    return user
