"""Legal hold: nothing of a user or a group is erased, whoever asks; who set it, why and when is kept."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

from relay.plugin import Draft, ErrorCode, RelayError, Server

SCHEMA = """
CREATE TABLE retention_holds (
    hold_id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, set_by TEXT NOT NULL, why TEXT NOT NULL,
    set_at REAL NOT NULL, ended_by TEXT, ended_why TEXT, ended_at REAL
);
CREATE UNIQUE INDEX retention_holds_now ON retention_holds(kind, name) WHERE ended_at IS NULL;
"""
Kind = Literal["user", "group"]

# A user's hold is on what they sent, and on every conversation that they are or were in: what they could read.
# Everybody's conversation is held by nobody's being in it.
_HELD = """
SELECT l.message_id FROM log l JOIN channels c USING (channel_id)
WHERE l.message_id IN ({marks}) AND (
    EXISTS (SELECT 1 FROM retention_holds h WHERE h.ended_at IS NULL AND (
        (h.kind = 'user' AND h.name = l.sender_id) OR (h.kind = 'group' AND c.address = 'group:' || h.name)))
    OR c.kind <> 'broadcast' AND EXISTS (
        SELECT 1 FROM retention_holds h CROSS JOIN members m ON m.channel_id = l.channel_id AND m.user_id = h.name
        WHERE h.ended_at IS NULL AND h.kind = 'user'))
"""


def held(connection: sqlite3.Connection, message_ids: Sequence[int]) -> set[int]:
    """Return which of some messages are under a hold."""
    if connection.execute("SELECT 1 FROM retention_holds WHERE ended_at IS NULL LIMIT 1").fetchone() is None:
        return set()
    marks = ",".join("?" * len(message_ids))
    return {row[0] for row in connection.execute(_HELD.format(marks=marks), tuple(message_ids))}


def keeps(_server: Server, connection: sqlite3.Connection, message_ids: Sequence[int]) -> set[int]:
    """Keep what is held, whatever is to erase it."""
    return held(connection, message_ids)


async def before_edit(draft: Draft) -> None:
    """Refuse to put another text in the place of one that is held.

    Raises:
        RelayError: `forbidden`.
    """
    message_id = draft.payload.message_id
    if await draft.server.read(lambda connection: held(connection, [message_id]), inline=True):
        raise RelayError(ErrorCode.FORBIDDEN, "this message is kept as it is; nobody can edit it now")


def add(connection: sqlite3.Connection, kind: Kind, name: str, who: str, why: str, now: float) -> None:
    """Put a user or a group on hold.

    Raises:
        RelayError: `not_found` when there is none of that name, `conflict` when it is on hold.
    """
    if connection.execute("SELECT 1 FROM names WHERE name = ? AND kind = ?", (name, kind)).fetchone() is None:
        raise RelayError(ErrorCode.NOT_FOUND, f"there is no {kind} {name!r}")
    try:
        connection.execute(
            "INSERT INTO retention_holds (kind, name, set_by, why, set_at) VALUES (?, ?, ?, ?, ?)",
            (kind, name, who, why, now),
        )
    except sqlite3.IntegrityError:
        raise RelayError(ErrorCode.CONFLICT, f"the {kind} {name!r} is on hold already") from None


def remove(connection: sqlite3.Connection, kind: Kind, name: str, who: str, why: str, now: float) -> None:
    """End a hold; that it was there is kept.

    Raises:
        RelayError: `not_found` when it is not on hold.
    """
    ended = connection.execute(
        "UPDATE retention_holds SET ended_by = ?, ended_why = ?, ended_at = ?"
        " WHERE kind = ? AND name = ? AND ended_at IS NULL RETURNING hold_id",
        (who, why, now, kind, name),
    ).fetchall()
    if not ended:
        raise RelayError(ErrorCode.NOT_FOUND, f"the {kind} {name!r} is not on hold")


def listed(connection: sqlite3.Connection, *, ended: bool) -> list[dict[str, Any]]:
    """Return the holds, oldest first.

    Args:
        ended: those that were ended as well.
    """
    columns = ("kind", "name", "set_by", "why", "set_at", "ended_by", "ended_why", "ended_at")
    shown = columns if ended else columns[:5]
    rows = connection.execute(
        f"SELECT {', '.join(shown)} FROM retention_holds WHERE ended_at IS NULL OR ? ORDER BY hold_id", (ended,)
    )
    return [dict(zip(shown, row, strict=True)) for row in rows]
