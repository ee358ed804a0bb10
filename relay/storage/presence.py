"""Presence in the database: each user's chosen status and last seen, who may see it, and who follows whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from relay.storage.first_migrations import BROADCAST_CHANNEL


class PresenceRow(NamedTuple):
    """One user's presence as it is stored; times are Unix seconds.

    Attributes:
        status: what the user chose; None if they chose nothing.
        until: when that choice ends; None for never.
        present: whether others saw the user as present when this was written.
        visible_to: "everyone", "shared" (users who share a conversation, see `sharing`) or "nobody".
    """

    user_id: str
    status: str | None
    text: str | None
    until: float | None
    last_seen: float | None
    present: int
    visible_to: str


_LISTED: Final = "(SELECT value FROM json_each(?))"
"""A list as one parameter, because SQLite takes only so many parameters in a statement."""

_SHARED: Final = (
    "FROM members mine JOIN members theirs USING (channel_id)"
    " JOIN pointers said ON said.channel_id = theirs.channel_id AND said.user_id = theirs.user_id"
    f" WHERE said.spoke = 1 AND theirs.channel_id <> {BROADCAST_CHANNEL}"
    " AND mine.visible_until IS NULL AND theirs.visible_until IS NULL"
)
"""Pairs of present members of one conversation, in which `theirs` has said something."""

_ALIVE_AT: Final = "(SELECT value FROM facts WHERE name = 'alive_at')"


def _list(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def read_rows(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, PresenceRow]:
    """Return the rows of users by id, sorted by id; users who do not exist are left out."""
    rows = connection.execute(
        "SELECT u.user_id, p.status, p.text, p.until, p.last_seen, coalesce(p.present, 0), u.presence_to"
        f" FROM users u LEFT JOIN presence p USING (user_id) WHERE u.user_id IN {_LISTED} ORDER BY u.user_id",
        (_list(user_ids),),
    )
    return {row[0]: PresenceRow._make(row) for row in rows}


def read_own(connection: sqlite3.Connection, user_id: str) -> tuple[PresenceRow, bool]:
    """Return a user's row, and whether they follow anybody. One query, because every hello asks it."""
    row = connection.execute(
        "SELECT u.user_id, p.status, p.text, p.until, p.last_seen, coalesce(p.present, 0), u.presence_to,"
        " EXISTS (SELECT 1 FROM following f WHERE f.user_id = u.user_id)"
        " FROM users u LEFT JOIN presence p USING (user_id) WHERE u.user_id = ?",
        (user_id,),
    ).fetchone()
    return PresenceRow._make(row[:-1]), bool(row[-1])


def choose_status(
    connection: sqlite3.Connection, user_id: str, status: str, text: str | None, until: float | None
) -> None:
    """Store the status that a user chose."""
    connection.execute(
        "INSERT INTO presence (user_id, status, text, until) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET status = excluded.status, text = excluded.text, until = excluded.until",
        (user_id, status, text, until),
    )


def save_last_seen(
    connection: sqlite3.Connection, seen: Iterable[tuple[str, bool, float | None]], now: float
) -> None:
    """Store who is present and when the others were last seen, and that the server was alive at `now`.

    Args:
        seen: user id, whether they are present, and when they were last seen.
    """
    connection.executemany(
        "INSERT INTO presence (user_id, present, last_seen) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET present = excluded.present, last_seen = excluded.last_seen",
        seen,
    )
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('alive_at', ?)", (now,))


def read_still_present(connection: sqlite3.Connection) -> list[PresenceRow]:
    """Return the users who are stored as present. After a restart: last seen when the server was last alive."""
    rows = connection.execute(
        f"SELECT u.user_id, p.status, p.text, p.until, coalesce(p.last_seen, {_ALIVE_AT}), p.present,"
        " u.presence_to FROM presence p JOIN users u USING (user_id) WHERE p.present = 1"
    )
    return [PresenceRow._make(row) for row in rows]


def settle_last_seen(connection: sqlite3.Connection) -> None:
    """Store when those were last seen.

    `alive_at` moves on while this server runs, and the server may end again before they are back.
    """
    connection.execute(f"UPDATE presence SET last_seen = {_ALIVE_AT} WHERE present = 1 AND last_seen IS NULL")


def following(connection: sqlite3.Connection, user_id: str) -> list[str]:
    """Return the users that a user follows, sorted by id."""
    rows = connection.execute(
        "SELECT followed_id FROM following WHERE user_id = ? ORDER BY followed_id", (user_id,)
    )
    return [row[0] for row in rows]


def set_following(connection: sqlite3.Connection, user_id: str, followed: Iterable[str], now: float) -> int:
    """Make a user follow others as well, and return how many they follow now."""
    connection.executemany(
        "INSERT OR IGNORE INTO following (user_id, followed_id, since) VALUES (?, ?, ?)",
        [(user_id, other, now) for other in followed],
    )
    row = connection.execute("SELECT count(*) FROM following WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0])


def unfollow(connection: sqlite3.Connection, user_id: str, followed: Iterable[str]) -> None:
    """Make a user no longer follow others."""
    connection.executemany(
        "DELETE FROM following WHERE user_id = ? AND followed_id = ?", [(user_id, other) for other in followed]
    )


def sharing(connection: sqlite3.Connection, viewer: str, others: Sequence[str]) -> set[str]:
    """Return those of `others` whom a viewer may see if they are visible to "shared".

    Those are the users who said something in a conversation that both are in. A stranger who writes to somebody,
    or puts them into a group, does not get to see them by that: only what the user does opens their presence.
    """
    rows = connection.execute(
        f"SELECT DISTINCT theirs.user_id {_SHARED} AND mine.user_id = ? AND theirs.user_id IN {_LISTED}",
        (viewer, _list(others)),
    )
    return {row[0] for row in rows} | ({viewer} & set(others))


def viewers(connection: sqlite3.Connection, user_id: str, others: Sequence[str]) -> set[str]:
    """Return those of `others` who may see a user that is visible to "shared": the reverse of `sharing`."""
    rows = connection.execute(
        f"SELECT DISTINCT mine.user_id {_SHARED} AND theirs.user_id = ? AND mine.user_id IN {_LISTED}",
        (user_id, _list(others)),
    )
    return {row[0] for row in rows} | ({user_id} & set(others))


def last_members(connection: sqlite3.Connection, channel_id: int) -> frozenset[str]:
    """Return the members that a group had when it was deleted."""
    rows = connection.execute(
        "SELECT user_id FROM members WHERE channel_id = ?1"
        " AND visible_until = (SELECT max(visible_until) FROM members WHERE channel_id = ?1)",
        (channel_id,),
    )
    return frozenset(row[0] for row in rows)
