"""Attachments: see the functions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from relay.protocol.errors import not_found


def check(connection: sqlite3.Connection, user_id: str, attachment_ids: Sequence[str]) -> None:
    """Refuse what is not there."""
    for attachment_id in attachment_ids:
        raise not_found(f"attachment {attachment_id!r}")


def hold(connection: sqlite3.Connection, message_id: int, attachment_ids: Sequence[str]) -> None:
    """Note that a message holds attachments."""
