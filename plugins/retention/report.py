"""A report of what is stored, by type, conversation, sender or kind, as a basis for rules."""

import sqlite3
from typing import Any

from relay.plugin import ErrorCode, RelayError

from .rules import BYTES, FILES

GROUPED = {
    "type": "log.type",
    "conversation": "channels.address",
    "sender": "log.sender_id",
    "kind": "channels.kind",
}


def usage(connection: sqlite3.Connection, by: str, limit: int) -> list[dict[str, Any]]:
    """Return the largest groups of stored messages.

    Raises:
        RelayError: `invalid_payload` for an unknown grouping.
    """
    if by not in GROUPED:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"--by is one of {', '.join(GROUPED)}, not {by[:40]!r}")
    columns = (by, "messages", "bytes", "file_bytes", "tombstones", "oldest_at")
    rows = connection.execute(
        f"SELECT {GROUPED[by]}, count(*) FILTER (WHERE deleted_at IS NULL), coalesce(sum({BYTES}), 0) AS size,"
        f" sum({FILES}) AS files, count(*) FILTER (WHERE deleted_at IS NOT NULL),"
        " min(timestamp) FILTER (WHERE deleted_at IS NULL)"
        " FROM log JOIN channels USING (channel_id) GROUP BY 1 ORDER BY size + files DESC, 1 LIMIT ?",
        (limit,),
    )
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return [*found, dict.fromkeys(columns) | {by: "(free)", "bytes": _free_bytes(connection)}]


def _free_bytes(connection: sqlite3.Connection) -> int:
    """Return the free bytes of the database file, which are used again before the file grows."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    return int(pages) * int(size)
