"""The directory: a search for users by name, among everybody or among those the viewer has met."""

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
"""Restricts `u` to the viewer and to users who have spoken in a conversation that the viewer is in now.

Only a user's own act makes them known: a stranger who writes to somebody, or adds them to a group, learns nothing.
"""

_MET: Final = _TOGETHER.replace("{who}", "IN (u.user_id, :viewer)")
"""The same, and users to whom the viewer has spoken: the ack already told the viewer that they exist."""


class Listed(NamedTuple):
    """A user as the directory shows them."""

    user_id: str
    display_name: str


def search(
    connection: sqlite3.Connection, viewer: str, text: str, *, after: str, limit: int, shared: bool
) -> list[Listed]:
    """Return enabled users whose id or display name contains a text, in the order of their ids.

    Case and accents are ignored.

    Args:
        after: the last user id of the page before; "" for the first page.
        shared: return only users whom the viewer shares a conversation with.
    """
    rows = connection.execute(
        "SELECT u.user_id, u.display_name FROM users u WHERE u.user_id > :after AND u.disabled = 0"
        f" AND instr(u.sought, :text) > 0{_SHARED if shared else ''} ORDER BY u.user_id LIMIT :limit",
        {"after": after, "text": folded(text), "viewer": viewer, "limit": limit},
    )
    return [Listed(*row) for row in rows]


def find(connection: sqlite3.Connection, viewer: str, user_id: str, *, shared: bool) -> Listed | None:
    """Return a user, also a disabled one, since old messages name both; None if the viewer may not see them."""
    row = connection.execute(
        f"SELECT u.user_id, u.display_name FROM users u WHERE u.user_id = :user_id{_SHARED if shared else ''}",
        {"user_id": user_id, "viewer": viewer},
    ).fetchone()
    return Listed(*row) if row else None


def has_met(connection: sqlite3.Connection, viewer: str, user_id: str) -> bool:
    """Return whether a user may be named to a viewer whose directory is restricted to shared conversations."""
    row = connection.execute(
        f"SELECT 1 FROM users u WHERE u.user_id = :user_id{_MET}", {"user_id": user_id, "viewer": viewer}
    ).fetchone()
    return row is not None
