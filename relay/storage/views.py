"""Views for people who ask the database by SQL: columns that stay, whatever the tables become.

docs/operate/sql.md describes them; a column is never renamed or removed, other than in views of another number.
They are no step of the schema: they are made anew where their text has changed, and taken away before a step runs,
as SQLite refuses to change a column that a view names.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.storage import audit

PREFIX: Final = "v1_"


def _iso(column: str) -> str:
    """Return SQL for a time, Unix seconds, as text of ISO 8601 in UTC."""
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, 'unixepoch')"


_GROUP: Final = "CASE WHEN c.kind = 'group' THEN substr(c.address, 7) END"
_SHOWN: Final = f"c.address <> '{audit.ADDRESS}' AND c.address NOT LIKE 'gone:%'"

VIEWS: Final = {
    "v1_users": f"""
        SELECT u.user_id, u.display_name AS name, u.role,
            CASE WHEN e.user_id IS NOT NULL THEN 'erased' WHEN u.deleted_at IS NOT NULL THEN 'deleted'
                WHEN u.disabled & 2 THEN 'banned' WHEN u.disabled THEN 'disabled' ELSE 'active' END AS state,
            {_iso("u.created_at")} AS created_at, {_iso("p.last_seen")} AS last_seen_at
        FROM users u LEFT JOIN erasures e USING (user_id) LEFT JOIN presence p USING (user_id)
    """,
    "v1_groups": f"""
        SELECT g.group_id, 'group:' || g.group_id AS conversation, g.name, g.description, g.public,
            g.made_by, {_iso("g.created_at")} AS created_at, {_iso("g.closed_at")} AS closed_at,
            {_iso("g.deleted_at")} AS deleted_at
        FROM groups g
    """,
    "v1_members": f"""
        SELECT g.group_id, m.user_id, m.role, {_iso("m.joined_at")} AS joined_at
        FROM members m JOIN groups g USING (channel_id)
        WHERE m.visible_until IS NULL AND g.deleted_at IS NULL
    """,
    "v1_messages": f"""
        SELECT l.message_id, c.address AS conversation, c.kind, {_GROUP} AS group_id, l.seq, l.type, l.sender_id,
            {_iso("l.timestamp")} AS at,
            coalesce(l.payload ->> 'content', l.payload ->> 'body', l.payload ->> 'title') AS text,
            l.payload ->> 'reply_to' AS reply_to, l.payload ->> 'thread' AS thread,
            {_iso("l.edited_at")} AS edited_at, {_iso("l.deleted_at")} AS deleted_at, l.removed_by, l.payload
        FROM log l JOIN channels c USING (channel_id) WHERE {_SHOWN}
    """,
    "v1_reactions": f"""
        SELECT l.about AS message_id, l.sender_id AS user_id, l.payload ->> 'emoji' AS emoji,
            {_iso("l.timestamp")} AS at
        FROM latest l WHERE l.type = 'reaction' AND l.payload ->> 'on'
    """,
    "v1_mentions": """
        SELECT l.message_id, m.user_id FROM mentions m JOIN log l USING (channel_id, seq)
    """,
    "v1_attachments": f"""
        SELECT a.attachment_id, h.message_id, a.user_id, a.name, a.type, a.size, lower(hex(b.sha256)) AS sha256,
            {_iso("a.created_at")} AS created_at
        FROM attachments a JOIN blobs b USING (blob_id) LEFT JOIN holds h USING (attachment_id)
    """,
    "v1_reads": f"""
        SELECT c.address AS conversation, p.user_id, p.read_seq
        FROM pointers p JOIN channels c USING (channel_id) WHERE {_SHOWN}
    """,
    "v1_audit": f"""
        SELECT a.message_id AS entry_id, {_iso("a.at")} AS at, a.act, a.by AS by_user, a.kind, a.about
        FROM audit_entries a
    """,
}
"""The query of each view, by its name."""


def drop(connection: sqlite3.Connection) -> None:
    """Take the views away, before a step of the schema changes the tables below them."""
    for name in _there(connection):
        connection.execute(f'DROP VIEW "{name}"')


def create(connection: sqlite3.Connection) -> None:
    """Make the views that are missing, or were another version's; a view that relay has no more is taken away."""
    there = _there(connection)
    wanted = {name: f"CREATE VIEW {name} AS {' '.join(query.split())}" for name, query in VIEWS.items()}
    if there == wanted:
        return
    drop(connection)
    for statement in wanted.values():
        connection.execute(statement)


def _there(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute(f"SELECT name, sql FROM sqlite_master WHERE type = 'view' AND name GLOB '{PREFIX}*'")
    return dict(rows.fetchall())
