"""`reaction`: an emoji on a message, on or off; the newest of each (message, emoji, sender) counts."""

import sqlite3
import unicodedata
from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Draft, ErrorCode, Integer, Kind, MessageType, Payload, RelayError, hookimpl
from relay.plugin.checks import find_message
from relay.storage.log import Entry


class Reaction(Payload):
    """Which message, which emoji, and whether it is there."""

    message_id: Annotated[Integer, Meta(description="the message")]
    emoji: Annotated[str, Meta(min_length=1, max_length=64, description="an emoji, or a name without spaces")]
    on: Annotated[bool, Meta(description="whether it is there from now on")]


def prepare(draft: Draft) -> None:
    """Check the emoji, and have the message looked up in the reaction's transaction."""
    reaction: Reaction = draft.payload
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zs", "Zl", "Zp") for character in reaction.emoji):
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "emoji is an emoji, or a name without spaces")

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        find_message(connection, entry, reaction.message_id, "to react to")

    draft.apply = apply


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `reaction`."""
    return [
        MessageType(
            name="reaction",
            payload=Reaction,
            kind=Kind.LATEST,
            priority=40,
            key=lambda reaction: f"{reaction.message_id} {reaction.emoji}",
            about=lambda reaction: reaction.message_id,
            prepare=prepare,
        )
    ]
