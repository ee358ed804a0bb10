"""Slow mode: how often a plain member writes in a group. Who manages the group sets it.

A message is counted in its own transaction: there a retry of a stored one is known, and gets its ack. Who wrote
when is in the database, so that a restart changes nothing. Messages of groups without slow mode never come here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, Protocol

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.rights import SLOWED
from relay.protocol.rights import Act as Doing
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.channels import ChannelManager, Conversation
from relay.services.group_events import GroupEvents
from relay.services.kept_group import KeptGroup
from relay.services.permissions import require, slowed, user
from relay.services.router import MessageRouter
from relay.storage import conversations, slow_mode
from relay.storage.entry import Entry, Unchanged
from relay.storage.jobs import Runner

MOST_SECONDS: Final = 21_600
"""The longest time between two messages of a member: six hours."""


class Services(Protocol):
    """The services that slow mode stands on: an engine has them all.

    Attributes:
        now: Unix seconds.
    """

    runner: Runner
    router: MessageRouter
    channels: ChannelManager
    audit: AuditLog
    now: Callable[[], float]


class SlowMode:
    """Sets the slow mode of groups, and tells how long a member has to wait."""

    def __init__(self, services: Services, *, kept: KeptGroup) -> None:
        self._runner = services.runner
        self._channels = services.channels
        self._audit = services.audit
        self._events = GroupEvents(services.router, kept)
        self._now = services.now

    async def set(self, actor: Actor, group_id: str, seconds: int) -> Conversation:
        """Set the seconds between two messages of a plain member; 0 ends slow mode.

        Raises:
            RelayError: `not_found`; `forbidden` for who does not manage the group; `invalid_payload` for a number
                out of bounds.
        """
        if not 0 <= seconds <= MOST_SECONDS:
            text = f"slow_mode_seconds is 0, for no slow mode, to {MOST_SECONDS}; this is {seconds}"
            raise RelayError(ErrorCode.INVALID_PAYLOAD, text, details={"field": "slow_mode_seconds"})
        group = await self._channels.group(group_id)
        if group is None:
            raise not_found(f"group {group_id!r}")

        def check() -> None:
            if actor.by is not None:
                require(user(actor.by), Doing.SLOW_MODE, group, f"group {group_id!r}")

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            if group.slow_mode_seconds == seconds:
                raise Unchanged
            details = {"before": group.slow_mode_seconds, "after": seconds}
            slow_mode.set_seconds(connection, group.channel_id, seconds)
            self._audit.write(connection, actor, Act.GROUP_SLOW_MODE, About("group", group_id), details)

        def remember() -> None:
            group.slow_mode_seconds = seconds

        by = actor.by or conversations.owner_of(group.members)
        event = {"event": "changed", "slow_mode_seconds": seconds}
        await self._events.change(group, by, event, apply, remember, check)
        return group

    async def wait_of(self, user_id: str, group: Conversation) -> float:
        """Return the seconds until a member may write in a group; 0.0 where they may now."""
        if not slowed(group, user_id):
            return 0.0
        return await self._runner.read(
            lambda connection: waiting(connection, group, user_id, None, self._now()), inline=True
        )

    async def begin(self, user_id: str, group: Conversation, own_id: str) -> None:
        """Count a message that its sender begins now and ends later under this id: the end is not counted again.

        Raises:
            RelayError: `rate_limited` with `retry_after`.
        """
        if slowed(group, user_id):
            await self._runner.write(
                lambda connection: count(connection, group, user_id, Doing.WRITE, own_id, self._now())
            )


def waiting(
    connection: sqlite3.Connection, group: Conversation, user_id: str, own_id: str | None, now: float
) -> float:
    """Return the seconds that a member has yet to wait; 0.0 where they may write.

    Args:
        own_id: the message's; one that was begun under this id has been counted.
        now: Unix seconds.
    """
    if not slowed(group, user_id):
        return 0.0
    last = slow_mode.last_write(connection, group.channel_id, user_id)
    if last is None or (own_id is not None and last.own_id == own_id):
        return 0.0
    left = last.at + group.slow_mode_seconds - now
    return min(max(left, 0.0), float(group.slow_mode_seconds))  # the clock may have been set back


def count(
    connection: sqlite3.Connection, group: Conversation, user_id: str, act: Doing, own_id: str | None, now: float
) -> None:
    """Refuse a member's message that comes too soon; count any other. Inside the message's transaction.

    Raises:
        RelayError: `rate_limited` with `retry_after`.
    """
    if slowed(group, user_id):
        require(user(user_id), act, group, wait=waiting(connection, group, user_id, own_id, now))
        slow_mode.note_write(connection, group.channel_id, user_id, now, own_id)


def attach(entry: Entry, group: Conversation, act: Doing | None) -> None:
    """Have a message counted by slow mode, in its transaction: there a retry of a stored one is known already."""
    if act not in SLOWED:
        return
    apply = entry.apply

    def counted(connection: sqlite3.Connection, entry: Entry) -> str | None:
        if entry.at is None:  # what comes from elsewhere was not written now
            count(connection, group, entry.sender_id, act, entry.own_id, entry.timestamp)
        return None if apply is None else apply(connection, entry)

    entry.apply = counted
