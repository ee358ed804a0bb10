"""The directory: a search for users by name, among everybody or among those the viewer has met.

A guest finds only users of conversations that they are in, and is found only by such users and by the moderators.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from relay.protocol.kinds import ServerRole
from relay.storage.accounts import role_of
from relay.storage.first_migrations import BROADCAST_CHANNEL
from relay.storage.folding import folded

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

_IN_ONE_CONVERSATION: Final = (
    "EXISTS (SELECT 1 FROM members theirs JOIN members mine ON mine.channel_id = theirs.channel_id"
    " AND mine.user_id = :viewer AND mine.visible_until IS NULL"
    f" WHERE theirs.user_id = u.user_id AND theirs.channel_id <> {BROADCAST_CHANNEL})"
)
_GUESTS: Final = (
    " AND (u.user_id = :viewer OR NOT (:guest OR (u.role = 'guest' AND NOT :moderator))"
    f" OR {_IN_ONE_CONVERSATION})"
)
"""Restricts `u`, where one of the two is a guest, to present and former members of the viewer's conversations."""

_MET: Final = _TOGETHER.replace("{who}", "IN (u.user_id, :viewer)")
"""The same, and users to whom the viewer has spoken: the ack already told the viewer that they exist."""


class Listed(NamedTuple):
    """A user as the directory shows them."""

    user_id: str
    display_name: str
    picture: str | None = None
    disabled: bool = False


def search(
    connection: sqlite3.Connection, viewer: str, text: str, *, after: str, limit: int, shared: bool
) -> list[Listed]:
    """Return enabled users whose id or display name contains a text, in the order of their ids.

    Case and accents are ignored.

    Args:
        after: the last user id of the page before; "" for the first page.
        shared: return only users whom the viewer shares a conversation with.
    """
    viewer_role = role_of(connection, viewer)
    rows = connection.execute(
        "SELECT u.user_id, u.display_name, p.attachment_id FROM users u LEFT JOIN pictures p ON p.name = u.user_id"
        " WHERE u.user_id > :after AND u.disabled = 0"
        f" AND instr(u.sought, :text) > 0{_restriction(viewer_role, shared)} ORDER BY u.user_id LIMIT :limit",
        {"after": after, "text": folded(text), "limit": limit, **_viewed_by(viewer, viewer_role)},
    )
    return [Listed(*row) for row in rows]


def find(connection: sqlite3.Connection, viewer: str, user_id: str, *, shared: bool) -> Listed | None:
    """Return a user, also a disabled one, since old messages name both; None if the viewer may not see them."""
    viewer_role = role_of(connection, viewer)
    row = connection.execute(
        "SELECT u.user_id, u.display_name, p.attachment_id, u.disabled"
        " FROM users u LEFT JOIN pictures p ON p.name = u.user_id"
        f" WHERE u.user_id = :user_id{_restriction(viewer_role, shared)}",
        {"user_id": user_id, **_viewed_by(viewer, viewer_role)},
    ).fetchone()
    return Listed(row[0], row[1], row[2], bool(row[3])) if row else None


def hidden(connection: sqlite3.Connection, viewer: str, user_ids: Iterable[str], *, shared: bool) -> list[str]:
    """Return those of some users whom the viewer may not find."""
    if not shared and role_of(connection, viewer) is not ServerRole.GUEST:
        user_ids = [one for one in user_ids if role_of(connection, one) is ServerRole.GUEST]
    return [one for one in user_ids if find(connection, viewer, one, shared=shared) is None]


def may_name(connection: sqlite3.Connection, viewer: str, user_id: str, *, shared: bool) -> bool:
    """Return whether a user may be named to a viewer: somebody whom they would find, or have written to."""
    if role_of(connection, viewer) is ServerRole.GUEST:
        return find(connection, viewer, user_id, shared=False) is not None
    return not shared or has_met(connection, viewer, user_id)


def _restriction(viewer: ServerRole | None, shared: bool) -> str:
    """Return the condition on the users `u` whom a viewer finds."""
    return _SHARED if shared and viewer is not ServerRole.GUEST else _GUESTS


def _viewed_by(viewer: str, role: ServerRole | None) -> dict[str, object]:
    moderator = role is not None and role.reaches(ServerRole.MODERATOR)
    return {"viewer": viewer, "guest": role is ServerRole.GUEST, "moderator": moderator}


def has_met(connection: sqlite3.Connection, viewer: str, user_id: str) -> bool:
    """Return whether a user may be named to a viewer whose directory is restricted to shared conversations."""
    row = connection.execute(
        f"SELECT 1 FROM users u WHERE u.user_id = :user_id{_MET}", {"user_id": user_id, "viewer": viewer}
    ).fetchone()
    return row is not None
