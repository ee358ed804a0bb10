"""Groups: creation, names, rights, members and roles, deletion. Each change is a `group_event` in the log.

A change and its event are one transaction. Memory follows between the commit and the fan-out, so that no message
is routed to the old members after it. Permission is checked twice: at once, and again in the transaction, because
other changes of the group may have come first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Role
from relay.protocol.rights import Act
from relay.services.channels import ChannelManager, Conversation
from relay.services.group_checks import CHANGING, check_put, differs, group_full, require_consent
from relay.services.group_events import GroupEvents
from relay.services.group_view import listed_members
from relay.services.kept_group import KeptGroup
from relay.services.permissions import acting, decide, require, require_member, user
from relay.services.questions import NOBODY, Asked, MemberChange, NewConversation, allowed_name
from relay.services.router import MessageRouter
from relay.storage import conversations, group_profiles, public_groups
from relay.storage.accounts import get_user
from relay.storage.conversations import ChannelRow, group_address
from relay.storage.entry import Entry, Unchanged
from relay.storage.group_profiles import Profile
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
        kept: KeptGroup | None = None,
    ) -> None:
        self._channels = channels
        self.kept = kept or KeptGroup()
        self._events = GroupEvents(router, self.kept)
        self._log = log
        self._now = now
        self.limit(max_members, max_groups)
        self._asked = asked

    def limit(self, max_members: int, max_groups: int) -> None:
        """Allow other numbers from now on; 0 means no limit. What there is stays."""
        self._max_members = max_members or 1 << 62
        self._max_groups = max_groups or 1 << 62

    def with_events(self, make: Callable[[GroupEvents], GroupEvents]) -> Groups:
        """Return the same groups, whose changes are committed and told by what `make` makes of the present way."""
        found = copy(self)
        found._events = make(self._events)
        return found

    async def create(
        self,
        owner: str,
        name: str,
        members: list[str],
        group_id: str | None = None,
        history: str = "join",
        *,
        profile: Profile | None = None,
        by_user: bool = False,
        acquaint: bool = False,
        at: float | None = None,
    ) -> Conversation:
        """Create a group; its creator owns it.

        Args:
            profile: its picture, its description, its rights and whether it is public, as in `change`.
            by_user: whether the owner does it and not an operator; then each member must allow to be added.
            acquaint: make the members visible to each other, as if each had said something: an operator's choice.
            at: when it was created, Unix seconds, for one whose messages are from before; now without it.

        Raises:
            RelayError: `conflict` if the id is taken; `invalid_payload` for members who do not exist or are too
                many, or for an invisible name; `forbidden` for a guest as the owner, and for a member who does not
                let the owner add them; or a plugin's refusal.
        """
        name = check_shown(name, "name")
        group_id = group_id or conversations.made_up_id()
        roles = {owner: Role.OWNER} | {user_id: Role.MEMBER for user_id in members if user_id != owner}
        if len(roles) > self._max_members:
            raise group_full(ErrorCode.INVALID_PAYLOAD, self._max_members)
        name = await self._ask_created(group_id, name, owner, roles, owner if by_user else None)
        profile = profile or {}
        public = profile.get("public") is True
        rights = profile.get("rights", {})
        row = ChannelRow(0, ConversationKind.GROUP, group_address(group_id), name, roles, history, public, rights)
        conversation = Conversation(row, self._channels.default_rights)

        def apply(connection: sqlite3.Connection, entry: Entry) -> None:
            require(acting(connection, owner), Act.MAKE_GROUP)
            if conversations.count_made(connection, owner) >= self._max_groups:
                text = f"you have made {self._max_groups} groups, and there may be no more of yours"
                details = {"reason": "groups_made", "max": self._max_groups}
                raise RelayError(ErrorCode.FORBIDDEN, text, details=details)
            for member in roles if by_user else ():
                require_consent(connection, owner, member)
            created = conversations.create_group(connection, group_id, name, roles, self._now(), history=history)
            entry.channel_id = conversation.channel_id = created.channel_id
            group_profiles.change(connection, group_id, created.channel_id, profile, owner, self._now())
            if acquaint:
                conversations.acquaint(connection, created.channel_id, roles)

        event = {"event": "created", "name": name, "members": listed_members(roles), **profile}
        if rights:
            event["rights"] = conversation.rights._asdict()
        await self._events.change(conversation, owner, event, apply, at=at)
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
        """Rename a group, as its right `edit_profile` says.

        Raises:
            RelayError: `not_found`, `forbidden`, `invalid_payload` for an invisible name; or a plugin's refusal.
        """
        name = check_shown(name, "name")
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            require(user(user_id), Act.EDIT_PROFILE, conversation)

        check()
        name = await allowed_name(self._asked, name, "group", group_id, user_id)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            conversations.rename_group(connection, conversation.channel_id, name)

        def remember() -> None:
            conversation.name = name

        await self._events.change(
            conversation, user_id, {"event": "renamed", "name": name}, apply, remember, check
        )
        return conversation

    async def change(self, user_id: str, group_id: str, changes: Profile) -> Conversation:
        """Change a group's picture, its description, its rights, whether it is public, or whether it is closed.

        Args:
            changes: a `picture` is an upload of the user's; `rights` are those to change, and the others stay.

        Raises:
            RelayError: `not_found`, `forbidden`; or as `pictures.check`.
        """
        conversation = await self.get(user_id, group_id)
        changes = changes.copy()
        acts = {CHANGING.get(name, Act.EDIT_PROFILE) for name in changes}

        def check() -> None:
            for act in sorted(acts):
                require(user(user_id), act, conversation)

        check()
        event: dict[str, Any] = {"event": "changed", **changes}
        if "rights" in changes:
            changes["rights"] = {**conversation.chosen, **changes["rights"]}
            event["rights"] = self._channels.default_rights.with_set(changes["rights"])._asdict()
        if not differs(conversation, changes):
            return conversation

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            group_profiles.change(connection, group_id, conversation.channel_id, changes, user_id, self._now())

        def remember() -> None:
            conversation.public = bool(changes.get("public", conversation.public))
            chosen = changes.get("rights", conversation.chosen)
            closed = bool(changes.get("closed", conversation.closed))
            conversation.set_rights(chosen, closed=closed, defaults=self._channels.default_rights)

        await self._events.change(conversation, user_id, event, apply, remember, check)
        return conversation

    async def delete(self, user_id: str, group_id: str) -> None:
        """Delete a group; its owner may. Its members' devices are told, and nobody can read it afterwards.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        conversation = await self.get(user_id, group_id)

        def check() -> None:
            require(user(user_id), Act.DELETE_GROUP, conversation)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            last = self._log.last_seq(connection, conversation.channel_id) + 1
            conversations.delete_group(connection, conversation.channel_id, last, self._now())

        await self._events.change(
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
        """Add a member, as the group's right `invite` says, or change a member's role.

        The owner and admins change roles, and only the owner makes an owner.

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
            check_put(conversation, user_id, member, role, present, most=self._max_members)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            if present is not None:
                conversations.set_role(connection, conversation.channel_id, member, role)
            else:
                if get_user(connection, member) is None:
                    raise not_found(f"user {member!r}")
                if by_user:
                    require_consent(connection, user_id, member)
                self._add(connection, conversation, member, role, acquaint=acquaint)
                public_groups.unbar(connection, conversation.channel_id, member)
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
            await self._events.change(conversation, user_id, payload, apply, remember, check)
        return conversation

    async def join(self, user_id: str, group_id: str) -> Conversation:
        """Make a user a member of a public group, as they wish; nothing changes for who is one.

        Raises:
            RelayError: `not_found` for a group that is not public; `forbidden` for who was removed from it, and if
                it has no room; or a plugin's refusal.
        """
        conversation = await self._channels.group(group_id)
        if conversation is None or not (conversation.public or user_id in conversation.members):
            raise not_found(f"group {group_id!r}")
        group = conversation

        def check() -> None:
            if user_id in group.members:
                raise Unchanged
            if not group.public:
                raise not_found(f"group {group_id!r}")
            require(user(user_id), Act.JOIN, group)
            if len(group.members) >= self._max_members:
                raise group_full(ErrorCode.FORBIDDEN, self._max_members)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            barred = public_groups.is_barred(connection, group.channel_id, user_id)
            require(acting(connection, user_id), Act.JOIN, group, barred=barred)
            self._add(connection, group, user_id, Role.MEMBER, acquaint=False)

        def remember() -> None:
            group.members[user_id] = Role.MEMBER

        payload = {"event": "member_added", "user_id": user_id, "role": Role.MEMBER}
        with suppress(Unchanged):
            check()
            await self._ask(group_id, user_id, user_id, Role.MEMBER, None)
            await self._events.change(group, user_id, payload, apply, remember, check, joins=True)
        return group

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
            leaving = decide(user(member), Act.LEAVE, conversation)
            if not leaving.allowed:  # nor is the owner removed by anybody
                raise leaving.refusal(f"group {group_id!r}")
            if member != user_id:
                require(user(user_id), Act.REMOVE_MEMBER, conversation)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            last = self._log.last_seq(connection, conversation.channel_id) + 1
            conversations.end_membership(connection, conversation.channel_id, member, last)
            if member != user_id:
                public_groups.bar(connection, conversation.channel_id, member)

        def remember() -> None:
            conversation.members.pop(member, None)
            conversation.spoke.discard(member)  # who comes back has yet to speak again

        check()
        if not unasked:
            await self._ask(group_id, member, user_id if by_user else None, None, conversation.members[member])
        payload = {"event": "member_removed", "user_id": member}
        await self._events.change(conversation, user_id, payload, apply, remember, check)
