"""The sample data: which accounts and groups are part of it, and how the last rows of them go.

Everything else that is erased leaves a tombstone, and an erased account's id stays taken. The sample is made to be
tried, so nothing of it stays: once it was erased as everything is, its rows are deleted as well. A conversation of
it leaves one empty row of `channels`, so that its number is never another one's.
"""

from __future__ import annotations

import sqlite3
from typing import Final, Literal, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.observer import note_erased, observer_of

Kind = Literal["user", "group"]

_OF_CHANNELS: Final = (
    "members", "pointers", "mentions", "latest", "newest", "holds", "thread_replies", "thread_members", "stays",
    "barred", "restrictions", "versions", "groups", "log",
)  # fmt: skip
"""Tables whose rows of the sample's conversations are deleted."""

_OF_USERS: Final = ("users", "members", "stays", "erasures", "following", "pointers", "reporters", "restrictions")
"""Tables whose rows of the sample's accounts are deleted; the erasure has emptied the other ones."""


_SIGNED_IN: Final = ("tokens", "devices", "account_links")
"""Tables in which somebody has a row who has signed in, or was sent a link to."""


class Parts(NamedTuple):
    """The accounts and groups of the sample; without any, it is not there.

    Attributes:
        going: whether its removal has begun.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    going: bool = False


def parts(connection: sqlite3.Connection) -> Parts:
    """Return what the sample is made of."""
    rows = connection.execute("SELECT kind, name FROM sample_parts ORDER BY name").fetchall()
    users = tuple(name for kind, name in rows if kind == "user")
    groups = tuple(name for kind, name in rows if kind == "group")
    return Parts(users, groups, any(kind == "going" for kind, _ in rows))


def note(connection: sqlite3.Connection, kind: Kind | Literal["going"], name: str) -> None:
    """Note an account or a group as a part of the sample, or that its removal has begun."""
    connection.execute("INSERT INTO sample_parts (kind, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (kind, name))


def is_part(connection: sqlite3.Connection, user_id: str) -> bool:
    """Return whether an account is a part of the sample."""
    row = connection.execute("SELECT 1 FROM sample_parts WHERE kind = 'user' AND name = ?", (user_id,))
    return row.fetchone() is not None


def check_signs_in(connection: sqlite3.Connection, user_id: str) -> None:
    """Refuse what would let somebody sign in with an account of the sample.

    Raises:
        RelayError: `conflict`.
    """
    if is_part(connection, user_id):
        text = f"{user_id!r} is part of the sample data, and nobody signs in as them; remove it and add a user"
        raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "sample_account"})


def people(connection: sqlite3.Connection) -> list[str]:
    """Return the first accounts that somebody signs in with, two at most: plugins have some without a password."""
    of_theirs = " UNION ALL ".join(f"SELECT 1 FROM {table} t WHERE t.user_id = u.user_id" for table in _SIGNED_IN)
    rows = connection.execute(
        "SELECT user_id FROM users u WHERE disabled = 0 AND NOT EXISTS"
        " (SELECT 1 FROM sample_parts WHERE kind = 'user' AND name = user_id)"
        f" AND (password_hash IS NOT NULL OR EXISTS ({of_theirs})) ORDER BY created_at, user_id LIMIT 2"
    )
    return [row[0] for row in rows]


def channels(connection: sqlite3.Connection, found: Parts) -> list[int]:
    """Return the conversations of the sample: its groups, and those that its people are one side of."""
    ids: set[int] = set()
    for group_id in found.groups:
        ids |= {
            row[0] for row in connection.execute("SELECT channel_id FROM groups WHERE group_id = ?", (group_id,))
        }
    for user_id in found.users:
        rows = connection.execute(
            "SELECT channel_id FROM channels WHERE address = 'self:' || ? UNION"
            " SELECT m.channel_id FROM members m JOIN channels c USING (channel_id)"
            " WHERE m.user_id = ? AND c.kind = 'user'",
            (user_id, user_id),
        )
        ids |= {row[0] for row in rows}
    return sorted(ids)


def said_in(connection: sqlite3.Connection, channel_ids: list[int], after: int, limit: int) -> list[int]:
    """Return the messages of some conversations that are no tombstones, after a position."""
    marks = ",".join("?" * len(channel_ids))
    rows = connection.execute(
        f"SELECT message_id FROM log WHERE channel_id IN ({marks}) AND message_id > ? AND deleted_at IS NULL"
        " ORDER BY message_id LIMIT ?",
        (*channel_ids, after, limit),
    )
    return [row[0] for row in rows]


def held(connection: sqlite3.Connection, message_ids: list[int]) -> int:
    """Return how many of some messages are on legal hold."""
    observer = observer_of(connection)
    return 0 if observer is None or not message_ids else len(observer.kept(connection, message_ids))


def drop(connection: sqlite3.Connection, found: Parts) -> None:
    """Delete what the erasure of the sample has left: tombstones, memberships, names."""
    connection.execute(  # no message may have the position of one that is deleted here
        "UPDATE facts SET value = max(value, (SELECT coalesce(max(message_id), 0) FROM log))"
        " WHERE name = 'high_water'"
    )
    for channel_id in channels(connection, found):
        about = f"message_id IN (SELECT message_id FROM log WHERE channel_id = {channel_id:d})"
        connection.execute(f"DELETE FROM reporters WHERE {about}")
        connection.execute(f"DELETE FROM reports WHERE {about}")
        for table in _OF_CHANNELS:
            connection.execute(f"DELETE FROM {table} WHERE channel_id = ?", (channel_id,))
        connection.execute(
            "UPDATE channels SET address = ? WHERE channel_id = ?", (f"gone:{channel_id}", channel_id)
        )
    for user_id in found.users:
        for table in _OF_USERS:
            connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
        connection.execute("DELETE FROM reports WHERE author = ?", (user_id,))
    for name in (*found.users, *found.groups):
        connection.execute("DELETE FROM names WHERE name = ?", (name,))
    connection.execute("DELETE FROM sample_parts")
    note_erased(connection)
