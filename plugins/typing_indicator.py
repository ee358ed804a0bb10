"""`typing_indicator`: somebody is writing; over after six seconds, by a message, or when the device goes."""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Kind, MessageType, Payload, hookimpl

LASTS_SECONDS = 6.0


class TypingIndicator(Payload):
    """Whether somebody is typing."""

    typing: Annotated[bool, Meta(description="false ends it")]


def over(indicator: TypingIndicator) -> TypingIndicator | None:
    """Return what is told when nobody says anything more."""
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
