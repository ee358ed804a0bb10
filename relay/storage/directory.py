"""Finding people by name, everybody or only those whom one shares a conversation with."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from relay.storage.folding import folded
from relay.storage.migrations import BROADCAST_CHANNEL

_TOGETHER: Final = (
    " AND (u.user_id = :viewer OR EXISTS (SELECT 1 FROM members theirs JOIN members mine"
    " ON mine.channel_id = theirs.channel_id AND mine.user_id = :viewer AND mine.visible_until IS NULL"
    " JOIN pointers said ON said.channel_id = theirs.channel_id AND said.spoke = 1 AND said.user_id {who}"
    " WHERE theirs.user_id = u.user_id AND theirs.visible_until IS NULL"
    f" AND theirs.channel_id <> {BROADCAST_CHANNEL}))"
)
_SHARED: Final = _TOGETHER.replace("{who}", "= u.user_id")
"""Who said something in a conversation that the viewer is in now, and the viewer.

Their own act opens them: that a stranger writes to somebody, or puts them into a group, shows nothing of them.
"""

_MET: Final = _TOGETHER.replace("{who}", "IN (u.user_id, :viewer)")
"""The same, or whom the viewer said something to: that they exist is known by the ack of it."""


class Listed(NamedTuple):
    """What the directory says of a user."""

    user_id: str
    display_name: str


def search(
    connection: sqlite3.Connection, viewer: str, text: str, *, after: str, limit: int, shared: bool
) -> list[Listed]:
    """Return users that are not disabled, by their ids, whose id or display name contains a text.

    Case and accents make no difference.

    Args:
        after: the user id that the page before ended with; "" to begin.
        shared: leave out those the viewer shares no conversation with.
    """
    rows = connection.execute(
        "SELECT u.user_id, u.display_name FROM users u WHERE u.user_id > :after AND u.disabled = 0"
        f" AND instr(u.sought, :text) > 0{_SHARED if shared else ''} ORDER BY u.user_id LIMIT :limit",
        {"after": after, "text": folded(text), "viewer": viewer, "limit": limit},
    )
    return [Listed(*row) for row in rows]


def find(connection: sqlite3.Connection, viewer: str, user_id: str, *, shared: bool) -> Listed | None:
    """Return a user, disabled or not, as old messages name both; None for one that the viewer may not see."""
    row = connection.execute(
        f"SELECT u.user_id, u.display_name FROM users u WHERE u.user_id = :user_id{_SHARED if shared else ''}",
        {"user_id": user_id, "viewer": viewer},
    ).fetchone()
    return Listed(*row) if row else None


def has_met(connection: sqlite3.Connection, viewer: str, user_id: str) -> bool:
    """Tell whether a user may be named to a viewer who finds only those they share a conversation with."""
    row = connection.execute(
        f"SELECT 1 FROM users u WHERE u.user_id = :user_id{_MET}", {"user_id": user_id, "viewer": viewer}
    ).fetchone()
    return row is not None
