"""Visibility: which status of a user a viewer may see, and which events may change that.

Users choose to be visible to "everyone", to "nobody", or to "shared": the users who share a conversation with them
in which they have said something (`relay.storage.presence.sharing`). To all others, and to those whom they block,
their status is `unknown`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from relay.services.presence_state import PresenceState
from relay.services.statuses import HIDDEN, OFFLINE, Status
from relay.storage import blocks, directory, presence
from relay.storage.presence import PresenceRow


def visible_status(viewer: str, row: PresenceRow, state: PresenceState | None, *, shares: bool) -> Status:
    """Return the status of a user as `viewer` may see it.

    Args:
        state: the user's state in memory, which goes before the row; None if there is none: they are offline.
        shares: whether the viewer is one of those who see the user if they are visible to "shared".
    """
    visible_to = row.visible_to if state is None else state.visible_to
    if viewer == row.user_id or visible_to == "everyone" or (visible_to == "shared" and shares):
        return Status(OFFLINE, last_seen=row.last_seen) if state is None else state.published
    return HIDDEN


class ViewedRows(NamedTuple):
    """The rows that are read of some users to show them to a viewer.

    Attributes:
        rows: by user id; users who do not exist are left out.
        sharing: the users whom the viewer may see if they are visible to "shared".
        blocking: the users who block the viewer, and whom they do not see.
    """

    viewer: str
    rows: dict[str, PresenceRow]
    sharing: set[str]
    blocking: Set[str] = frozenset()

    def statuses(self, states: Mapping[str, PresenceState]) -> dict[str, Status]:
        """Return the status of each user as the viewer may see it; `states` are those in memory, by user id."""
        return {
            user_id: HIDDEN
            if user_id in self.blocking
            else visible_status(self.viewer, row, states.get(user_id), shares=user_id in self.sharing)
            for user_id, row in self.rows.items()
        }


def read_viewed(connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str]) -> ViewedRows:
    """Read what it takes to show users to a viewer."""
    rows = presence.read_rows(connection, user_ids)
    shared = [row.user_id for row in rows.values() if row.visible_to == "shared"]
    sharing = presence.sharing(connection, viewer, shared) if shared else set()
    return ViewedRows(viewer, rows, sharing, blocks.blockers(connection, viewer, list(rows)))


class PresenceSnapshot(NamedTuple):
    """The presence that a hello reads: the user's own row, and the users whom they follow."""

    own: PresenceRow
    followed: ViewedRows


def read_snapshot(connection: sqlite3.Connection, user_id: str) -> PresenceSnapshot:
    """Read what a hello needs of presence."""
    own, follows = presence.read_own(connection, user_id)
    following = presence.following(connection, user_id) if follows else []
    followed = read_viewed(connection, user_id, following) if following else ViewedRows(user_id, {}, set())
    return PresenceSnapshot(own, followed)


def read_unknown(
    connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str], *, closed_directory: bool
) -> list[str]:
    """Return those users who do not exist, or whom the directory hides from the viewer, in their order."""
    found = set(presence.read_rows(connection, user_ids))
    found -= set(directory.hidden(connection, viewer, found, shared=closed_directory))
    return [user_id for user_id in user_ids if user_id not in found]


class Recheck(NamedTuple):
    """Users of whom some followers may see another status than before.

    Attributes:
        viewers: the followers in question, who gained or lost a shared conversation; None for all followers, as
            the user chose to be visible to others than before.
        by_blocking: whether one of the users has blocked the viewer, or does so no longer: that concerns them
            whoever else may see them.
    """

    users: Set[str]
    viewers: Set[str] | None
    by_blocking: bool = False


def rechecks_of_group_event(event: dict[str, Any], members: Set[str]) -> list[Recheck]:
    """Return what a `group_event` changes among a group's members, as they are after it.

    A group that was deleted has no members any more; its last ones are read from the database.
    """
    if event["event"] in ("member_added", "member_removed"):
        one = {event["user_id"]}
        return [Recheck(one, members), Recheck(members, one)]
    return [Recheck(members, members)] if event["event"] == "created" else []
