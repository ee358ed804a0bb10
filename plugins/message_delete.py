"""`message_delete`: a message becomes a tombstone; it keeps its `seq` and loses its payload.

Its author may delete it, in a group the owner and the admins too, and every user their own notifications.
"""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageType,
    Payload,
    RelayError,
    erase_messages,
    find_message,
    hookimpl,
    is_group_admin,
)


class MessageDelete(Payload):
    """The message to delete; `kind` is `self` for one of the user's own notifications."""

    message_id: Annotated[Integer, Meta(description="the message")]
    kind: Annotated[Literal["self"] | None, Meta(description="`self` for one of the user's notifications")] = None


def prepare(draft: Draft) -> None:
    """Erase the message in the transaction that stores the deletion."""
    message_id = draft.payload.message_id

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, message_id, "to delete")
        known = draft.server.message_types.types.get(message.type)
        if known is not None and not (known.from_clients and known.deletable):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be deleted")
        if message.sender_id != entry.sender_id and not may_delete_others(draft):
            raise RelayError(
                ErrorCode.FORBIDDEN, "only its author, or an admin of the group, may delete a message"
            )
        if not erase_messages(connection, [message_id], entry.timestamp):
            raise RelayError(ErrorCode.FORBIDDEN, "this message is kept; nobody can delete it now")

    draft.apply = apply


def may_delete_others(draft: Draft) -> bool:
    """Return whether the sender may delete messages of other people in the conversation."""
    conversation, sender = draft.conversation, draft.sender
    if conversation.kind is ConversationKind.SELF:
        return sender.user_id in conversation.members or sender.identity.admin
    if conversation.kind is ConversationKind.BROADCAST:
        return sender.identity.admin
    return is_group_admin(sender.user_id, conversation)


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `message_delete`."""
    return [
        MessageType(
            name="message_delete",
            payload=MessageDelete,
            kind=Kind.STREAM,
            targets=frozenset(ConversationKind),
            priority=30,
            deletable=False,
            prepare=prepare,
        )
    ]
