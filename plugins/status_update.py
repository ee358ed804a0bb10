"""`status_update`: what a user wants others to see of them; `offline` makes them invisible.

The message itself goes to the user's own devices. Followers are told by the presence service, which joins it
with what the devices say.
"""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    Draft,
    Entry,
    ErrorCode,
    Kind,
    MessageType,
    Payload,
    RelayError,
    check_to_come,
    choose_status,
    hookimpl,
)

Seconds = Annotated[float, Meta(ge=0, le=2**53)] | None


class StatusUpdate(Payload):
    """What to show, with a text, and until when (Unix seconds); `last_seen` is the server's to say."""

    status: Annotated[
        Literal["online", "away", "busy", "offline", "unknown"],
        Meta(description="`offline` is invisible; `unknown` is the server's to say"),
    ]
    text: Annotated[Annotated[str, Meta(max_length=200)] | None, Meta(description="shown with it")] = None
    until: Annotated[Seconds, Meta(description="when it ends, Unix seconds")] = None
    last_seen: Annotated[Seconds, Meta(description="the server's to say: when they were here last")] = None


def prepare(draft: Draft) -> None:
    """Have the choice kept in the message's own transaction."""
    chosen: StatusUpdate = draft.payload
    if chosen.status == "unknown" or chosen.last_seen is not None:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, "a status_update's unknown and last_seen are the server's to say"
        )

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        check_to_come("until", chosen.until, entry)
        choose_status(connection, entry.sender_id, chosen.status, chosen.text, chosen.until)

    draft.apply = apply


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `status_update`."""
    return [
        MessageType(
            name="status_update",
            payload=StatusUpdate,
            kind=Kind.LATEST,
            targets=frozenset(),
            priority=40,
            prepare=prepare,
        )
    ]
