"""A database in memory with the newest schema, fresh for each example, and shorthand for what goes into it."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from relay.protocol.kinds import Kind
from relay.storage.entry import Entry
from relay.storage.upgrading import migrate


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "relay.db"
        migrate(path)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        image = connection.serialize()
        connection.close()
    return image


def fresh() -> sqlite3.Connection:
    """Return an empty database of the newest schema, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_template())
    return connection


def message(
    channel_id: int = 1,
    sender: str = "alice",
    own_id: str | None = None,
    content: str = "hi",
    *,
    kind: Kind = Kind.STREAM,
    key: str = "",
    type_: str = "chat_message",
) -> Entry:
    """Return a message on its way into the log."""
    return Entry(
        channel_id=channel_id,
        type=type_,
        kind=kind,
        sender_id=sender,
        target_id="bob",
        client_id=None,
        own_id=own_id,
        digest=None if own_id is None else f"{channel_id} {type_} {key} {content}".encode(),
        payload=f'{{"content":"{content}"}}',
        sent_at=None,
        key=key,
        reads=kind is Kind.STREAM,
    )


def log_row(
    connection: sqlite3.Connection,
    message_id: int,
    channel_id: int,
    seq: int,
    *,
    sender: str = "alice",
    type_: str = "chat_message",
    payload: str = "{}",
    timestamp: float = 0.0,
    deleted_at: float | None = None,
) -> None:
    """Put one stream message into the log as it is."""
    connection.execute(
        "INSERT INTO log (message_id, channel_id, seq, type, sender_id, target_id, payload, timestamp, deleted_at)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (message_id, channel_id, seq, type_, sender, "bob", payload, timestamp, deleted_at),
    )


def latest_row(
    connection: sqlite3.Connection, message_id: int, channel_id: int, type_: str, *, only_for: str | None = None
) -> None:
    """Put one latest value into the log as it is."""
    connection.execute(
        "INSERT INTO latest (message_id, channel_id, type, sender_id, key, target_id, payload, timestamp, only_for)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (message_id, channel_id, type_, "alice", str(message_id), "bob", "{}", 0.0, only_for),
    )


def channel(connection: sqlite3.Connection, address: str, *, kind: str | None = None, floor_seq: int = 0) -> int:
    """Create a conversation and return its id."""
    cursor = connection.execute(
        "INSERT INTO channels (address, kind, floor_seq, created_at) VALUES (?, ?, ?, 0)",
        (address, kind or address.partition(":")[0], floor_seq),
    )
    return int(cursor.lastrowid or 0)


def member(
    connection: sqlite3.Connection, channel_id: int, user_id: str, first: int = 1, last: int | None = None
) -> None:
    """Make a user a member who sees `first` to `last`."""
    connection.execute(
        "INSERT INTO members (channel_id, user_id, role, visible_from, visible_until, joined_at)"
        " VALUES (?, ?, 'member', ?, ?, 0)",
        (channel_id, user_id, first, last),
    )
