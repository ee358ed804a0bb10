"""`group_message`: what a member says in a group."""

from typing import Any

from relay.plugin import ConversationKind, Kind, MessageType, Text, check_text, hookimpl


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `group_message`."""
    return [
        MessageType(
            name="group_message",
            payload=Text,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.GROUP}),
            priority=30,
            unread=True,
            editable=True,
            search_text=lambda text: text.content,
            prepare=check_text,
        )
    ]
