"""`message_edit`: an author gives a message another content.

The message itself is rewritten in the edit's transaction, so history, search and replay show it as it now is.
Of several edits of one message only the newest keeps its text: late or out of order, they agree.
"""

import sqlite3
from typing import Any

import msgspec

from relay.plugin import Draft, ErrorCode, Integer, Kind, MessageType, Payload, RelayError, hookimpl
from relay.plugin.checks import Mentions, check_mentions, find_message
from relay.storage import mentions, messages
from relay.storage.log import Entry


class MessageEdit(Payload):
    """Which message, and what it says from now on; without `mentions` it keeps its own."""

    message_id: Integer
    content: str
    mentions: Mentions | None = None


def prepare(draft: Draft) -> None:
    """Have the message rewritten in the edit's own transaction."""
    edit: MessageEdit = draft.payload
    if edit.mentions:
        check_mentions(draft, edit.mentions)

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, edit.message_id, "to edit")
        known = draft.server.registry.types.get(message.type)
        if known is None or not known.editable:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be edited")
        if message.sender_id != entry.sender_id:
            raise RelayError(ErrorCode.FORBIDDEN, "only its author may edit a message")
        payload: dict[str, Any] = msgspec.json.decode(message.payload)
        payload["content"] = edit.content
        if edit.mentions is not None:
            payload["mentions"] = edit.mentions
            mentions.forget(connection, entry.channel_id, message.seq)
            mentions.note(connection, entry.channel_id, message.seq, edit.mentions)
        messages.rewrite(connection, message.message_id, known.write(payload), entry.timestamp)

    draft.apply = apply


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `message_edit`."""
    return [
        MessageType(
            name="message_edit",
            payload=MessageEdit,
            kind=Kind.STREAM,
            priority=30,
            deletable=False,
            collapse=lambda edit: str(edit.message_id),
            about=lambda edit: edit.message_id,
            prepare=prepare,
        )
    ]
