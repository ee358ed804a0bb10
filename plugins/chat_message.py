"""`chat_message`: what one user says to another."""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import ConversationKind, Draft, Integer, Kind, MessageType, Name, Payload, hookimpl
from relay.plugin.checks import check_attachments, check_reply


class ChatMessage(Payload):
    """Text, with what it answers, what is attached, and what the application adds of its own."""

    content: Annotated[str, Meta(description="the text")]
    attachments: Annotated[list[Name], Meta(max_length=20)] = []
    reply_to: Integer | None = None
    extra: dict[str, Any] | None = None


def prepare(draft: Draft) -> None:
    """Check what the message refers to."""
    check_attachments(draft)
    check_reply(draft)


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `chat_message`."""
    return [
        MessageType(
            name="chat_message",
            payload=ChatMessage,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.USER}),
            priority=20,
            unread=True,
            prepare=prepare,
        )
    ]
