"""Files: their bytes in chunks, stored once for all uploads; their names; the messages that hold them.

A *blob* is bytes. While it is uploaded, and when it is to be deleted, it has no `sha256`, so nothing shares it.
An *attachment* is a blob with the name one uploader gave it. A message *holds* attachments; everybody who may see
one of those messages may download them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage.observer import note_erased

CHUNK_BYTES: Final = 128 * 1024
_NUMBER_BITS: Final = 20
"""Low bits of a chunk's id, its number in the blob; the blob's id is above them. 128 GiB at most."""

_IMPORT_SECONDS: Final = 86_400.0
"""How long a file that an import brings may be unfinished."""

PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
"""The types of pictures that every browser shows, and whose size is read."""

_ATTACHMENT: Final = (
    "a.attachment_id, a.blob_id, a.user_id, a.name, a.type, a.size, b.sha256, a.width, a.height"
    " FROM attachments a JOIN blobs b USING (blob_id)"
)


class Pixels(NamedTuple):
    """The size in which a picture is shown; 0 where it is not known."""

    width: int
    height: int


NO_PIXELS: Final = Pixels(0, 0)


class Attachment(NamedTuple):
    """A file as one user uploaded it.

    Attributes:
        size: in bytes.
        width, height: a picture's, in pixels; None where they are not known.
    """

    attachment_id: str
    blob_id: int
    user_id: str
    name: str
    type: str
    size: int
    sha256: bytes
    width: int | None = None
    height: int | None = None


def begin(connection: sqlite3.Connection, now: float) -> int:
    """Create an empty blob and return its id."""
    cursor = connection.execute("INSERT INTO blobs (created_at) VALUES (?)", (now,))
    return int(cursor.lastrowid or 0)


def put_chunk(connection: sqlite3.Connection, blob_id: int, number: int, data: bytes) -> None:
    """Store a blob's chunk `number`; every chunk but the last has CHUNK_BYTES."""
    connection.execute(
        "INSERT INTO chunks (chunk_id, data) VALUES (?, ?)", (blob_id << _NUMBER_BITS | number, data)
    )


def get_chunk(connection: sqlite3.Connection, blob_id: int, number: int) -> bytes | None:
    """Return a blob's chunk, or None."""
    row = connection.execute("SELECT data FROM chunks WHERE chunk_id = ?", (blob_id << _NUMBER_BITS | number,))
    found = row.fetchone()
    return found[0] if found else None


def chunks_of(connection: sqlite3.Connection, blob_id: int) -> Iterator[bytes]:
    """Yield a blob's chunks in order."""
    first = blob_id << _NUMBER_BITS
    rows = connection.execute(
        "SELECT data FROM chunks WHERE chunk_id BETWEEN ? AND ? ORDER BY chunk_id",
        (first, first | (1 << _NUMBER_BITS) - 1),
    )
    yield from (data for (data,) in rows)


def used_bytes(connection: sqlite3.Connection, user_id: str) -> int:
    """Return the bytes of all of a user's uploads, each counted even if its bytes are shared."""
    row = connection.execute("SELECT coalesce(sum(size), 0) FROM attachments WHERE user_id = ?", (user_id,))
    return int(row.fetchone()[0])


def finish(connection: sqlite3.Connection, new: Attachment, now: float) -> Attachment:
    """Make an attachment of a complete blob; if the same bytes are stored already, that blob is used instead."""
    same = connection.execute("SELECT blob_id FROM blobs WHERE sha256 = ?", (new.sha256,)).fetchone()
    if same is None:
        connection.execute(
            "UPDATE blobs SET sha256 = ?, size = ? WHERE blob_id = ?", (new.sha256, new.size, new.blob_id)
        )
    kept = new if same is None else new._replace(blob_id=same[0])
    connection.execute(
        "INSERT INTO attachments (attachment_id, blob_id, user_id, name, type, size, width, height, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*kept[:6], kept.width or 0, kept.height or 0, now),
    )
    return kept


def find(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> Attachment | None:
    """Return an attachment if the user uploaded it or may see a message that holds it; None otherwise."""
    row = connection.execute(f"SELECT {_ATTACHMENT} WHERE attachment_id = ?", (attachment_id,)).fetchone()
    if row is None:
        return None
    found = _attachment(row)
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


def read_some(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[Attachment]:
    """Return all files that some messages hold."""
    marks = ",".join("?" * len(message_ids))
    held = f"SELECT attachment_id FROM holds WHERE message_id IN ({marks})"
    rows = connection.execute(f"SELECT {_ATTACHMENT} WHERE attachment_id IN ({held})", message_ids)
    return [_attachment(row) for row in rows]


def _attachment(row: Sequence[Any]) -> Attachment:
    return Attachment(*row[:7], *(pixels or None for pixels in row[7:]))


def check(connection: sqlite3.Connection, user_id: str, attachment_ids: Iterable[str]) -> list[Attachment]:
    """Return these files, once it is sure that the user may attach each of them.

    Raises:
        RelayError: `not_found`, with the attachment's id.
    """
    files = []
    for attachment_id in attachment_ids:
        found = find(connection, user_id, attachment_id)
        if found is None:
            raise not_found(f"attachment {attachment_id!r}")
        files.append(found)
    return files


def described(connection: sqlite3.Connection, attachment_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what messages say of files, in the order of their ids; unknown ones are left out."""
    marks = ",".join("?" * len(attachment_ids))
    rows = connection.execute(f"SELECT {_ATTACHMENT} WHERE attachment_id IN ({marks})", tuple(attachment_ids))
    found = {one.attachment_id: one for one in map(_attachment, rows)}
    return [description(found[one]) for one in attachment_ids if one in found]


def description(file: Attachment) -> dict[str, Any]:
    """Return what a message says of a file."""
    said = {
        "attachment_id": file.attachment_id,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
    }
    return {name: value for name, value in said.items() if value is not None}


def hold(connection: sqlite3.Connection, channel_id: int, message_id: int, attachment_ids: Sequence[str]) -> None:
    """Store that a message of a conversation holds attachments."""
    connection.executemany(
        "INSERT OR IGNORE INTO holds (attachment_id, message_id, channel_id) VALUES (?, ?, ?)",
        [(attachment_id, message_id, channel_id) for attachment_id in attachment_ids],
    )
    connection.executemany(
        "UPDATE attachments SET held = 1 WHERE attachment_id = ?", [(one,) for one in attachment_ids]
    )


def remove(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> None:
    """Delete a user's own upload that no message holds.

    Raises:
        RelayError: `not_found` if it is not the user's own, `conflict` if a message holds it.
    """
    found = find(connection, user_id, attachment_id)
    if found is None or found.user_id != user_id:
        raise not_found(f"attachment {attachment_id!r}")
    if connection.execute("SELECT 1 FROM holds WHERE attachment_id = ?", (attachment_id,)).fetchone():
        raise RelayError(ErrorCode.CONFLICT, "a message holds this attachment; delete the message instead")
    if connection.execute("SELECT 1 FROM pictures WHERE attachment_id = ?", (attachment_id,)).fetchone():
        raise RelayError(ErrorCode.CONFLICT, "a profile or a group shows this picture; choose another one first")
    connection.execute("DELETE FROM attachments WHERE attachment_id = ?", (attachment_id,))


def forget_description(connection: sqlite3.Connection, attachment_id: str, message_ids: Iterable[int]) -> None:
    """Erase what some messages say of a file, its name above all, also in their versions from before an edit."""
    for message_id in message_ids:
        for table in ("log", "versions"):
            rows = connection.execute(
                f"SELECT payload FROM {table} WHERE message_id = ? AND payload LIKE '%\"files\"%'", (message_id,)
            ).fetchall()
            for (payload,) in rows:
                said = msgspec.json.decode(payload)
                left = [one for one in said.pop("files", ()) if one["attachment_id"] != attachment_id]
                said |= {"files": left} if left else {}
                note_erased(connection)
                connection.execute(
                    f"UPDATE {table} SET payload = ? WHERE message_id = ? AND payload = ?",
                    (encode_json(said).decode(), message_id, payload),
                )


def forget_unheld(connection: sqlite3.Connection, before: float, limit: int) -> int:
    """Delete attachments that are no longer used, and those never used from before `before`; return how many."""
    rows = connection.execute(
        "SELECT attachment_id FROM attachments a WHERE (held = 1 OR created_at < ?)"
        " AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.attachment_id = a.attachment_id)"
        " AND NOT EXISTS (SELECT 1 FROM pictures p WHERE p.attachment_id = a.attachment_id) LIMIT ?",
        (before, limit),
    ).fetchall()
    connection.executemany("DELETE FROM attachments WHERE attachment_id = ?", rows)
    return len(rows)


def unmeasured(connection: sqlite3.Connection, limit: int) -> list[tuple[str, str, int]]:
    """Return id, type and blob of pictures that were stored before their sizes were read."""
    return connection.execute(
        "SELECT attachment_id, type, blob_id FROM attachments WHERE width IS NULL LIMIT ?", (limit,)
    ).fetchall()


def set_pixels(connection: sqlite3.Connection, sizes: Iterable[tuple[int, int, str]]) -> None:
    """Store width, height, and the attachment that has them, for each of some pictures."""
    connection.executemany("UPDATE attachments SET width = ?, height = ? WHERE attachment_id = ?", sizes)


def any_blob(connection: sqlite3.Connection) -> bool:
    """Return whether there are any files at all."""
    return connection.execute("SELECT 1 FROM blobs LIMIT 1").fetchone() is not None


def release_blobs(connection: sqlite3.Connection, now: float) -> list[int]:
    """Mark blobs without an attachment for deletion; return all that are marked or still being uploaded.

    Those that an import is bringing are left out for a day.
    """
    connection.execute(
        "UPDATE blobs SET sha256 = NULL WHERE sha256 IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.blob_id = blobs.blob_id)"
    )
    rows = connection.execute(
        "SELECT blob_id FROM blobs WHERE sha256 IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM imported_files f WHERE f.blob_id = blobs.blob_id AND f.begun_at > ?)",
        (now - _IMPORT_SECONDS,),
    )
    return [row[0] for row in rows]


def drop_chunks(connection: sqlite3.Connection, blob_id: int, limit: int) -> bool:
    """Delete up to `limit` chunks of a marked blob, and the blob with its last; return whether it is gone."""
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
