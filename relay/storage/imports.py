"""Imports: which message here is which one of a file, so that what refers to it finds it, and it is stored once.

Each source of data has ids of its own. They are kept for good: the same file may come again, or one that goes on
where it ends.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, Literal, NamedTuple

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage.identity import read_epoch

SAID_HERE: Final = "NOT EXISTS (SELECT 1 FROM imported i WHERE i.message_id = l.message_id)"
"""SQL for a row `l` of the log: whether it was said on this server, and not imported."""

Reading = Literal["own", "all", "records"]
_REFERRING: Final = ("reply_to", "thread", "message_id")
"""Fields of payloads that name a message."""

_BOUNDS: Final = ("up_to_seq", "from_seq")
"""Fields of payloads that name a `seq` of their conversation."""


class Source(NamedTuple):
    """A source of data.

    Attributes:
        reading: how far everybody has read what is in it.
    """

    import_id: int
    reading: Reading


class Place(NamedTuple):
    """An imported message, by the ids that it has here; `seq` is None for a value."""

    message_id: int
    channel_id: int
    seq: int | None


def begin(connection: sqlite3.Connection, source: str, reading: Reading, now: float) -> Source:
    """Return the source of data with a name; it is noted where it is new.

    Raises:
        RelayError: `conflict` for data of this very server.
    """
    if source == f"relay:{read_epoch(connection)}":
        text = "this is an export of this very server: everything is here already"
        raise RelayError(ErrorCode.CONFLICT, text)
    connection.execute(
        "INSERT INTO imports (source, reading, begun_at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (source) DO UPDATE SET reading = ?2",
        (source, reading, now),
    )
    return find(connection, source)


def find(connection: sqlite3.Connection, source: str) -> Source:
    """Return a source that was begun.

    Raises:
        RelayError: `not_found`.
    """
    row = connection.execute("SELECT import_id, reading FROM imports WHERE source = ?", (source,)).fetchone()
    if row is None:
        raise not_found(f"record `export` of the source {source!r}, which begins a file,")
    return Source(*row)


def note(
    connection: sqlite3.Connection,
    source: Source,
    old_id: str | int,
    message_id: int,
    channel_id: int,
    old_seq: int | None,
) -> None:
    """Note the message that an id of a source means."""
    connection.execute(
        "INSERT INTO imported (import_id, old_id, message_id, channel_id, old_seq) VALUES (?, ?, ?, ?, ?)",
        (source.import_id, str(old_id), message_id, channel_id, old_seq),
    )


def known(connection: sqlite3.Connection, source: Source, old_id: str | int) -> int | None:
    """Return the `message_id` that an id of a source has here; None if it was not imported."""
    row = connection.execute(
        "SELECT message_id FROM imported WHERE import_id = ? AND old_id = ?", (source.import_id, str(old_id))
    ).fetchone()
    return None if row is None else int(row[0])


def new_id(connection: sqlite3.Connection, source: Source, old_id: str | int, field: str) -> int:
    """Return the `message_id` that an id of a source has here.

    Args:
        field: what names it, for the error's text.

    Raises:
        RelayError: `not_found`.
    """
    found = known(connection, source, old_id)
    if found is None:
        raise not_found(f"message with the id {old_id!r}, which {field} names, in the lines before this one")
    return found


def place(connection: sqlite3.Connection, source: Source, old_id: str | int, field: str) -> Place:
    """Return where a message of a source is here.

    Raises:
        RelayError: as `new_id`.
    """
    message_id = new_id(connection, source, old_id, field)
    row = connection.execute(
        "SELECT i.channel_id, l.seq FROM imported i LEFT JOIN log l USING (message_id)"
        " WHERE i.import_id = ? AND i.old_id = ?",
        (source.import_id, str(old_id)),
    ).fetchone()
    return Place(message_id, *row)


def new_seq(connection: sqlite3.Connection, source: Source, channel_id: int, old_seq: int) -> int:
    """Return the `seq` that a number of a source's conversation has here: of the newest message up to it.

    Unchanged where none of its messages was imported with a number.
    """
    row = connection.execute(
        "SELECT l.seq FROM imported i JOIN log l USING (message_id) WHERE i.import_id = ? AND i.channel_id = ?"
        " AND i.old_seq <= ? ORDER BY i.old_seq DESC LIMIT 1",
        (source.import_id, channel_id, old_seq),
    ).fetchone()
    return old_seq if row is None else int(row[0])


def translated(
    connection: sqlite3.Connection,
    source: Source,
    channel_id: int,
    payload: dict[str, Any],
    about: str | int | None = None,
) -> dict[str, Any]:
    """Return a payload with this server's ids of messages, numbers and files in the place of the source's.

    Args:
        about: the source's id of the message that it is about: whatever has this value is that message.

    Raises:
        RelayError: `not_found` for a message or a file that was not imported.
    """
    result = dict(payload)
    for name, value in payload.items():
        is_id = isinstance(value, str | int) and not isinstance(value, bool)
        if name in _REFERRING and is_id:
            result[name] = new_id(connection, source, value, name)
        elif name == "message_ids" and isinstance(value, list):
            result[name] = [new_id(connection, source, one, name) for one in value]
        elif name in _BOUNDS and type(value) is int:
            result[name] = new_seq(connection, source, channel_id, value)
        elif name == "attachments" and isinstance(value, list):
            result[name] = [file_of(connection, source, one) for one in value]
        elif is_id and about is not None and value == about:
            result[name] = new_id(connection, source, about, name)
    return result


def file_of(connection: sqlite3.Connection, source: Source, old_id: object) -> str:
    """Return the id that a file of a source has here.

    Raises:
        RelayError: `not_found`.
    """
    row = connection.execute(
        "SELECT f.attachment_id FROM imported_files f JOIN attachments USING (attachment_id)"
        " WHERE f.import_id = ? AND f.old_id = ?",
        (source.import_id, str(old_id)),
    ).fetchone()
    if row is None:
        raise not_found(f"attachment with the id {old_id!r} in the lines before this one")
    return str(row[0])


class Coming(NamedTuple):
    """A file of which the bytes are coming.

    Attributes:
        record: what its record says of it, as JSON.
    """

    blob_id: int
    user_id: str
    record: bytes
    created_at: float


def has_file(connection: sqlite3.Connection, source: Source, old_id: str) -> bool:
    """Return whether a file of a source was imported, whole."""
    row = connection.execute(
        "SELECT 1 FROM imported_files WHERE import_id = ? AND old_id = ? AND attachment_id IS NOT NULL",
        (source.import_id, old_id),
    )
    return row.fetchone() is not None


def begin_file(connection: sqlite3.Connection, source: Source, old_id: str, coming: Coming, now: float) -> None:
    """Note that the bytes of a file are coming; those that came before for it are forgotten."""
    connection.execute(
        "INSERT OR REPLACE INTO imported_files (import_id, old_id, user_id, blob_id, begun_at, created_at, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (source.import_id, old_id, coming.user_id, coming.blob_id, now, coming.created_at, coming.record),
    )


def coming_file(connection: sqlite3.Connection, source: Source, old_id: str) -> Coming | None:
    """Return a file of which the bytes are coming; None for one that is complete.

    Raises:
        RelayError: `not_found`.
    """
    row = connection.execute(
        "SELECT blob_id, user_id, record, created_at FROM imported_files WHERE import_id = ? AND old_id = ?",
        (source.import_id, old_id),
    ).fetchone()
    if row is None:
        raise not_found(f"attachment with the id {old_id!r} in the lines before this one")
    return None if row[0] is None else Coming(*row)


def finish_file(connection: sqlite3.Connection, source: Source, old_id: str, attachment_id: str) -> None:
    """Note that a file is complete, and which it is here."""
    connection.execute(
        "UPDATE imported_files SET attachment_id = ?, blob_id = NULL, record = NULL"
        " WHERE import_id = ? AND old_id = ?",
        (attachment_id, source.import_id, old_id),
    )


def date_files(connection: sqlite3.Connection, attachment_ids: list[str]) -> None:
    """Give files that a message holds by now the time of their upload.

    Before, an old one would have been collected as one that nobody wanted.
    """
    connection.executemany(
        "UPDATE attachments SET created_at = coalesce("
        "(SELECT min(created_at) FROM imported_files f WHERE f.attachment_id = attachments.attachment_id),"
        " created_at) WHERE attachment_id = ?",
        [(one,) for one in attachment_ids],
    )
