"""Idempotency: a message whose sender has used its id before is not stored again, in whichever table the first is.

Each of the two tables has a unique index that finds copies of its own kind at no extra cost. Copies of the other
kind are looked up, once for each batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError
from relay.storage.entry import Entry

_IDS_AT_ONCE: Final = 256


def find_duplicate(connection: sqlite3.Connection, entry: Entry) -> bool:
    """Return whether the sender has used this id before; if so, the entry gets the first one's answer."""
    if entry.own_id is None:
        return False
    row = connection.execute(
        "SELECT message_id, seq, timestamp, digest FROM log WHERE sender_id = ?1 AND own_id = ?2"
        " UNION ALL"
        " SELECT message_id, NULL, timestamp, digest FROM latest WHERE sender_id = ?1 AND own_id = ?2",
        (entry.sender_id, entry.own_id),
    ).fetchone()
    if row is None:
        return False
    entry.message_id, entry.seq, entry.timestamp = row[:3]
    settle(entry, bytes(row[3]) if row[3] is not None else None)
    return True


def settle(entry: Entry, digest: bytes | None) -> None:
    """Answer an entry whose id was used before, for a message with this digest."""
    if digest is not None and digest != entry.digest:
        entry.error = RelayError(
            ErrorCode.CONFLICT,
            f"the id {entry.own_id!r} was used before for a message with other content; use a new id",
            details=None if entry.message_id is None else {"message_id": entry.message_id},
        )
        entry.message_id = entry.seq = None
    else:
        entry.duplicate = True


def taken_by_latest(connection: sqlite3.Connection, entries: Sequence[Entry]) -> bool:
    """Return whether a latest value has the id of one of these stream messages."""
    wanted = [part for entry in entries if entry.own_id is not None for part in (entry.sender_id, entry.own_id)]
    start = 0
    while left := (len(wanted) - start) // 2:
        count = min(_IDS_AT_ONCE, 1 << (left.bit_length() - 1))
        if connection.execute(_look_for(count), wanted[start : start + 2 * count]).fetchone() is not None:
            return True
        start += 2 * count
    return False


@cache
def _look_for(count: int) -> str:
    # A CROSS JOIN keeps SQLite from reading all of the table instead, which it would for IN (VALUES …).
    values = ",".join(["(?,?)"] * count)
    return (
        f"WITH wanted (sender_id, own_id) AS (VALUES {values}) SELECT 1 FROM wanted CROSS JOIN latest"
        " USING (sender_id, own_id) WHERE latest.own_id IS NOT NULL LIMIT 1"
    )
