"""Single messages by their ids: for a replay, for messages that refer to them, and for values about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from relay.storage import audit, versions
from relay.storage.history import AROUND, LATEST_RECORD, NO_BOUND, RECORD, Record, fill
from relay.storage.observer import Edited, note_erased, observer_of

_AT_ONCE: Final = 16
"""Messages that are read before their size is counted."""


def read_records(connection: sqlite3.Connection, message_ids: Sequence[int]) -> dict[int, Record]:
    """Return stored messages of both kinds by their ids; pass a few hundred ids at most."""
    marks = ",".join("?" * len(message_ids))
    rows: Iterable[tuple[Any, ...]] = connection.execute(
        f"SELECT {RECORD}, NULL, '', NULL FROM log WHERE message_id IN ({marks})"
        f" UNION ALL SELECT {LATEST_RECORD} FROM latest WHERE message_id IN ({marks})",
        (*message_ids, *message_ids),
    )
    return {row[0]: Record(*row) for row in rows}


class Slice(NamedTuple):
    """The messages behind the first `taken` ids of a list; ids without a message have none."""

    found: dict[int, Record]
    taken: int


def read_first(connection: sqlite3.Connection, message_ids: Sequence[int], max_bytes: int) -> Slice:
    """Return the first messages of a list of ids: as many as fit into `max_bytes`, and at least one."""
    found: dict[int, Record] = {}
    size = 0
    for start in range(0, len(message_ids), _AT_ONCE):
        some = message_ids[start : start + _AT_ONCE]
        read = read_records(connection, some)
        for number, message_id in enumerate(some, start):
            record = read.get(message_id)
            if record is None:
                continue
            size += record.size
            if found and size > max_bytes:
                return Slice(found, number)
            found[message_id] = record
    return Slice(found, len(message_ids))


def about(
    connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int], max_bytes: int = NO_BOUND
) -> list[Record]:
    """Return the latest values about some messages, such as reactions, that a user may see.

    Args:
        max_bytes: bound on their size together; the newest are returned.
    """
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT {LATEST_RECORD} FROM latest WHERE about IN ({marks}) AND coalesce(only_for, ?) = ?"
        " ORDER BY message_id DESC",
        (*message_ids, user_id, user_id),
    )
    return fill(rows, NO_BOUND, max_bytes).records[::-1]


def standing(
    connection: sqlite3.Connection, user_id: str, channel_id: int, max_bytes: int = NO_BOUND
) -> list[Record]:
    """Return a conversation's latest values that are about no message and that a user may see.

    Args:
        max_bytes: bound on their size together; the newest are returned.
    """
    rows = connection.execute(
        f"SELECT {LATEST_RECORD} FROM latest WHERE channel_id = ? AND about IS NULL AND coalesce(only_for, ?) = ?"
        " ORDER BY message_id DESC",
        (channel_id, user_id, user_id),
    )
    return fill(rows, NO_BOUND, max_bytes).records[::-1]


class Weight(NamedTuple):
    """The number of some latest values, and their approximate size in bytes."""

    values: int
    size: int


def weights_about(connection: sqlite3.Connection, user_id: str, message_ids: Sequence[int]) -> dict[int, Weight]:
    """Return, for each message, the weight of all values that `about` would return, without reading them."""
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT about, count(*), sum(length(payload) + {AROUND}) FROM latest WHERE about IN ({marks})"
        " AND coalesce(only_for, ?) = ? GROUP BY about",
        (*message_ids, user_id, user_id),
    )
    return {row[0]: Weight(row[1], row[2]) for row in rows}


def count_standing(connection: sqlite3.Connection, user_id: str, channel_id: int) -> int:
    """Return the number of values that `standing` would return without a bound."""
    row = connection.execute(
        "SELECT count(*) FROM latest WHERE channel_id = ? AND about IS NULL AND coalesce(only_for, ?) = ?",
        (channel_id, user_id, user_id),
    ).fetchone()
    return int(row[0])


def note_edit(connection: sqlite3.Connection, message_id: int, edit_id: int) -> None:
    """Store which edit gave a message its text: a later edit has a higher id, whatever the clock says."""
    connection.execute("UPDATE log SET edit_id = ? WHERE message_id = ?", (edit_id, message_id))


class Located(NamedTuple):
    """The place of a stream message in the log."""

    message_id: int
    channel_id: int
    seq: int


def locate(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[Located]:
    """Return the places of stream messages; unknown ids are left out."""
    marks = ",".join("?" * len(message_ids))
    rows = connection.execute(
        f"SELECT message_id, channel_id, seq FROM log WHERE message_id IN ({marks})",
        tuple(message_ids),
    )
    return [Located(*row) for row in rows]


def newest_from_others(
    connection: sqlite3.Connection, channel_id: int, user_id: str, until: int
) -> Located | None:
    """Return the newest stream message of a conversation, up to position `until`, that the user did not send."""
    row = connection.execute(
        "SELECT message_id, channel_id, seq FROM log WHERE channel_id = ? AND message_id <= ? AND sender_id <> ?"
        " ORDER BY seq DESC LIMIT 1",
        (channel_id, until, user_id),
    ).fetchone()
    return Located(*row) if row else None


class Placed(NamedTuple):
    """A message that another message refers to."""

    message_id: int
    seq: int
    type: str
    sender_id: str
    payload: str


def find_in_channel(connection: sqlite3.Connection, channel_id: int, message_id: int) -> Placed | None:
    """Return a stream message of a conversation; None if it is elsewhere or deleted."""
    row = connection.execute(
        "SELECT message_id, seq, type, sender_id, payload FROM log"
        " WHERE message_id = ? AND channel_id = ? AND deleted_at IS NULL",
        (message_id, channel_id),
    ).fetchone()
    return Placed(*row) if row else None


def rewrite_message(connection: sqlite3.Connection, message_id: int, payload: str, at: float) -> None:
    """Replace a message's payload, and store when; entries of the audit log stay as they are."""
    if audit.among(connection, [message_id]):
        return
    versions.keep(connection, message_id)
    row = connection.execute(
        "UPDATE log SET payload = ?, edited_at = ? WHERE message_id = ?"
        " RETURNING channel_id, seq, type, sender_id",
        (payload, at, message_id),
    ).fetchone()
    if row is not None:
        note_erased(connection)
    if row is not None and (observer := observer_of(connection)) is not None:
        observer.edited(connection, Edited(message_id, row[0], row[1], row[2], row[3], payload, at))
