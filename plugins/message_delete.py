"""`message_delete`: a message becomes a tombstone; it keeps its `seq` and loses its payload.

Its author may, in a group also the owner and the admins, and everybody among the notifications to themself.
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
    Role,
    erase_messages,
    find_message,
    hookimpl,
)


class MessageDelete(Payload):
    """Which message; `kind` is `self` for one among a user's own notifications."""

    message_id: Annotated[Integer, Meta(description="the message")]
    kind: Annotated[Literal["self"] | None, Meta(description="`self` for one's notifications")] = None


def prepare(draft: Draft) -> None:
    """Have the message erased in the deletion's own transaction."""
    message_id = draft.payload.message_id

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, message_id, "to delete")
        known = draft.server.message_types.types.get(message.type)
        if known is not None and not (known.from_clients and known.deletable):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be deleted")
        if message.sender_id != entry.sender_id and not presides(draft):
            raise RelayError(
                ErrorCode.FORBIDDEN, "only its author, or an admin of the group, may delete a message"
            )
        if not erase_messages(connection, [message_id], entry.timestamp):
            raise RelayError(ErrorCode.FORBIDDEN, "this message is kept; nobody can delete it now")

    draft.apply = apply


def presides(draft: Draft) -> bool:
    """Tell whether the sender may delete what others wrote."""
    role = draft.conversation.members.get(draft.sender.user_id)
    if draft.conversation.kind is ConversationKind.GROUP:
        return role in (Role.OWNER, Role.ADMIN)
    if draft.conversation.kind is ConversationKind.SELF:
        return role is not None or draft.sender.identity.admin
    return draft.conversation.kind is ConversationKind.BROADCAST and draft.sender.identity.admin


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
