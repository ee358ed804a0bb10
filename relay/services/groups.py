"""Groups: creation, names, members and roles, deletion. Each change is a `group_event` in the log.

A change and its event are one transaction. Memory follows between the commit and the fan-out, so that no message
is routed to the old members after it. Permission is checked twice: at once, and again in the transaction, because
other changes of the group may have come first.
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
from relay.services.questions import NOBODY, Asked, MemberChange, NewConversation, allowed_name
from relay.services.router import MessageRouter, Submission
from relay.storage import conversations
from relay.storage.accounts import get_user
from relay.storage.conversations import ChannelRow, group_address
from relay.storage.entry import Apply, Entry, Unchanged
from relay.storage.log import Log
from relay.storage.shown import check_shown


class Groups:
    """Changes groups, on behalf of a user or of the command line.

    Args:
        max_members: the most members of one group; 0 means no limit.
        max_groups: the most groups that one user has created; 0 means no limit.
        asked: who may refuse a group, its name, and changes of its members.
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
        asked: Asked = NOBODY,
    ) -> None:
        self._channels = channels
        self._router = router
        self._log = log
        self._now = now
        self._max_members = max_members or 1 << 62
        self._max_groups = max_groups or 1 << 62
        self._asked = asked

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
            by_user: whether the owner does it and not an operator; then each member must allow to be added.
            acquaint: make the members visible to each other, as if each had said something: an operator's choice.

        Raises:
            RelayError: `conflict` if the id is taken; `invalid_payload` for members who do not exist or are too
                many, or for an invisible name; `forbidden` for a member who does not let the owner add them; or a
                plugin's refusal.
        """
        name = check_shown(name, "name")
        group_id = group_id or conversations.made_up_id()
        roles = {owner: Role.OWNER} | {user_id: Role.MEMBER for user_id in members if user_id != owner}
        if len(roles) > self._max_members:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a group has at most {self._max_members} members")
        name = await self._ask_created(group_id, name, owner, roles, owner if by_user else None)
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

    async def _ask_created(
        self, group_id: str, name: str, owner: str, roles: dict[str, Role], by: str | None
    ) -> str:
        """Ask whether a group may be created, with its members, and return its name as it is to be."""
        asked, kind, members = self._asked, ConversationKind.GROUP, tuple(roles)
        await asked.ask("begin", NewConversation(kind=kind, by=by, target_id=group_id, members=members))
        name = await allowed_name(asked, name, "group", group_id, by)
        for member in members:
            if member != owner:
                await asked.ask(
                    "join", MemberChange(group_id=group_id, user_id=member, by=by, role=roles[member], was=None)
                )
        return name

    async def get(self, user_id: str, group_id: str) -> Conversation:
        """Return a group of which the user is a member.

        Raises:
            RelayError: `not_found` for any other.
        """
        return require_member(user_id, await self._channels.group(group_id), f"group {group_id!r}")

    async def rename(self, user_id: str, group_id: str, name: str) -> Conversation:
        """Rename a group; its owner and admins may.

        Raises:
            RelayError: `not_found`, `forbidden`, `invalid_payload` for an invisible name; or a plugin's refusal.
        """
        name = check_shown(name, "name")
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            require_role(user_id, conversation, Role.ADMIN)

        check()
        name = await allowed_name(self._asked, name, "group", group_id, user_id)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            conversations.rename_group(connection, conversation.channel_id, name)

        def remember() -> None:
            conversation.name = name

        await self._change(conversation, user_id, {"event": "renamed", "name": name}, apply, remember, check)
        return conversation

    async def delete(self, user_id: str, group_id: str) -> None:
        """Delete a group; its owner may. Its members' devices are told, and nobody can read it afterwards.

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
        unasked: bool = False,
    ) -> Conversation:
        """Add a member, or change a member's role; the owner and admins may, and only the owner makes an owner.

        A group has one owner: when another member becomes the owner, the old one becomes an admin.

        Args:
            by_user, acquaint: as in `create`.
            unasked: ask no plugin: what follows from an account's erasure cannot be refused.

        Raises:
            RelayError: `not_found` for a group or user; `forbidden`; `conflict` if another change of that member
                came first; or a plugin's refusal.
        """
        conversation = await self.get(user_id, group_id)
        present = conversation.members.get(member)

        def check() -> None:
            self._check_put(conversation, user_id, member, role, present)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            if present is not None:
                conversations.set_role(connection, conversation.channel_id, member, role)
            else:
                if get_user(connection, member) is None:
                    raise not_found(f"user {member!r}")
                if by_user:
                    _require_consent(connection, user_id, member)
                self._add(connection, conversation, member, role, acquaint=acquaint)
            if role is Role.OWNER:
                conversations.set_role(connection, conversation.channel_id, user_id, Role.ADMIN)

        def remember() -> None:
            conversation.members[member] = role
            if role is Role.OWNER:
                conversation.members[user_id] = Role.ADMIN

        event = "member_added" if present is None else "role_changed"
        payload = {"event": event, "user_id": member, "role": role}
        with suppress(Unchanged):
            check()
            if not unasked:
                await self._ask(group_id, member, user_id if by_user else None, role, present)
            await self._change(conversation, user_id, payload, apply, remember, check)
        return conversation

    async def _ask(self, group_id: str, member: str, by: str | None, role: Role | None, was: Role | None) -> None:
        """Ask whether a member may join, leave, or have another role.

        Raises:
            RelayError: a refusal.
        """
        change = MemberChange(group_id=group_id, user_id=member, by=by, role=role, was=was)
        await self._asked.ask("join" if was is None else "leave" if role is None else "change_role", change)

    def _add(
        self, database: sqlite3.Connection, group: Conversation, member: str, role: Role, *, acquaint: bool
    ) -> None:
        first = 1 if group.history == "start" else self._log.last_seq(database, group.channel_id) + 1
        conversations.add_member(database, group.channel_id, member, role, first, self._now())
        if acquaint:
            conversations.acquaint(database, group.channel_id, [member])

    def _check_put(
        self, conversation: Conversation, user_id: str, member: str, role: Role, seen: Role | None
    ) -> None:
        """Refuse a change that is not allowed or no longer fits; raises Unchanged if it changes nothing.

        Args:
            seen: the role that the member had when the change was asked for; None for no member.
        """
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

    async def remove_member(
        self, user_id: str, group_id: str, member: str, *, by_user: bool = False, unasked: bool = False
    ) -> None:
        """Remove a member, or leave. The owner cannot leave before another member is the owner.

        Args:
            by_user, unasked: as in `put_member`.

        Raises:
            RelayError: `not_found`, `forbidden`; or a plugin's refusal.
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
            conversation.spoke.discard(member)  # who comes back has yet to speak again

        check()
        if not unasked:
            await self._ask(group_id, member, user_id if by_user else None, None, conversation.members[member])
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
        """Commit a change and its event, then bring memory up to date, then tell the members.

        Args:
            payload: of the `group_event`.
            apply: changes the database, in the event's transaction.
            remember: changes memory, after the commit.
            check: refuses the change if it is not allowed; called at once and again in the transaction.
        """
        check()

        def run(connection: sqlite3.Connection, entry: Entry) -> None:
            # On the writer's thread, and safe: members in memory change only between two batches.
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
    """Return a group for REST, its members sorted by role, then by name."""
    rank = list(Role)
    members = sorted(conversation.members.items(), key=lambda member: (rank.index(member[1]), member[0]))
    return {
        "group_id": conversation.address.partition(":")[2],
        "name": conversation.name,
        "history": conversation.history,
        "members": _members(dict(members)),
    }
