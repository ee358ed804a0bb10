"""Files: their bytes in chunks, once however often they were uploaded; their names; which messages hold them.

A *blob* is bytes; while they still come in, and once it is to go, it has no `sha256`, so that nobody shares it.
An *attachment* is a blob under one uploader's name for it. A message *holds* attachments; who may see one of
those messages may have them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage.observer import note_erased

CHUNK_BYTES: Final = 128 * 1024
_NUMBER_BITS: Final = 20
"""A chunk's id is its blob's id and its number in these low bits: 128 GiB at most."""

_ATTACHMENT: Final = (
    "a.attachment_id, a.blob_id, a.user_id, a.name, a.type, a.size, b.sha256 FROM attachments a JOIN blobs b"
    " USING (blob_id)"
)


class Attachment(NamedTuple):
    """A file as one user uploaded it; `size` in bytes."""

    attachment_id: str
    blob_id: int
    user_id: str
    name: str
    type: str
    size: int
    sha256: bytes


def begin(connection: sqlite3.Connection, now: float) -> int:
    """Begin a blob and return its id."""
    cursor = connection.execute("INSERT INTO blobs (created_at) VALUES (?)", (now,))
    return int(cursor.lastrowid or 0)


def put_chunk(connection: sqlite3.Connection, blob_id: int, number: int, data: bytes) -> None:
    """Store a blob's chunk `number`; every chunk but the last has CHUNK_BYTES."""
    connection.execute(
        "INSERT INTO chunks (chunk_id, data) VALUES (?, ?)", (blob_id << _NUMBER_BITS | number, data)
    )


def get_chunk(connection: sqlite3.Connection, blob_id: int, number: int) -> bytes | None:
    """Return a blob's chunk, None where there is none."""
    row = connection.execute("SELECT data FROM chunks WHERE chunk_id = ?", (blob_id << _NUMBER_BITS | number,))
    found = row.fetchone()
    return found[0] if found else None


def used_bytes(connection: sqlite3.Connection, user_id: str) -> int:
    """Return the size of all that a user uploaded, however often it is stored."""
    row = connection.execute("SELECT coalesce(sum(size), 0) FROM attachments WHERE user_id = ?", (user_id,))
    return int(row.fetchone()[0])


def finish(connection: sqlite3.Connection, new: Attachment, now: float) -> Attachment:
    """Name a blob that is complete; the same bytes, where they are there already, are used instead of it."""
    same = connection.execute("SELECT blob_id FROM blobs WHERE sha256 = ?", (new.sha256,)).fetchone()
    if same is None:
        connection.execute(
            "UPDATE blobs SET sha256 = ?, size = ? WHERE blob_id = ?", (new.sha256, new.size, new.blob_id)
        )
    kept = new if same is None else new._replace(blob_id=same[0])
    connection.execute(
        "INSERT INTO attachments (attachment_id, blob_id, user_id, name, type, size, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*kept[:6], now),
    )
    return kept


def find(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> Attachment | None:
    """Return an attachment to its uploader, and to whoever may see a message that holds it."""
    row = connection.execute(f"SELECT {_ATTACHMENT} WHERE attachment_id = ?", (attachment_id,)).fetchone()
    if row is None:
        return None
    found = Attachment._make(row)
    return found if found.user_id == user_id or _is_shown(connection, user_id, attachment_id) else None


def _is_shown(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM holds h JOIN log l USING (message_id)"
        " JOIN members m ON m.channel_id = l.channel_id AND m.user_id = ?"
        " WHERE h.attachment_id = ? AND l.deleted_at IS NULL AND m.visible_until IS NULL"
        " AND (l.seq >= m.visible_from OR m.seen_before IS NOT NULL AND EXISTS (SELECT 1 FROM stays s"
        "  WHERE s.channel_id = l.channel_id AND s.user_id = m.user_id"
        "  AND l.seq BETWEEN s.visible_from AND s.visible_until)) LIMIT 1",
        (user_id, attachment_id),
    ).fetchone()
    return row is not None


def check(connection: sqlite3.Connection, user_id: str, attachment_ids: Iterable[str]) -> None:
    """Refuse to attach what a user may not see.

    Raises:
        RelayError: `not_found`, naming it.
    """
    for attachment_id in attachment_ids:
        if find(connection, user_id, attachment_id) is None:
            raise not_found(f"attachment {attachment_id!r}")


def hold(connection: sqlite3.Connection, message_id: int, attachment_ids: Sequence[str]) -> None:
    """Note that a message holds attachments."""
    connection.executemany(
        "INSERT OR IGNORE INTO holds (attachment_id, message_id) VALUES (?, ?)",
        [(attachment_id, message_id) for attachment_id in attachment_ids],
    )
    connection.executemany(
        "UPDATE attachments SET held = 1 WHERE attachment_id = ?", [(one,) for one in attachment_ids]
    )


def remove(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> None:
    """Remove an upload of one's own that no message holds.

    Raises:
        RelayError: `not_found` for one that is not theirs, `conflict` for one that is held.
    """
    found = find(connection, user_id, attachment_id)
    if found is None or found.user_id != user_id:
        raise not_found(f"attachment {attachment_id!r}")
    if connection.execute("SELECT 1 FROM holds WHERE attachment_id = ?", (attachment_id,)).fetchone():
        raise RelayError(ErrorCode.CONFLICT, "a message holds this attachment; delete the message instead")
    connection.execute("DELETE FROM attachments WHERE attachment_id = ?", (attachment_id,))


def forget_unheld(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Forget attachments that nothing holds any more, or nothing ever held since `before`; return how many."""
    rows = connection.execute(
        "SELECT attachment_id FROM attachments a WHERE (held = 1 OR created_at < ?)"
        " AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.attachment_id = a.attachment_id) LIMIT ?",
        (before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM attachments WHERE attachment_id = ?", rows)
    return len(rows)


def any_blob(connection: sqlite3.Connection) -> bool:
    """Tell whether there are any files at all."""
    return connection.execute("SELECT 1 FROM blobs LIMIT 1").fetchone() is not None


def release_blobs(connection: sqlite3.Connection) -> list[int]:
    """Take blobs that no attachment names out of use; return all that are out of use, or still coming in."""
    connection.execute(
        "UPDATE blobs SET sha256 = NULL WHERE sha256 IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.blob_id = blobs.blob_id)"
    )
    return [row[0] for row in connection.execute("SELECT blob_id FROM blobs WHERE sha256 IS NULL")]


def drop_chunks(connection: sqlite3.Connection, blob_id: int, limit: int) -> bool:
    """Drop up to `limit` chunks of a blob that is out of use, and it with the last; tell whether it is gone."""
    first = blob_id << _NUMBER_BITS
    note_erased(connection)
    connection.execute(
        "DELETE FROM chunks WHERE chunk_id IN"
        " (SELECT chunk_id FROM chunks WHERE chunk_id BETWEEN ? AND ? LIMIT ?)",
        (first, first | (1 << _NUMBER_BITS) - 1, limit),
    )
    left = connection.execute(
        "SELECT 1 FROM chunks WHERE chunk_id BETWEEN ? AND ? LIMIT 1", (first, first | (1 << _NUMBER_BITS) - 1)
    ).fetchone()
    if left is None:
        connection.execute("DELETE FROM blobs WHERE blob_id = ? AND sha256 IS NULL", (blob_id,))
    return left is None
