"""Who was here when, what they chose to say of it, who may see it, and who follows whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from relay.storage.migrations import BROADCAST_CHANNEL


class Kept(NamedTuple):
    """What is kept of a user's presence; times are Unix seconds.

    Attributes:
        status: what they chose; None for nothing in particular.
        present: whether others saw them as present when this was written.
        shown_to: "everyone", "shared" (those who share a conversation) or "nobody".
    """

    user_id: str
    status: str | None
    text: str | None
    until: float | None
    last_seen: float | None
    present: int
    shown_to: str


_LISTED: Final = "(SELECT value FROM json_each(?))"
"""A list as one parameter: SQLite takes a bounded number of those."""

_SHARED: Final = (
    "FROM members mine JOIN members theirs USING (channel_id)"
    " JOIN pointers said ON said.channel_id = theirs.channel_id AND said.user_id = theirs.user_id"
    f" WHERE said.spoke = 1 AND theirs.channel_id <> {BROADCAST_CHANNEL}"
    " AND mine.visible_until IS NULL AND theirs.visible_until IS NULL"
)

_ALIVE_AT: Final = "(SELECT value FROM facts WHERE name = 'alive_at')"


def _list(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()


def kept(connection: sqlite3.Connection, user_ids: Sequence[str]) -> dict[str, Kept]:
    """Return what is kept of users, by id and in that order; who does not exist is left out."""
    rows = connection.execute(
        "SELECT u.user_id, p.status, p.text, p.until, p.last_seen, coalesce(p.present, 0), u.presence_to"
        f" FROM users u LEFT JOIN presence p USING (user_id) WHERE u.user_id IN {_LISTED} ORDER BY u.user_id",
        (_list(user_ids),),
    )
    return {row[0]: Kept._make(row) for row in rows}


def own(connection: sqlite3.Connection, user_id: str) -> tuple[Kept, bool]:
    """Return what is kept of a user, and whether they follow anybody: one query, as every hello asks it."""
    row = connection.execute(
        "SELECT u.user_id, p.status, p.text, p.until, p.last_seen, coalesce(p.present, 0), u.presence_to,"
        " EXISTS (SELECT 1 FROM following f WHERE f.user_id = u.user_id)"
        " FROM users u LEFT JOIN presence p USING (user_id) WHERE u.user_id = ?",
        (user_id,),
    ).fetchone()
    return Kept._make(row[:-1]), bool(row[-1])


def choose_status(
    connection: sqlite3.Connection, user_id: str, status: str, text: str | None, until: float | None
) -> None:
    """Keep what a user chose to show."""
    connection.execute(
        "INSERT INTO presence (user_id, status, text, until) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET status = excluded.status, text = excluded.text, until = excluded.until",
        (user_id, status, text, until),
    )


def note(connection: sqlite3.Connection, seen: Iterable[tuple[str, bool, float | None]], now: float) -> None:
    """Keep who is present and who was last seen when, and that the server was alive now."""
    connection.executemany(
        "INSERT INTO presence (user_id, present, last_seen) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET present = excluded.present, last_seen = excluded.last_seen",
        seen,
    )
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('alive_at', ?)", (now,))


def left_behind(connection: sqlite3.Connection) -> list[Kept]:
    """Return whom others saw as present when the server last wrote, last seen when it was last alive."""
    rows = connection.execute(
        f"SELECT u.user_id, p.status, p.text, p.until, coalesce(p.last_seen, {_ALIVE_AT}), p.present,"
        " u.presence_to FROM presence p JOIN users u USING (user_id) WHERE p.present = 1"
    )
    return [Kept._make(row) for row in rows]


def settle_last_seen(connection: sqlite3.Connection) -> None:
    """Keep when those were last seen: should the server end again before they come, it was alive later."""
    connection.execute(f"UPDATE presence SET last_seen = {_ALIVE_AT} WHERE present = 1 AND last_seen IS NULL")


def following(connection: sqlite3.Connection, user_id: str) -> list[str]:
    """Return whom a user follows, by id."""
    rows = connection.execute(
        "SELECT followed_id FROM following WHERE user_id = ? ORDER BY followed_id", (user_id,)
    )
    return [row[0] for row in rows]


def set_following(connection: sqlite3.Connection, user_id: str, followed: Iterable[str], now: float) -> int:
    """Have a user follow others, and return how many that makes."""
    connection.executemany(
        "INSERT OR IGNORE INTO following (user_id, followed_id, since) VALUES (?, ?, ?)",
        [(user_id, other, now) for other in followed],
    )
    row = connection.execute("SELECT count(*) FROM following WHERE user_id = ?", (user_id,)).fetchone()
    return int(row[0])


def unfollow(connection: sqlite3.Connection, user_id: str, followed: Iterable[str]) -> None:
    """Have a user follow others no longer."""
    connection.executemany(
        "DELETE FROM following WHERE user_id = ? AND followed_id = ?", [(user_id, other) for other in followed]
    )


def sharing(connection: sqlite3.Connection, viewer: str, others: Sequence[str]) -> set[str]:
    """Return those of `others` who are open to a viewer: who said something in a conversation that both are in.

    It is their own act that opens them. That a stranger writes to them, or puts them into a group, does not.
    """
    rows = connection.execute(
        f"SELECT DISTINCT theirs.user_id {_SHARED} AND mine.user_id = ? AND theirs.user_id IN {_LISTED}",
        (viewer, _list(others)),
    )
    return {row[0] for row in rows} | ({viewer} & set(others))


def viewers(connection: sqlite3.Connection, user_id: str, others: Sequence[str]) -> set[str]:
    """Return those of `others` to whom a user is open, as `sharing` has it."""
    rows = connection.execute(
        f"SELECT DISTINCT mine.user_id {_SHARED} AND theirs.user_id = ? AND mine.user_id IN {_LISTED}",
        (user_id, _list(others)),
    )
    return {row[0] for row in rows} | ({user_id} & set(others))


def last_members(connection: sqlite3.Connection, channel_id: int) -> frozenset[str]:
    """Return who was in a group when it was deleted."""
    rows = connection.execute(
        "SELECT user_id FROM members WHERE channel_id = ?1"
        " AND visible_until = (SELECT max(visible_until) FROM members WHERE channel_id = ?1)",
        (channel_id,),
    )
    return frozenset(row[0] for row in rows)
