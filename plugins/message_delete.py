"""`message_delete`: a message becomes a tombstone; it keeps its `seq` and loses its payload.

Its author may delete it, in a group those too who have the right `delete_others`, and users their notifications.
"""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    Act,
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
    remove_message,
    require,
)


class MessageDelete(Payload):
    """The message to delete; `kind` is `self` for one of the user's own notifications."""

    message_id: Annotated[Integer, Meta(description="the message")]
    removed: Annotated[
        bool,
        Meta(
            description="whether somebody else than the author removes it; set by the server",
            extra_json_schema={"readOnly": True},
        ),
    ] = False
    kind: Annotated[Literal["self"] | None, Meta(description="`self` for one of the user's notifications")] = None


def prepare(draft: Draft) -> None:
    """Erase the message in the transaction that stores the deletion."""
    message_id = draft.payload.message_id
    if draft.payload.removed:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "removed is the server's to say; leave it out")

    def apply(connection: sqlite3.Connection, entry: Entry) -> str | None:
        message = find_message(connection, entry, message_id, "to delete")
        if not draft.server.message_types.is_deletable(message.type):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {message.type} cannot be deleted")
        others = message.sender_id != entry.sender_id
        if others:
            require(draft.sender.identity, Act.DELETE_OTHERS, draft.conversation)
        removed = others and draft.conversation.kind is ConversationKind.GROUP
        if removed:
            erased = remove_message(connection, message_id, entry.timestamp, entry.sender_id)
        else:
            erased = bool(erase_messages(connection, [message_id], entry.timestamp))
        if not erased:
            raise RelayError(ErrorCode.FORBIDDEN, "this message is kept; nobody can delete it now")
        return draft.type.write(MessageDelete(message_id=message_id, removed=True)) if removed else None

    draft.apply = apply


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
            act=Act.DELETE,
            prepare=prepare,
        )
    ]
