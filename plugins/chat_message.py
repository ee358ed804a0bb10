"""`chat_message`: what one user says to another."""

from typing import Any

from relay.plugin import ConversationKind, Kind, MessageType, Text, check_text, hookimpl


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `chat_message`."""
    return [
        MessageType(
            name="chat_message",
            payload=Text,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.USER}),
            priority=20,
            unread=True,
            editable=True,
            search_text=lambda text: text.content,
            prepare=check_text,
        )
    ]
