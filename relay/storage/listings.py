"""Lists for the operator, who may see everything."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from relay.protocol.kinds import ServerRole
from relay.storage.folding import folded


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


class AccountRow(NamedTuple):
    """An account as those who administer the server see it; times are Unix seconds."""

    user_id: str
    display_name: str
    role: ServerRole
    disabled: bool
    erased: bool
    created_at: float
    last_seen: float | None
    has_password: bool
    picture: str | None


def list_accounts(
    connection: sqlite3.Connection,
    *,
    text: str = "",
    role: ServerRole | None = None,
    disabled: bool | None = None,
    after: str = "",
    limit: int = 50,
    only: str | None = None,
) -> list[AccountRow]:
    """Return accounts in the order of their ids, from the first after `after`.

    Args:
        text: is in the id or the display name; case and accents are ignored.
        role, disabled: only accounts of this role, or that are disabled or not; None for all.
        only: the one account of this id.
    """
    given = {"u.role = :role": role, "u.disabled = :disabled": disabled, "u.user_id = :only": only}
    conditions = "".join(f" AND {condition}" for condition, value in given.items() if value is not None)
    rows = connection.execute(
        "SELECT u.user_id, u.display_name, u.role, u.disabled, e.user_id IS NOT NULL, u.created_at, s.last_seen,"
        " u.password_hash IS NOT NULL, p.attachment_id FROM users u LEFT JOIN erasures e USING (user_id)"
        " LEFT JOIN presence s USING (user_id) LEFT JOIN pictures p ON p.name = u.user_id"
        f" WHERE u.user_id > :after AND (:text = '' OR instr(u.sought, :text) > 0){conditions}"
        " ORDER BY u.user_id LIMIT :limit",
        {"after": after, "text": folded(text), "role": role, "disabled": disabled, "only": only, "limit": limit},
    )
    return [
        AccountRow._make((*row[:2], ServerRole(row[2]), *map(bool, row[3:5]), *row[5:7], bool(row[7]), row[8]))
        for row in rows
    ]
