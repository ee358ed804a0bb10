"""`typing_indicator`: a user is writing; it ends after six seconds, with a message, or when the device goes."""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Kind, MessageType, Payload, hookimpl

LASTS_SECONDS = 6.0


class TypingIndicator(Payload):
    """A sign that the sender is typing, or has stopped."""

    typing: Annotated[bool, Meta(description="false when the sender has stopped")]


def over(indicator: TypingIndicator) -> TypingIndicator | None:
    """Return the indicator that is sent when no further one comes in time."""
    return TypingIndicator(typing=False) if indicator.typing else None


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `typing_indicator`."""
    return [
        MessageType(
            name="typing_indicator",
            payload=TypingIndicator,
            kind=Kind.TRANSIENT,
            priority=0,
            lasts_seconds=LASTS_SECONDS,
            over=over,
        )
    ]
