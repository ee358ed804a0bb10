"""Changes of groups with their events: each is one transaction, and memory follows it before anybody is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from relay.services.channels import Conversation
from relay.services.kept_group import KeptGroup
from relay.services.permissions import require_member
from relay.services.router import MessageRouter, Submission
from relay.storage.entry import Apply, Entry, made_here


class GroupEvents:
    """Commits changes of groups, and tells the members of each by a `group_event`.

    Args:
        kept: the group that nobody changes by hand.

    Attributes:
        router: stores and sends the events.
    """

    def __init__(self, router: MessageRouter, kept: KeptGroup) -> None:
        self.router = router
        self.kept = kept

    async def change(
        self,
        conversation: Conversation,
        actor: str,
        payload: dict[str, Any],
        apply: Apply,
        remember: Callable[[], None] | None = None,
        check: Callable[[], None] = lambda: None,
        *,
        joins: bool = False,
        at: float | None = None,
    ) -> None:
        """Commit a change and its event, then bring memory up to date, then tell the members.

        Args:
            payload: of the `group_event`.
            apply: changes the database, in the event's transaction.
            remember: changes memory, after the commit.
            check: refuses the change if it is not allowed; called at once and again in the transaction.
            joins: whether the actor becomes a member by it; everybody else must be one.
            at: when it happened, Unix seconds; now without it.
        """
        self.kept.check(conversation.address)
        check()

        def run(connection: sqlite3.Connection, entry: Entry) -> None:
            # On the writer's thread, and safe: members in memory change only between two batches.
            if not joins:
                require_member(actor, conversation, f"group {entry.target_id!r}")
            check()
            apply(connection, entry)
            self._applied(connection, conversation, payload)

        group_id = conversation.address.partition(":")[2]
        entry = made_here(conversation.channel_id, "group_event", actor, group_id, payload, apply=run, at=at)
        await self.router.send(
            Submission(
                entry,
                conversation,
                changes_members=True,
                committed=None if remember is None else lambda _entry: remember(),
            )
        )

    def _applied(
        self, connection: sqlite3.Connection, conversation: Conversation, payload: Mapping[str, Any]
    ) -> None:
        """Note a change in its own transaction, for those who keep an account of changes."""
