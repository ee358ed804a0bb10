"""Everything of a server as records, read by one transaction: what is said meanwhile is not in it.

The caller's connection can only read. Rows are read as they are taken, so that no more than one is in memory.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from relay.protocol import records
from relay.protocol.kinds import Role, ServerRole
from relay.storage import audit, portable
from relay.storage.history import other_party
from relay.storage.identity import read_epoch
from relay.storage.portable import PortableTable

_SKIPPED: Final = f"c.address NOT IN ('{audit.ADDRESS}') AND c.address NOT LIKE 'gone:%'"
"""Conversations that are not exported: the audit log, and what is left of removed sample data."""


class Size(NamedTuple):
    """The size of an export, for a progress bar: lines, but for a few, and bytes of files."""

    lines: int
    file_bytes: int


def size(connection: sqlite3.Connection) -> Size:
    """Return how large an export will be."""
    (lines,) = connection.execute(
        "SELECT (SELECT count(*) FROM log) + (SELECT count(*) FROM latest) + (SELECT count(*) FROM users)"
        " + (SELECT count(*) FROM pointers)"
    ).fetchone()
    (in_files,) = connection.execute(
        "SELECT coalesce(sum(a.size), 0) FROM attachments a JOIN blobs b USING (blob_id)"
        " WHERE b.sha256 IS NOT NULL"
    ).fetchone()
    return Size(int(lines), int(in_files))


def header(connection: sqlite3.Connection, made_at: float, made_by: str) -> records.Export:
    """Return the first line; its source is this database's epoch, which no other database has."""
    return records.Export(
        version=records.VERSION,
        source=f"relay:{read_epoch(connection)}",
        made_at=made_at,
        made_by=made_by,
        reading="records",
    )


def users(connection: sqlite3.Connection, *, credentials: bool) -> Iterator[records.User]:
    """Yield all accounts.

    Args:
        credentials: with the hashes of their passwords.
    """
    rows = connection.execute(
        "SELECT u.user_id, u.display_name, u.role, u.disabled & 1, u.created_at, a.address, p.status, p.text,"
        " p.until, p.last_seen, u.receipts, u.presence_to, u.groups_from, m.visible_from, u.password_hash,"
        " e.user_id IS NOT NULL, u.deleted_at FROM users u LEFT JOIN mail_addresses a USING (user_id)"
        " LEFT JOIN presence p USING (user_id) LEFT JOIN erasures e USING (user_id)"
        " LEFT JOIN members m ON m.channel_id = 1 AND m.user_id = u.user_id ORDER BY u.user_id"
    )
    for row in rows:
        yield records.User(
            user_id=row[0], name=None if row[1] == row[0] else row[1], role=ServerRole(row[2]),
            disabled=bool(row[3]), created_at=row[4], mail=row[5], status=row[6], status_text=row[7],
            status_until=row[8], last_seen=row[9], receipts=bool(row[10]), presence_to=row[11],
            groups_from=row[12], broadcast_from=row[13] or 1, password_hash=row[14] if credentials else None,
            erased=bool(row[15]), deleted_at=row[16],
        )  # fmt: skip


def files(connection: sqlite3.Connection) -> Iterator[tuple[records.Attachment, int]]:
    """Yield all files, each with the blob that has its bytes; `path` is where the export has them."""
    rows = connection.execute(
        "SELECT a.attachment_id, a.user_id, a.name, a.type, a.size, b.sha256, a.created_at, a.blob_id"
        " FROM attachments a JOIN blobs b USING (blob_id) WHERE b.sha256 IS NOT NULL ORDER BY a.attachment_id"
    )
    for row in rows:
        yield records.Attachment(
            attachment_id=row[0], user_id=row[1], name=row[2], type=row[3], size=row[4], sha256=row[5].hex(),
            created_at=row[6], path=f"attachments/{row[0]}",
        ), row[7]  # fmt: skip


def groups(connection: sqlite3.Connection) -> Iterator[records.Group]:
    """Yield all groups, deleted ones as well, with their present and past members."""
    rows = connection.execute(
        "SELECT group_id, channel_id, name, description, history, public, rights, slow_mode_seconds, created_at,"
        " made_by, closed_at, deleted_at FROM groups ORDER BY channel_id"
    )
    for row in rows:
        barred = connection.execute("SELECT user_id FROM barred WHERE channel_id = ? ORDER BY 1", (row[1],))
        yield records.Group(
            group_id=row[0], name=row[2], description=row[3], history=row[4], public=bool(row[5]),
            rights=msgspec.json.decode(row[6]), slow_mode_seconds=row[7], created_at=row[8],
            made_by=row[9] or None, closed_at=row[10], deleted_at=row[11], members=_members(connection, row[1]),
            barred=[name for (name,) in barred],
        )  # fmt: skip


def _members(connection: sqlite3.Connection, channel_id: int) -> list[records.Member]:
    stays: dict[str, list[tuple[int, int]]] = {}
    for user_id, first, last in connection.execute(
        "SELECT user_id, visible_from, visible_until FROM stays WHERE channel_id = ? ORDER BY 1, 2", (channel_id,)
    ):
        stays.setdefault(user_id, []).append((first, last))
    rows = connection.execute(
        "SELECT user_id, role, joined_at, visible_from, visible_until FROM members WHERE channel_id = ?"
        " ORDER BY user_id",
        (channel_id,),
    )
    return [
        records.Member(
            user_id=row[0], role=Role(row[1]), joined_at=row[2], from_seq=row[3], until_seq=row[4],
            stays=stays.get(row[0], []),
        )
        for row in rows
    ]  # fmt: skip


def said(connection: sqlite3.Connection) -> Iterator[records.Said]:
    """Yield all messages and values in the order of their positions."""
    connection.execute(  # a table of this connection alone, as `newest` is sorted by conversation
        "CREATE TEMP TABLE IF NOT EXISTS abouts (message_id INTEGER PRIMARY KEY, about INTEGER NOT NULL)"
    )
    connection.execute("DELETE FROM temp.abouts")
    connection.execute(
        "INSERT INTO temp.abouts SELECT message_id, about FROM newest WHERE about IS NOT NULL ORDER BY 1"
    )
    return heapq.merge(_messages(connection), _values(connection), key=lambda one: int(one.id))


def _messages(connection: sqlite3.Connection) -> Iterator[records.Message]:
    rows = connection.execute(
        "SELECT l.message_id, c.address, l.type, l.sender_id, l.timestamp, l.payload, l.sent_at, l.client_id,"
        " l.own_id, l.target_id, a.about, l.seq, l.edited_at, l.deleted_at, l.removed_by, l.expires_at, l.depth,"
        " l.replaces FROM log l JOIN channels c USING (channel_id) LEFT JOIN temp.abouts a USING (message_id)"
        f" WHERE {_SKIPPED} ORDER BY l.message_id"
    )
    for row in rows:
        record = records.Message(
            **_common(row), seq=row[11], edited_at=row[12], deleted_at=row[13], removed_by=row[14],
            expires_at=row[15], depth=row[16] or 0, replaces=row[17],
        )  # fmt: skip
        if record.edited_at is not None:
            record.versions = _versions(connection, row[0])
        yield record


def _values(connection: sqlite3.Connection) -> Iterator[records.Value]:
    rows = connection.execute(
        "SELECT l.message_id, c.address, l.type, l.sender_id, l.timestamp, l.payload, l.sent_at, l.client_id,"
        " l.own_id, l.target_id, l.about, l.key, l.only_for FROM latest l JOIN channels c USING (channel_id)"
        f" WHERE {_SKIPPED} ORDER BY l.message_id"
    )
    for row in rows:
        yield records.Value(**_common(row), key=row[11], only_for=row[12])


def _common(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return the fields that messages and values share, from the first eleven columns of a row."""
    target = "*" if row[1] == "*" else other_party(row[1], row[3])
    return {
        "id": row[0],
        "conversation": row[1],
        "type": row[2],
        "by": row[3],
        "at": row[4],
        "payload": UNSET if row[5] is None else msgspec.Raw(row[5]),
        "sent_at": row[6],
        "client_id": row[7],
        "own_id": row[8],
        "target_id": None if row[9] == target else row[9],
        "about": row[10],
    }


def _versions(connection: sqlite3.Connection, message_id: int) -> list[records.Version]:
    rows = connection.execute(
        "SELECT until_seq, payload, edited_at FROM versions WHERE message_id = ? ORDER BY until_seq", (message_id,)
    )
    return [
        records.Version(until_seq=row[0], payload=msgspec.json.decode(row[1]), edited_at=row[2]) for row in rows
    ]


def facts(connection: sqlite3.Connection, tables: Iterable[PortableTable]) -> Iterator[records.Record]:
    """Yield what is no message: read pointers, threads, who follows and blocks whom, bans, rows of plugins."""
    yield from _reading(connection)
    for row in connection.execute(
        "SELECT t.root_id, t.user_id, t.follows, l.message_id FROM thread_members t LEFT JOIN log l"
        " ON l.channel_id = t.channel_id AND l.seq = t.read_seq ORDER BY 1, 2"
    ):
        yield records.Thread(root=row[0], user_id=row[1], follows=bool(row[2]), up_to=row[3])
    for row in connection.execute("SELECT user_id, followed_id, since FROM following ORDER BY 1, 2"):
        yield records.Follow(user_id=row[0], other=row[1], at=row[2])
    for row in connection.execute("SELECT user_id, blocked_id, made_at FROM blocks ORDER BY 1, 2"):
        yield records.Block(user_id=row[0], other=row[1], at=row[2])
    for row in connection.execute(
        "SELECT r.user_id, r.kind, r.made_at, r.reason, g.group_id, r.by_user, r.until FROM restrictions r"
        " LEFT JOIN groups g USING (channel_id) WHERE r.channel_id = 0 OR g.group_id IS NOT NULL ORDER BY 3, 1, 2"
    ):
        yield records.Restriction(
            user_id=row[0], kind=row[1], at=row[2], reason=row[3], group=row[4], by=row[5], until=row[6]
        )
    (until,) = connection.execute("SELECT coalesce(max(message_id), 0) FROM log").fetchone()
    for table in sorted(tables, key=lambda one: one.name):
        yield from portable.read(connection, table, until)


def pictures(connection: sqlite3.Connection) -> Iterator[records.Picture]:
    """Yield which file each user or group shows as its picture."""
    for row in connection.execute("SELECT name, attachment_id FROM pictures ORDER BY name"):
        yield records.Picture(of=row[0], attachment_id=row[1])


def _reading(connection: sqlite3.Connection) -> Iterator[records.Record]:
    rows = connection.execute(
        "SELECT c.address, p.user_id, r.message_id, s.message_id, p.spoke FROM pointers p"
        " JOIN channels c USING (channel_id)"
        " LEFT JOIN log r ON r.channel_id = p.channel_id AND r.seq = p.read_seq"
        " LEFT JOIN log s ON s.channel_id = p.channel_id AND s.seq = p.shown_seq"
        f" WHERE {_SKIPPED} ORDER BY c.channel_id, p.user_id"
    )
    for row in rows:
        yield records.Read(
            conversation=row[0], user_id=row[1], up_to=row[2], shown_up_to=row[3], spoke=bool(row[4])
        )
    rows = connection.execute(
        "SELECT user_id, max(coalesce((SELECT message_id FROM log l JOIN channels c USING (channel_id)"
        f" WHERE message_id <= delivered AND {_SKIPPED} ORDER BY message_id DESC LIMIT 1), 0),"
        " coalesce((SELECT max(message_id) FROM latest WHERE message_id <= delivered), 0)) FROM users"
        " WHERE delivered > 0 ORDER BY user_id"
    )
    for user_id, reached in rows:
        if reached:
            yield records.Delivered(user_id=user_id, up_to=reached)
