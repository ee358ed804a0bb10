"""Groups: creating, renaming, deleting, and who is in them; each change is a `group_event` in the log.

The change and its event are one transaction, and memory follows between the commit and the fan-out, so
no message can slip in under the old membership. Whether it is allowed is asked twice: at once, and in the
transaction again, as other changes of the same group may have come first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind, Role
from relay.services.channels import ChannelManager, Conversation
from relay.services.permissions import require_member, require_role
from relay.services.router import MessageRouter, Submission
from relay.storage import conversations
from relay.storage.accounts import get_user
from relay.storage.conversations import ChannelRow, group_address
from relay.storage.entry import Apply, Entry, Unchanged
from relay.storage.log import Log
from relay.storage.shown import check_shown


class Groups:
    """What can be done to groups, on behalf of a user or of the command line.

    Args:
        max_members: the most members of one group; 0 means no limit.
        max_groups: the most groups that one user made; 0 means no limit.
    """

    def __init__(
        self,
        channels: ChannelManager,
        router: MessageRouter,
        log: Log,
        now: Callable[[], float],
        *,
        max_members: int = 1000,
        max_groups: int = 1000,
    ) -> None:
        self._channels = channels
        self._router = router
        self._log = log
        self._now = now
        self._max_members = max_members or 1 << 62
        self._max_groups = max_groups or 1 << 62

    async def create(
        self,
        owner: str,
        name: str,
        members: list[str],
        group_id: str | None = None,
        history: str = "join",
        *,
        by_user: bool = False,
        acquaint: bool = False,
    ) -> Conversation:
        """Create a group; its creator owns it.

        Args:
            by_user: the owner does it, and not an operator: whom they add has a say in it.
            acquaint: its members count as acquainted: it is an operator who puts them together.

        Raises:
            RelayError: `conflict` when the id is taken, `invalid_payload` for members who do not exist or
                are too many or for a name that shows nothing, `forbidden` for one who lets the owner add them to
                nothing.
        """
        name = check_shown(name, "name")
        group_id = group_id or conversations.made_up_id()
        roles = {owner: Role.OWNER} | {user_id: Role.MEMBER for user_id in members if user_id != owner}
        if len(roles) > self._max_members:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a group has at most {self._max_members} members")
        row = ChannelRow(0, ConversationKind.GROUP, group_address(group_id), name, roles, history)
        conversation = Conversation(row)

        def apply(connection: sqlite3.Connection, entry: Entry) -> None:
            if conversations.count_made(connection, owner) >= self._max_groups:
                text = f"you have made {self._max_groups} groups, and there may be no more of yours"
                raise RelayError(ErrorCode.FORBIDDEN, text)
            for member in roles if by_user else ():
                _require_consent(connection, owner, member)
            created = conversations.create_group(connection, group_id, name, roles, self._now(), history=history)
            entry.channel_id = conversation.channel_id = created.channel_id
            if acquaint:
                conversations.acquaint(connection, created.channel_id, roles)

        event = {"event": "created", "name": name, "members": _members(roles)}
        await self._change(conversation, owner, event, apply)
        return self._channels.hold(row._replace(channel_id=conversation.channel_id))

    async def get(self, user_id: str, group_id: str) -> Conversation:
        """Return a group to a member.

        Raises:
            RelayError: `not_found` to anybody else.
        """
        return require_member(user_id, await self._channels.group(group_id), f"group {group_id!r}")

    async def rename(self, user_id: str, group_id: str, name: str) -> Conversation:
        """Change a group's name; owner and admins may.

        Raises:
            RelayError: `not_found`, `forbidden`, `invalid_payload` for a name that shows nothing.
        """
        name = check_shown(name, "name")
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            require_role(user_id, conversation, Role.ADMIN)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            conversations.rename_group(connection, conversation.channel_id, name)

        def remember() -> None:
            conversation.name = name

        await self._change(conversation, user_id, {"event": "renamed", "name": name}, apply, remember, check)
        return conversation

    async def delete(self, user_id: str, group_id: str) -> None:
        """Delete a group; its owner may. Its members' devices learn of it, and nobody reads it after.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            require_role(user_id, conversation, Role.OWNER)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            last = self._log.last_seq(connection, conversation.channel_id) + 1
            conversations.delete_group(connection, conversation.channel_id, last, self._now())

        await self._change(
            conversation, user_id, {"event": "deleted"}, apply, lambda: self._channels.forget(conversation), check
        )

    async def put_member(
        self,
        user_id: str,
        group_id: str,
        member: str,
        role: Role,
        *,
        by_user: bool = False,
        acquaint: bool = False,
    ) -> Conversation:
        """Add a member, or change one's role; owner and admins may, and only the owner makes owners.

        Making somebody else the owner makes the old one an admin: a group has one owner.

        Args:
            by_user: the user does it, and not an operator: whom they add has a say in it.
            acquaint: as `create` has it.

        Raises:
            RelayError: `not_found`, also when there is no such user, `forbidden`, and `conflict` when another
                change of that member came first.
        """
        conversation = await self.get(user_id, group_id)
        present = conversation.members.get(member)

        def check() -> None:
            self._check_put(conversation, user_id, member, role, present)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            channel_id = conversation.channel_id
            if present is None:
                if get_user(connection, member) is None:
                    raise not_found(f"user {member!r}")
                if by_user:
                    _require_consent(connection, user_id, member)
                joins_at = self._log.last_seq(connection, channel_id) + 1
                first = 1 if conversation.history == "start" else joins_at
                conversations.add_member(connection, channel_id, member, role, first, self._now())
                if acquaint:
                    conversations.acquaint(connection, channel_id, [member])
            else:
                conversations.set_role(connection, channel_id, member, role)
            if role is Role.OWNER:
                conversations.set_role(connection, channel_id, user_id, Role.ADMIN)

        def remember() -> None:
            conversation.members[member] = role
            if role is Role.OWNER:
                conversation.members[user_id] = Role.ADMIN

        event = "member_added" if present is None else "role_changed"
        payload = {"event": event, "user_id": member, "role": role}
        with suppress(Unchanged):
            await self._change(conversation, user_id, payload, apply, remember, check)
        return conversation

    def _check_put(
        self, conversation: Conversation, user_id: str, member: str, role: Role, seen: Role | None
    ) -> None:
        """Refuse a change of a member that was seen with the role `seen`; raises Unchanged where it is none."""
        present = conversation.members.get(member)
        require_role(user_id, conversation, Role.OWNER if Role.OWNER in (role, present) else Role.ADMIN)
        if present is role:
            raise Unchanged
        if present is not seen:
            raise RelayError(ErrorCode.CONFLICT, f"the role of {member!r} was just changed; look and try again")
        if present is Role.OWNER:
            raise RelayError(ErrorCode.FORBIDDEN, "make another member the owner first")
        if present is None and len(conversation.members) >= self._max_members:
            raise RelayError(ErrorCode.FORBIDDEN, f"a group has at most {self._max_members} members")

    async def remove_member(self, user_id: str, group_id: str, member: str) -> None:
        """Remove a member, or leave; the owner hands the group on or deletes it instead of leaving.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            if member not in conversation.members:
                raise not_found(f"member {member!r}")
            if conversation.members[member] is Role.OWNER:
                text = "the owner cannot leave: make another the owner, or delete it"
                raise RelayError(ErrorCode.FORBIDDEN, text)
            if member != user_id:
                require_role(user_id, conversation, Role.ADMIN)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            last = self._log.last_seq(connection, conversation.channel_id) + 1
            conversations.end_membership(connection, conversation.channel_id, member, last)

        def remember() -> None:
            conversation.members.pop(member, None)

        payload = {"event": "member_removed", "user_id": member}
        await self._change(conversation, user_id, payload, apply, remember, check)

    async def _change(
        self,
        conversation: Conversation,
        actor: str,
        payload: dict[str, Any],
        apply: Apply,
        remember: Callable[[], None] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Commit a change together with its event, then bring memory up to date, then tell the members."""
        check()

        def run(connection: sqlite3.Connection, entry: Entry) -> None:
            # Nobody changes the members that memory holds while a batch is being committed.
            require_member(actor, conversation, f"group {entry.target_id!r}")
            check()
            apply(connection, entry)

        entry = Entry(
            channel_id=conversation.channel_id,
            type="group_event",
            kind=Kind.STREAM,
            sender_id=actor,
            target_id=conversation.address.partition(":")[2],
            client_id=None,
            own_id=None,
            digest=None,
            payload=msgspec.json.encode(payload).decode(),
            sent_at=None,
            apply=run,
        )
        await self._router.send(
            Submission(
                entry,
                conversation,
                changes_members=True,
                committed=None if remember is None else lambda _entry: remember(),
            )
        )


def _require_consent(connection: sqlite3.Connection, actor: str, member: str) -> None:
    if not conversations.may_add(connection, actor, member):
        raise RelayError(
            ErrorCode.FORBIDDEN, f"{member!r} does not let you add them to a group", details={"user_id": member}
        )


def _members(roles: dict[str, Role]) -> list[dict[str, str]]:
    return [{"user_id": user_id, "role": role} for user_id, role in roles.items()]


def describe(conversation: Conversation) -> dict[str, Any]:
    """Return a group as REST tells of it: its members by role, then by name."""
    rank = list(Role)
    members = sorted(conversation.members.items(), key=lambda member: (rank.index(member[1]), member[0]))
    return {
        "group_id": conversation.address.partition(":")[2],
        "name": conversation.name,
        "history": conversation.history,
        "members": _members(dict(members)),
    }
