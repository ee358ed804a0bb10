"""Groups as admins and the operator change them: in the owner's name, with entries in the audit log."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.protocol.errors import not_found
from relay.protocol.kinds import Role
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.channels import ChannelManager, Conversation
from relay.services.group_events import GroupEvents
from relay.services.groups import Groups

_ACTS: Final = {
    "created": Act.GROUP_CREATED,
    "member_added": Act.GROUP_MEMBER_ADDED,
    "role_changed": Act.GROUP_ROLE,
    "member_removed": Act.GROUP_MEMBER_REMOVED,
    "deleted": Act.GROUP_DELETED,
}


class AuditedGroupEvents(GroupEvents):
    """Changes of groups that leave an entry each, in the transaction of the change."""

    def __init__(self, events: GroupEvents, audit: AuditLog, actor: Actor) -> None:
        super().__init__(events.router, events.kept)
        self._audit = audit
        self._actor = actor

    def _applied(
        self, connection: sqlite3.Connection, conversation: Conversation, payload: Mapping[str, Any]
    ) -> None:
        details = dict(payload)
        act = _ACTS[details.pop("event")]
        about = About("group", conversation.address.partition(":")[2])
        self._audit.write(connection, self._actor, act, about, details)


class GroupAdministration:
    """Changes groups in their owners' names, for admins and the operator."""

    def __init__(self, groups: Groups, channels: ChannelManager, audit: AuditLog) -> None:
        self._groups = groups
        self._channels = channels
        self._audit = audit

    async def create(
        self, actor: Actor, owner: str, name: str, members: Sequence[str], group_id: str | None, history: str
    ) -> Conversation:
        """Create a group in its owner's name; its members are made visible to each other.

        Raises:
            RelayError: as `Groups.create`.
        """
        return await self._by(actor).create(owner, name, list(members), group_id, history, acquaint=True)

    async def get(self, group_id: str) -> Conversation:
        """Return a group.

        Raises:
            RelayError: `not_found`.
        """
        conversation = await self._channels.group(group_id)
        if conversation is None:
            raise not_found(f"group {group_id!r}")
        return conversation

    async def put_member(
        self, actor: Actor, group_id: str, user_id: str, role: Role | None = None
    ) -> Conversation:
        """Add a member, or change a member's role; without a role, a present member keeps theirs.

        Raises:
            RelayError: as `Groups.put_member`.
        """
        conversation = await self.get(group_id)
        role = role or conversation.members.get(user_id, Role.MEMBER)
        owner = owner_of(conversation)
        return await self._by(actor).put_member(owner, group_id, user_id, role, acquaint=True)

    async def remove_member(self, actor: Actor, group_id: str, user_id: str) -> None:
        """Remove a member.

        Raises:
            RelayError: `not_found`, `forbidden` for the owner.
        """
        owner = owner_of(await self.get(group_id))
        await self._by(actor).remove_member(owner, group_id, user_id)

    async def delete(self, actor: Actor, group_id: str) -> None:
        """Delete a group.

        Raises:
            RelayError: `not_found`.
        """
        owner = owner_of(await self.get(group_id))
        await self._by(actor).delete(owner, group_id)

    def _by(self, actor: Actor) -> Groups:
        return self._groups.with_events(lambda events: AuditedGroupEvents(events, self._audit, actor))


def owner_of(conversation: Conversation) -> str:
    """Return the owner; a group always has exactly one."""
    return next(user_id for user_id, role in conversation.members.items() if role is Role.OWNER)
