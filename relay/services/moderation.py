"""Moderation: timeouts and bans, in a group by its admins and on the server by its moderators; messages removed.

Each act is one transaction with its entry in the audit log. Nobody acts on themself, nor on anybody whose role is
as high as their own. The operator, who has the machine, may act on everybody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, Protocol

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.rights import Act
from relay.services.accounts import Accounts
from relay.services.audit import About, Actor, AuditLog
from relay.services.channels import ChannelManager, Conversation
from relay.services.group_events import GroupEvents
from relay.services.history import HistorySaver
from relay.services.kept_group import KeptGroup
from relay.services.moderation_checks import check_manages, check_outranks, check_until
from relay.services.permissions import user
from relay.services.questions import NOBODY, Asked, MemberChange
from relay.services.restrictions import Restrictions
from relay.services.router import MessageRouter, Submission
from relay.services.standing import Standing
from relay.storage import conversations, reports, restrictions, tombstones
from relay.storage.accounts import role_of
from relay.storage.entry import Entry, made_here
from relay.storage.history import Record
from relay.storage.jobs import Runner
from relay.storage.log import Log
from relay.storage.restrictions import SERVER, Restriction, RestrictionKind

_ACTS: Final = {"timeout": ("timed_out", "timeout_lifted"), "ban": ("banned", "ban_lifted")}
"""The names of both acts of each kind, as audit entries and notices have them."""

_TITLES: Final = {
    "timed_out": "You may only read on this server for a while",
    "timeout_lifted": "You may write on this server again",
    "message_removed": "A moderator removed a message of yours",
    "report_resolved": "The moderators acted on your report",
    "report_dismissed": "The moderators looked at your report and left it at that",
}


class Services(Protocol):
    """The services that moderation stands on: an engine has them all.

    Attributes:
        now: Unix seconds.
    """

    runner: Runner
    router: MessageRouter
    channels: ChannelManager
    accounts: Accounts
    restrictions: Restrictions
    standing: Standing
    audit: AuditLog
    history: HistorySaver
    now: Callable[[], float]


class Moderation:
    """Restricts users and removes messages.

    Args:
        services: those that it stands on.
        kept: the group that nobody changes by hand.
        asked: who may refuse that a member leaves a group.
        deletable: tells whether messages of a type may be deleted.
        owned: returns the accounts that a user answers for, inside a transaction.
    """

    def __init__(
        self,
        services: Services,
        log: Log,
        *,
        kept: KeptGroup,
        asked: Asked = NOBODY,
        deletable: Callable[[str], bool] = lambda _type: True,
        owned: Callable[[sqlite3.Connection, str], list[str]] = lambda _connection, _user_id: [],
    ) -> None:
        self._runner = services.runner
        self._router = services.router
        self._events = GroupEvents(services.router, kept)
        self._log = log
        self._channels = services.channels
        self._accounts = services.accounts
        self._held = services.restrictions
        self._audit = services.audit
        self._now = services.now
        self._asked = asked
        self._standing = services.standing
        self._deletable = deletable
        self._owned = owned

    async def restrict(
        self,
        actor: Actor,
        kind: RestrictionKind,
        user_id: str,
        *,
        reason: str = "",
        until: float | None = None,
        group_id: str | None = None,
    ) -> Restriction:
        """Put a user into a timeout, or ban them: in a group, or without one on the whole server.

        A newer restriction takes the place of an older one of the same kind. The accounts that a user answers for
        are banned from the server with them.

        Args:
            until: when it ends by itself, Unix seconds; a ban without it holds until it is lifted.

        Raises:
            RelayError: `not_found`; `forbidden` for who may not; `invalid_payload` for a time that is over, or
                missing, or too far.
        """
        now = self._now()
        check_until(kind, until, now)
        made = Restriction(SERVER, user_id, kind, reason.strip(), actor.by, now, until)
        if group_id is not None:
            return await self._restrict_in_group(actor, made, group_id)

        def change(connection: sqlite3.Connection) -> list[Restriction]:
            check_outranks(connection, actor, user_id)
            owned = self._with_owner(connection, actor, made) if kind == "ban" else []
            for one in (made, *owned):
                restrictions.put(connection, one)
                self._note(connection, actor, f"user.{_ACTS[kind][0]}", one.user_id, one)
            return [made, *owned]

        for one in await self._runner.write(change):
            self._held.hold(one)
            if kind == "ban":
                self._accounts.end_access(one.user_id)
        if kind == "timeout":
            await self.tell(actor, user_id, _ACTS[kind][0], made.reason, until=until)
        return made

    async def lift(
        self, actor: Actor, kind: RestrictionKind, user_id: str, *, group_id: str | None = None
    ) -> Restriction:
        """Take back a timeout or a ban, and return what it was.

        Raises:
            RelayError: `not_found`; `forbidden` for who may not.
        """
        if group_id is not None:
            return await self._lift_in_group(actor, kind, user_id, group_id)

        def change(connection: sqlite3.Connection) -> list[Restriction]:
            check_outranks(connection, actor, user_id)
            found = restrictions.find(connection, SERVER, user_id, kind)
            if found is None:
                raise not_found(f"{kind} of {user_id!r}")
            lifted = [found, *(self._held_with(connection, found) if kind == "ban" else [])]
            for one in lifted:
                restrictions.lift(connection, SERVER, one.user_id, kind)
                self._note(connection, actor, f"user.{_ACTS[kind][1]}", one.user_id, one)
            return lifted

        lifted, *more = await self._runner.write(change)
        for one in (lifted, *more):
            self._held.drop(SERVER, one.user_id, kind)
        self._accounts.forget()
        if kind == "timeout":
            await self.tell(actor, user_id, _ACTS[kind][1], "")
        return lifted

    def _with_owner(self, connection: sqlite3.Connection, actor: Actor, made: Restriction) -> list[Restriction]:
        """Return the bans of the accounts that a banned user answers for: each with the owner's end."""
        before = restrictions.find(connection, SERVER, made.user_id, "ban")
        found = []
        for user_id in self._owned(connection, made.user_id):
            known = restrictions.find(connection, SERVER, user_id, "ban")
            follows = known is None or (before is not None and known.made_at == before.made_at)
            role = role_of(connection, user_id)
            if follows and role is not None and (actor.role is None or not role.reaches(actor.role)):
                why = f"its owner {made.user_id} is banned"
                found.append(made._replace(user_id=user_id, reason=why))
        return found

    def _held_with(self, connection: sqlite3.Connection, ban: Restriction) -> list[Restriction]:
        """Return the bans of those accounts that came with a user's ban, and not by themselves."""
        owned = [restrictions.find(connection, SERVER, one, "ban") for one in self._owned(connection, ban.user_id)]
        return [one for one in owned if one is not None and one.made_at == ban.made_at]

    async def in_force(self, actor: Actor, group_id: str | None = None) -> list[Restriction]:
        """Return the restrictions in a group, to who manages it, or those of the server; the newest first.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        channel_id = SERVER
        if group_id is not None:
            conversation = await self._group(group_id)
            check_manages(actor, conversation, None)
            channel_id = conversation.channel_id
        found = await self._runner.read(lambda connection: restrictions.of_channel(connection, channel_id))
        now = self._now()
        return [one for one in found if one.holds(now)]

    async def of_user(self, user_id: str) -> list[dict[str, Any]]:
        """Return a user's own timeouts that hold now, for REST."""
        now = self._now()
        held = [one for one in self._held.timeouts.get(user_id, {}).values() if one.holds(now)]

        def read(connection: sqlite3.Connection) -> list[str | None]:
            return [conversations.address_of(connection, one.channel_id) for one in held]

        addresses = await self._runner.read(read, inline=True) if held else []
        return [
            {
                "kind": one.kind,
                "group_id": None if address is None else address.partition(":")[2],
                "reason": one.reason,
                "until": one.until,
            }
            for one, address in zip(held, addresses, strict=True)
        ]

    async def _restrict_in_group(self, actor: Actor, made: Restriction, group_id: str) -> Restriction:
        conversation = await self._group(group_id)
        made = made._replace(channel_id=conversation.channel_id)
        user_id, banned = made.user_id, made.kind == "ban"

        def check() -> None:
            check_manages(actor, conversation, user_id)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            if role_of(connection, user_id) is None:
                raise not_found(f"user {user_id!r}")
            restrictions.put(connection, made)
            if banned and user_id in conversation.members:
                last = self._log.last_seq(connection, conversation.channel_id) + 1
                conversations.end_membership(connection, conversation.channel_id, user_id, last)
            self._note(connection, actor, f"group.member_{_ACTS[made.kind][0]}", user_id, made, group_id)

        def remember() -> None:
            self._held.hold(made)
            if banned:
                conversation.members.pop(user_id, None)
                conversation.spoke.discard(user_id)

        check()
        present = conversation.members.get(user_id)
        event: dict[str, Any] = {"event": f"member_{_ACTS[made.kind][0]}", "user_id": user_id}
        if banned and present is not None:
            change = MemberChange(group_id=group_id, user_id=user_id, by=actor.by, role=None, was=present)
            await self._asked.ask("leave", change)
            event = {"event": "member_removed", "user_id": user_id, "banned": True}  # as older clients know it
        event |= {"until": made.until} if made.until is not None else {}
        event |= {"reason": made.reason} if made.reason else {}
        await self._events.change(conversation, _in_name_of(actor, conversation), event, apply, remember, check)
        return made

    async def _lift_in_group(
        self, actor: Actor, kind: RestrictionKind, user_id: str, group_id: str
    ) -> Restriction:
        conversation = await self._group(group_id)
        lifted: list[Restriction] = []

        def check() -> None:
            check_manages(actor, conversation, user_id)

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            found = restrictions.lift(connection, conversation.channel_id, user_id, kind)
            if found is None:
                raise not_found(f"{kind} of {user_id!r} in this group")
            lifted.append(found)
            self._note(connection, actor, f"group.{_ACTS[kind][1]}", user_id, found, group_id)

        def remember() -> None:
            self._held.drop(conversation.channel_id, user_id, kind)

        event = {"event": _ACTS[kind][1], "user_id": user_id}
        await self._events.change(conversation, _in_name_of(actor, conversation), event, apply, remember, check)
        return lifted[-1]

    async def _group(self, group_id: str) -> Conversation:
        conversation = await self._channels.group(group_id)
        if conversation is None:
            raise not_found(f"group {group_id!r}")
        return conversation

    def _note(
        self,
        connection: sqlite3.Connection,
        actor: Actor,
        act: str,
        user_id: str,
        made: Restriction,
        group_id: str | None = None,
    ) -> None:
        details: dict[str, Any] = {"reason": made.reason, "until": made.until}
        if group_id is not None:
            details["group_id"] = group_id
        self._audit.write(connection, actor, act, About("user", user_id), details)

    # Messages.

    async def remove(
        self, actor: Actor, conversation: Conversation, message: Record, reason: str, *, reported: bool = False
    ) -> None:
        """Remove a message: its tombstone says so to everybody, a notice to its author says why.

        In a conversation that the actor is not in, the deletion stands in its author's name, since only members
        say something there.

        Args:
            reported: whether a report is why: then a moderator of the server may, wherever the message is.

        Raises:
            RelayError: `not_found` for one that is gone; `forbidden`; `invalid_payload` for one of a type whose
                messages nobody deletes.
        """
        if not reported and actor.by is not None:
            decision = self._standing.decide(user(actor.by), Act.DELETE_OTHERS, conversation)
            if not decision.allowed:
                raise decision.refusal(f"message {message.message_id}")
        if not self._deletable(message.type):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be deleted")

        def apply(connection: sqlite3.Connection, entry: Entry) -> None:
            found = connection.execute(
                "SELECT 1 FROM log WHERE message_id = ? AND deleted_at IS NULL", (message.message_id,)
            ).fetchone()
            if found is None:
                raise not_found(f"message {message.message_id}")
            if not tombstones.remove_message(connection, message.message_id, entry.timestamp, actor.by or ""):
                raise RelayError(ErrorCode.FORBIDDEN, "this message is kept; nobody can delete it now")
            details = {"author": message.sender_id, "reason": reason, "conversation": conversation.address}
            self._audit.write(
                connection, actor, "message.removed", About("message", str(message.message_id)), details
            )

        by = actor.by if actor.by in conversation.members else None
        entry = made_here(
            conversation.channel_id,
            "message_delete",
            by or message.sender_id,
            message.target_id if by is None else conversation.target_id(by),
            {"message_id": message.message_id, "removed": True},
            apply=apply,
            reads=False,
        )
        await self._router.send(Submission(entry, conversation))
        if message.sender_id != actor.by:
            more = {"message_id": message.message_id, "target_id": conversation.target_id(message.sender_id)}
            await self.tell(actor, message.sender_id, "message_removed", reason, **more)

    async def tell(self, actor: Actor, user_id: str, what: str, reason: str, **more: Any) -> None:
        """Send somebody a notification of what was done about them, whose `data` says it to a program."""
        data = {"moderation": what, "reason": reason} | {key: one for key, one in more.items() if one is not None}
        payload: dict[str, Any] = {"title": _TITLES.get(what, what), "level": "warning", "data": data}
        if reason:
            payload["body"] = reason
        conversation = await self._channels.own(user_id)
        # Not the user's own message: that would call for nobody's attention.
        moderators = await self._runner.read(reports.moderators, inline=True)
        sender = actor.by or next((one for one in moderators if one != user_id), user_id)
        entry = made_here(conversation.channel_id, "notification", sender, user_id, payload, reads=False)
        await self._router.send(Submission(entry, conversation))


def _in_name_of(actor: Actor, conversation: Conversation) -> str:
    """Return the member in whose name a change of a group stands: the operator acts in the owner's."""
    return actor.by or conversations.owner_of(conversation.members)
