"""The files of a conversation: which messages hold some of a kind, the newest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from relay.storage.attachments import PICTURES, Attachment, read_some
from relay.storage.history import RECORD, Page, Record, View, fill


class FileKind(StrEnum):
    """A kind that a list of files is narrowed to: pictures that a browser shows, sound and films, or all else."""

    PICTURES = "pictures"
    MEDIA = "media"
    FILES = "files"


_PICTURE: Final = "a.type IN ('" + "', '".join(sorted(PICTURES)) + "')"
_MEDIA: Final = "(a.type LIKE 'audio/%' OR a.type LIKE 'video/%')"
_CONDITIONS: Final = {
    FileKind.PICTURES: f" AND {_PICTURE}",
    FileKind.MEDIA: f" AND {_MEDIA}",
    FileKind.FILES: f" AND NOT {_PICTURE} AND NOT {_MEDIA}",
    None: "",
}


def is_of(type_: str, kind: FileKind | None) -> bool:
    """Return whether a file of this media type is of a kind; None is any."""
    if kind is None:
        return True
    media = type_.startswith(("audio/", "video/"))
    found = FileKind.PICTURES if type_ in PICTURES else FileKind.MEDIA if media else FileKind.FILES
    return found is kind


def page(
    connection: sqlite3.Connection, seen: View, kind: FileKind | None, limit: int, before: int, max_bytes: int
) -> Page:
    """Return messages with files of a kind, the newest first: at most `limit` that are older than `before`."""
    visible, bounds = seen.condition()
    # CROSS JOIN keeps this order: from what the conversation holds, not through all that was said in it.
    rows = connection.execute(
        f"SELECT DISTINCT h.message_id FROM holds h CROSS JOIN attachments a USING (attachment_id)"
        f" CROSS JOIN log l ON l.message_id = h.message_id WHERE h.channel_id = ? AND h.message_id < ?"
        f"{_CONDITIONS[kind]} AND l.deleted_at IS NULL{visible} ORDER BY h.message_id DESC LIMIT ?",
        (seen.channel_id, before, *bounds, limit + 1),
    )
    ids = [row[0] for row in rows]
    marks = ",".join("?" * len(ids))
    records = connection.execute(
        f"SELECT {RECORD} FROM log WHERE message_id IN ({marks}) ORDER BY message_id DESC", ids
    )
    return fill(records, limit, max_bytes)


def described(connection: sqlite3.Connection, records: Sequence[Record]) -> dict[str, Attachment]:
    """Return all that some messages hold, by id."""
    return {one.attachment_id: one for one in read_some(connection, [record.message_id for record in records])}
