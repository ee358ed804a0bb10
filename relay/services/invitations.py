"""Invitations: who may make one for which groups, and that whoever registers with it becomes a member of them.

The account and what its user still has to join are one transaction. Joining is a change of each group, with its
event, and comes after it: at once, and again after a restart that came between.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import Role
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.channels import ChannelManager, Conversation
from relay.services.groups import Groups
from relay.services.permissions import require_member, require_role
from relay.services.server_roles import check_gives
from relay.storage import invites
from relay.storage.errors import StorageError
from relay.storage.invites import Invite, InviteRole
from relay.storage.jobs import Runner
from relay.storage.shown import check_shown
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.accounts")
_RETRY_SECONDS: Final = 5.0
_PASSING: Final = (ErrorCode.OVERLOADED, ErrorCode.RATE_LIMITED, ErrorCode.PLUGIN_FAILED)


class Invitations:
    """Makes invites, and has new users join what they were invited to.

    Args:
        now: Unix seconds.
        mode: who may register, as in `[accounts] registration`.
    """

    def __init__(
        self,
        runner: Runner,
        groups: Groups,
        channels: ChannelManager,
        audit: AuditLog,
        now: Callable[[], float],
        mode: str,
    ) -> None:
        self._audit = audit
        self._runner = runner
        self._groups = groups
        self._channels = channels
        self._now = now
        self.mode = mode
        self._wakeup = Wakeup()

    async def make(
        self,
        actor: Actor,
        *,
        uses: int = 1,
        seconds: float | None = None,
        role: InviteRole = "user",
        label: str = "",
        group_ids: Sequence[str] = (),
    ) -> tuple[str, Invite]:
        """Make an invite; return its code, and what is known of it.

        Args:
            actor: who invites; a user may give the role, and add members to the groups.
            seconds: until it expires; None for one that does not.
            label: for those who invite, to tell it from others.
            group_ids: groups that whoever registers with it joins.

        Raises:
            RelayError: `not_found` for a group, `forbidden` for one where the user may not add members, or as
                `check_gives`; `invalid_payload` for a label that shows nothing.
        """
        by = actor.by
        check_gives(actor.rights, invites.MADE[role])
        label = check_shown(label, "label") if label else ""
        for group_id in group_ids:
            await self._inviter(by, group_id)
        now = self._now()
        made = Invite(
            "",
            by,
            now,
            None if seconds is None else now + seconds,
            uses,
            role,
            label,
            tuple(dict.fromkeys(group_ids)),
        )

        def create(connection: sqlite3.Connection) -> str:
            code = invites.create_invite(
                connection,
                now,
                created_by=by,
                expires_at=made.expires_at,
                uses=uses,
                role=role,
                label=label,
                group_ids=group_ids,
            )
            details = {"role": role, "uses": uses, "expires_at": made.expires_at, "groups": made.group_ids}
            about = About("invite", invites.invite_id(code))
            self._audit.write(connection, actor, Act.INVITE_CREATED, about, details | {"label": label})
            return code

        code = await self._runner.write(create)
        made = made._replace(invite_id=invites.invite_id(code))
        _log.warning("%s made the invite %s: %d uses, role %s", by or "an operator", made.invite_id, uses, role)
        return code, made

    async def revoke(self, actor: Actor, named: str) -> None:
        """Take an invite back, named by its id, its code or its link.

        Raises:
            RelayError: `not_found`.
        """
        now, found = self._now(), invites.id_of(named)

        def revoke(connection: sqlite3.Connection) -> None:
            invites.revoke(connection, found, now)
            self._audit.write(connection, actor, Act.INVITE_REVOKED, About("invite", found))

        await self._runner.write(revoke)
        _log.warning("%s took the invite %s back", actor.by or "an operator", found)

    def require_use(self) -> None:
        """Refuse to make an invite that nobody could use.

        Raises:
            RelayError: `conflict`.
        """
        if self.mode == "closed":
            raise RelayError(
                ErrorCode.CONFLICT,
                'nobody could use an invite: [accounts] registration is "closed" on this server',
                details={"reason": "invites_useless"},
            )

    async def join(self, user_id: str) -> None:
        """Make a new user a member of the groups that they were invited to.

        The account stays whatever becomes of that: a group that is gone or full is logged and forgotten, and what
        may pass is tried again.
        """
        done = False
        try:
            done = await self._join(user_id)
        finally:
            if not done:
                self.wake()

    def wake(self) -> None:
        """Have `run` look for what is left to join."""
        self._wakeup.set()

    async def run(self) -> None:
        """Have those join whom a restart or a passing fault kept from it, for ever."""
        while True:
            if await self._join(None):
                await self._wakeup.wait()
            await trio.sleep(_RETRY_SECONDS)

    async def _join(self, user_id: str | None) -> bool:
        """Try what is left to join; return whether nothing has to be tried again."""
        done = True
        left = await self._runner.read(lambda connection: invites.joins(connection, user_id), inline=True)
        for joining, group_id, by in left:
            try:
                group, adder = await self._inviter(by, group_id)
                if joining not in group.members:
                    await self._groups.put_member(adder, group_id, joining, Role.MEMBER, acquaint=by is None)
            except StorageError:
                done = False
                continue
            except RelayError as refused:
                if refused.code in _PASSING:
                    done = False
                    continue
                _log.warning("%s was invited to the group %s, and did not join it: %s", joining, group_id, refused)
            await self._runner.write(partial(invites.forget_join, user_id=joining, group_id=group_id))
        return done

    async def _inviter(self, by: str | None, group_id: str) -> tuple[Conversation, str]:
        """Return a group, and in whose name somebody is added: the user who invited; for an operator, the owner.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        group = await self._channels.group(group_id)
        if group is None:
            raise not_found(f"group {group_id!r}")
        if by is None:
            return group, _owner(group)
        require_role(by, require_member(by, group, f"group {group_id!r}"), Role.ADMIN)
        return group, by


def _owner(group: Conversation) -> str:
    """Return the owner; a group always has exactly one."""
    return next(user_id for user_id, role in group.members.items() if role is Role.OWNER)
