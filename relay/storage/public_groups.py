"""Public groups: those that everybody on the server finds and may join, and who may not join one again."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from relay.storage.folding import folded, sought

_PUBLIC: Final = (
    "SELECT g.group_id, g.name, g.description, p.attachment_id, (SELECT count(*) FROM members m"
    " WHERE m.channel_id = g.channel_id AND m.visible_until IS NULL)"
    " FROM groups g LEFT JOIN pictures p ON p.name = g.group_id WHERE g.public = 1 AND g.deleted_at IS NULL"
    " AND g.closed_at IS NULL"
)


class PublicGroup(NamedTuple):
    """A public group as somebody sees it who is not in it."""

    group_id: str
    name: str
    description: str
    picture: str | None
    members: int


def publish(connection: sqlite3.Connection, channel_id: int, *, public: bool) -> None:
    """Make a group public, or no longer so."""
    connection.execute("UPDATE groups SET public = ? WHERE channel_id = ?", (public, channel_id))
    note_sought(connection, channel_id)


def note_sought(connection: sqlite3.Connection, channel_id: int) -> None:
    """Bring up to date what a group is found by: to be called after a change of its name or description."""
    row = connection.execute("SELECT name, description FROM groups WHERE channel_id = ?", (channel_id,)).fetchone()
    if row is not None:
        connection.execute("UPDATE groups SET sought = ? WHERE channel_id = ?", (sought(*row), channel_id))


def bar(connection: sqlite3.Connection, channel_id: int, user_id: str) -> None:
    """Note that a user may not join a group by themself: an admin removed them."""
    connection.execute("INSERT OR IGNORE INTO barred VALUES (?, ?)", (channel_id, user_id))


def unbar(connection: sqlite3.Connection, channel_id: int, user_id: str) -> None:
    """Note that a user is welcome in a group again: an admin added them."""
    connection.execute("DELETE FROM barred WHERE channel_id = ? AND user_id = ?", (channel_id, user_id))


def is_barred(connection: sqlite3.Connection, channel_id: int, user_id: str) -> bool:
    """Return whether a user was removed from a group by an admin, and not added again since."""
    found = connection.execute("SELECT 1 FROM barred WHERE channel_id = ? AND user_id = ?", (channel_id, user_id))
    return found.fetchone() is not None


def find(connection: sqlite3.Connection, user_id: str, text: str, *, after: str, limit: int) -> list[PublicGroup]:
    """Return public groups whose name or description contains a text, without those that the user is in, by id.

    Case and accents are ignored. A guest finds none, as they may join none.

    Args:
        after: the last group id of the page before; "" for the first page.
    """
    rows = connection.execute(
        f"{_PUBLIC} AND g.group_id > :after AND instr(g.sought, :text) > 0"
        " AND NOT EXISTS (SELECT 1 FROM members m WHERE m.channel_id = g.channel_id AND m.user_id = :user"
        " AND m.visible_until IS NULL)"
        " AND NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = :user AND u.role = 'guest')"
        " ORDER BY g.group_id LIMIT :limit",
        {"after": after, "text": folded(text), "user": user_id, "limit": limit},
    )
    return [PublicGroup(*row) for row in rows]


def get(connection: sqlite3.Connection, user_id: str, group_id: str) -> PublicGroup | None:
    """Return a public group, for everybody but a guest who is not in it; None where there is none of this id."""
    row = connection.execute(
        f"{_PUBLIC} AND g.group_id = :group AND NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = :user"
        " AND u.role = 'guest' AND NOT EXISTS (SELECT 1 FROM members m WHERE m.channel_id = g.channel_id"
        " AND m.user_id = u.user_id AND m.visible_until IS NULL))",
        {"group": group_id, "user": user_id},
    ).fetchone()
    return PublicGroup(*row) if row else None
