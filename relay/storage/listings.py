"""Lists for the operator, who may see everything."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class GroupSummary(NamedTuple):
    """A group with the number of its present members."""

    group_id: str
    name: str
    owner: str
    members: int
    history: str
    created_at: float


def list_groups(connection: sqlite3.Connection, after: str, limit: int) -> list[GroupSummary]:
    """Return the groups that are not deleted, in the order of their ids."""
    rows = connection.execute(
        "SELECT g.group_id, g.name, max(CASE WHEN m.role = 'owner' THEN m.user_id END), count(*), g.history,"
        " g.created_at FROM groups g JOIN members m USING (channel_id)"
        " WHERE g.deleted_at IS NULL AND m.visible_until IS NULL AND g.group_id > ?"
        " GROUP BY g.group_id ORDER BY g.group_id LIMIT ?",
        (after, limit),
    )
    return [GroupSummary(*row) for row in rows]
