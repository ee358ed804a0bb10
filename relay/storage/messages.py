"""Single messages by their ids: for a replay, for what refers to them, and for what is said about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from relay.storage import versions
from relay.storage.history import LATEST_RECORD, RECORD, Record
from relay.storage.witness import Edited, note_erased, witness_of


def records(connection: sqlite3.Connection, message_ids: Sequence[int]) -> dict[int, Record]:
    """Return stored messages by their ids, of both kinds; at most a few hundred at a time."""
    marks = ",".join("?" * len(message_ids))
    rows: Iterable[tuple[Any, ...]] = connection.execute(
        f"SELECT {RECORD} FROM log WHERE message_id IN ({marks})"
        f" UNION ALL SELECT {LATEST_RECORD} FROM latest WHERE message_id IN ({marks})",
        (*message_ids, *message_ids),
    )
    return {row[0]: Record(*row) for row in rows}


def about(connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int]) -> list[Record]:
    """Return the latest values that say something of messages, as far as a user may see them."""
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT {LATEST_RECORD} FROM latest WHERE about IN ({marks}) AND coalesce(only_for, ?) = ?"
        " ORDER BY message_id",
        (*message_ids, user_id, user_id),
    )
    return [Record(*row) for row in rows]


def standing(connection: sqlite3.Connection, user_id: str, channel_id: int) -> list[Record]:
    """Return a conversation's latest values that are about no message, as far as a user may see them."""
    rows = connection.execute(
        f"SELECT {LATEST_RECORD} FROM latest WHERE channel_id = ? AND about IS NULL AND coalesce(only_for, ?) = ?"
        " ORDER BY message_id",
        (channel_id, user_id, user_id),
    )
    return [Record(*row) for row in rows]


def note_edit(connection: sqlite3.Connection, message_id: int, edit_id: int) -> None:
    """Note which message gave another its present text: later edits have higher ids, whatever the clock says."""
    connection.execute("UPDATE log SET edit_id = ? WHERE message_id = ?", (edit_id, message_id))


class Located(NamedTuple):
    """Where a stream message stands."""

    message_id: int
    channel_id: int
    seq: int


def locate(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[Located]:
    """Return where stream messages stand; ids of none are left out."""
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT message_id, channel_id, seq FROM log WHERE message_id IN ({marks})",
        tuple(message_ids),
    )
    return [Located(*row) for row in rows]


class Placed(NamedTuple):
    """A message that another one refers to."""

    message_id: int
    seq: int
    type: str
    sender_id: str
    payload: str


def find(connection: sqlite3.Connection, channel_id: int, message_id: int) -> Placed | None:
    """Return a stream message of a conversation; None for one that is elsewhere, or deleted."""
    row = connection.execute(
        "SELECT message_id, seq, type, sender_id, payload FROM log"
        " WHERE message_id = ? AND channel_id = ? AND deleted_at IS NULL",
        (message_id, channel_id),
    ).fetchone()
    return Placed(*row) if row else None


def rewrite(connection: sqlite3.Connection, message_id: int, payload: str, at: float) -> None:
    """Give a message another payload, and note when."""
    versions.keep(connection, message_id)
    row = connection.execute(
        "UPDATE log SET payload = ?, edited_at = ? WHERE message_id = ?"
        " RETURNING channel_id, seq, type, sender_id",
        (payload, at, message_id),
    ).fetchone()
    if row is not None:
        note_erased(connection)
    if row is not None and (witness := witness_of(connection)) is not None:
        witness.edited(connection, Edited(message_id, row[0], row[1], row[2], row[3], payload, at))
