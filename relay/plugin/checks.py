"""Checks and moves that several message types share; each sets or runs in the message's own transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from relay.plugin.types import Draft, Payload
from relay.protocol.envelope import Integer, Name
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage import conversations, history
from relay.storage.log import Entry, Unchanged


class Text(Payload):
    """What people say: text, what it answers, what is attached, and what the application adds of its own."""

    content: str
    attachments: Annotated[list[Name], Meta(max_length=20)] = []
    reply_to: Integer | None = None
    extra: dict[str, Any] | None = None


def check_text(draft: Draft) -> None:
    """Check what a `Text` refers to."""
    check_attachments(draft)
    check_reply(draft)


def check_reply(draft: Draft) -> None:
    """Have `reply_to` checked in the transaction: a message that stands in the same conversation."""
    reply_to: int | None = draft.payload.reply_to
    if reply_to is None:
        return

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        found = history.locate(connection, [reply_to])
        if not found or found[0].channel_id != entry.channel_id:
            raise not_found(f"message {reply_to} to reply to in this conversation")

    draft.apply = apply


def check_attachments(draft: Draft) -> None:
    """Refuse attachments that are not there.

    Raises:
        RelayError: `not_found`.
    """
    if draft.payload.attachments:
        raise not_found(f"attachment {draft.payload.attachments[0]!r}")


def move_read_pointer(
    connection: sqlite3.Connection,
    entry: Entry,
    up_to_seq: int | None,
    message_ids: Sequence[int] | None,
    *,
    shown: bool,
) -> int:
    """Move the sender's read pointer forward and return where it is.

    Raises:
        Unchanged: it is there already.
        RelayError: `not_found` for messages of another conversation; `invalid_payload` beyond the newest.
    """
    if message_ids is not None:
        found = history.locate(connection, list(message_ids))
        if not found or any(message.channel_id != entry.channel_id for message in found):
            raise not_found("message among these in this conversation")
        up_to_seq = max(message.seq for message in found)
    newest = history.newest_seq(connection, entry.channel_id)
    if up_to_seq is None or up_to_seq > newest:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, f"up_to_seq is {up_to_seq}, but the newest message is {newest}"
        )
    if not conversations.move_read(connection, entry.channel_id, entry.sender_id, up_to_seq, shown=shown):
        raise Unchanged
    return up_to_seq
