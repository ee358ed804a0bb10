"""Pictures of users and groups: an uploaded image that a profile or a group shows, and who may see it.

Users and groups share one namespace, so a name has one picture at most. A picture is kept as long as it is shown,
counts towards the quota of who uploaded it, and is collected like any other file afterwards.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage import attachments, directory
from relay.storage.attachments import Attachment

MAX_PICTURE_BYTES: Final = 1 << 20
"""The size of the largest picture. A page draws some forty pixels of it, for everybody who sees the name."""

PICTURE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"})


def check(connection: sqlite3.Connection, user_id: str, attachment_id: str) -> None:
    """Check that a user may show a file as a picture: an upload of their own, an image, and not too large.

    Raises:
        RelayError: `not_found`; `invalid_payload` for another type; `too_large`.
    """
    found = attachments.find(connection, user_id, attachment_id)
    if found is None or found.user_id != user_id:
        raise not_found(f"attachment {attachment_id!r} among your own uploads")
    if found.type not in PICTURE_TYPES:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            f"a picture is a PNG, JPEG, WebP, GIF or AVIF file; this one is {found.type}",
            details={"field": "picture", "reason": "picture_type"},
        )
    if found.size > MAX_PICTURE_BYTES:
        raise RelayError(
            ErrorCode.TOO_LARGE,
            f"a picture has at most {MAX_PICTURE_BYTES} bytes; this one has {found.size}",
            details={"field": "picture", "reason": "picture_too_large", "max_bytes": MAX_PICTURE_BYTES},
        )


def show(connection: sqlite3.Connection, name: str, attachment_id: str | None, by: str) -> None:
    """Have a user or group show a picture; None for none. The file shown before is released.

    Args:
        by: the user who uploaded it.

    Raises:
        RelayError: as `check`.
    """
    if attachment_id is None:
        connection.execute("DELETE FROM pictures WHERE name = ?", (name,))
        return
    check(connection, by, attachment_id)
    connection.execute(
        "INSERT INTO pictures (name, attachment_id) VALUES (?1, ?2)"
        " ON CONFLICT (name) DO UPDATE SET attachment_id = ?2",
        (name, attachment_id),
    )
    # What was in use once is collected as soon as nothing uses it any more.
    connection.execute("UPDATE attachments SET held = 1 WHERE attachment_id = ?", (attachment_id,))


def of(connection: sqlite3.Connection, name: str) -> str | None:
    """Return the attachment that a user or group shows as its picture, or None."""
    row = connection.execute("SELECT attachment_id FROM pictures WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def find(connection: sqlite3.Connection, viewer: str, attachment_id: str, *, shared: bool) -> Attachment | None:
    """Return an attachment that is a picture of somebody whom the viewer may know, or of a group.

    Of the groups, those that the viewer is in, and public ones.

    Args:
        shared: whether the directory holds only users whom the viewer has met.
    """
    rows = connection.execute(
        "SELECT p.name, n.kind, a.user_id FROM pictures p JOIN names n USING (name)"
        " JOIN attachments a USING (attachment_id) WHERE p.attachment_id = ?",
        (attachment_id,),
    ).fetchall()
    for name, kind, owner in rows:
        if _may_see(connection, viewer, name, kind, shared=shared):
            return attachments.find(connection, owner, attachment_id)
    return None


def _may_see(connection: sqlite3.Connection, viewer: str, name: str, kind: str, *, shared: bool) -> bool:
    if kind == "user":
        return directory.may_name(connection, viewer, name, shared=shared)
    row = connection.execute(
        "SELECT 1 FROM groups g LEFT JOIN members m ON m.channel_id = g.channel_id AND m.user_id = ?2"
        " AND m.visible_until IS NULL WHERE g.group_id = ?1 AND g.deleted_at IS NULL"
        " AND (g.public = 1 OR m.user_id IS NOT NULL)",
        (name, viewer),
    ).fetchone()
    return row is not None
