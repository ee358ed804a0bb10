"""Everything that is kept of one account, read a page at a time: the same that its erasure would erase."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from relay.storage import leaving, messages
from relay.storage.history import LATEST_RECORD, Record

_PROFILE: Final = (
    "SELECT u.user_id, u.display_name, u.role, u.created_at, u.presence_to, u.groups_from, u.receipts,"
    " m.address AS mail_address, p.status, p.text AS status_text, p.until AS status_until, p.last_seen,"
    " i.attachment_id AS picture FROM users u LEFT JOIN mail_addresses m USING (user_id)"
    " LEFT JOIN presence p USING (user_id) LEFT JOIN pictures i ON i.name = u.user_id WHERE u.user_id = ?"
)
_LISTS: Final = {
    "groups": "SELECT g.group_id, g.name, m.role, m.joined_at FROM members m JOIN groups g USING (channel_id)"
    " WHERE m.user_id = ? AND m.visible_until IS NULL AND g.deleted_at IS NULL ORDER BY g.group_id",
    "devices": "SELECT client_id, agent, created_at, seen_at FROM devices WHERE user_id = ? ORDER BY client_id",
    "tokens": "SELECT token_id, origin, label, scopes, created_at, expires_at FROM tokens WHERE user_id = ?"
    " ORDER BY created_at",
    "follows": "SELECT followed_id AS user_id, since FROM following WHERE user_id = ? ORDER BY 1",
    "blocks": "SELECT blocked_id AS user_id, made_at FROM blocks WHERE user_id = ? ORDER BY 1",
    "reports": "SELECT message_id, reason, text, at FROM reporters WHERE user_id = ? ORDER BY message_id",
    "restrictions": "SELECT kind, reason, made_at, until FROM restrictions WHERE user_id = ? ORDER BY made_at",
    "invitations": "SELECT label, role, created_at, expires_at, uses_left FROM invites WHERE created_by = ?"
    " ORDER BY created_at",
}
"""What else is kept of an account, by name; never a password, a token or a code, nor a hash of one."""


class File(NamedTuple):
    """An upload of the account's, and the number of its bytes' rows."""

    attachment_id: str
    name: str
    type: str
    size: int
    sha256: bytes
    created_at: float
    blob_id: int


def account(connection: sqlite3.Connection, user_id: str) -> dict[str, Any] | None:
    """Return an account as JSON values: the profile, and lists of what belongs to it; None if there is none."""
    found = _dicts(connection.execute(_PROFILE, (user_id,)))
    if not found:
        return None
    lists = {name: _dicts(connection.execute(sql, (user_id,))) for name, sql in _LISTS.items()}
    return found[0] | {"receipts": bool(found[0]["receipts"])} | lists


def _dicts(rows: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]


def said(
    connection: sqlite3.Connection, user_id: str, position: int, limit: int, max_bytes: int
) -> tuple[list[Record], int | None]:
    """Return messages of a user, or to them alone, after a position, and the position reached; None at the end."""
    found, reached = leaving.said_after(connection, user_id, position, limit)
    read = messages.read_first(connection, found, max_bytes)
    if read.taken < len(found):
        reached = found[read.taken - 1]
    return list(read.found.values()), reached


def latest(connection: sqlite3.Connection, user_id: str, position: int, limit: int) -> list[Record]:
    """Return latest values of a user, or for them alone, after a position: reactions, votes, receipts."""
    rows = connection.execute(
        f"SELECT {LATEST_RECORD} FROM latest"
        " WHERE channel_id IN (SELECT channel_id FROM members WHERE user_id = ?1)"
        " AND ?1 IN (sender_id, only_for) AND message_id > ?2 ORDER BY message_id LIMIT ?3",
        (user_id, position, limit),
    )
    return [Record(*row) for row in rows]


def files(
    connection: sqlite3.Connection, user_id: str, after: str, limit: int, only: str | None = None
) -> list[File]:
    """Return a page of a user's uploads, by their ids, or only one of them."""
    rows = connection.execute(
        "SELECT a.attachment_id, a.name, a.type, a.size, b.sha256, a.created_at, a.blob_id FROM attachments a"
        " JOIN blobs b USING (blob_id) WHERE a.user_id = ? AND a.attachment_id > ?"
        " AND a.attachment_id = coalesce(?, a.attachment_id) ORDER BY a.attachment_id LIMIT ?",
        (user_id, after, only, limit),
    )
    return [File(*row) for row in rows]
