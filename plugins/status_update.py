"""`status_update`: the status a user chooses to show; `offline` makes them invisible.

The message itself goes to the user's own devices. The presence service combines it with the state of the devices
and tells the followers.
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
    check_future,
    choose_status,
    hookimpl,
)

Seconds = Annotated[float, Meta(ge=0, le=2**53)] | None


class StatusUpdate(Payload):
    """A status with a text, until a time (Unix seconds); only the server sets `last_seen`."""

    status: Annotated[
        Literal["online", "away", "busy", "offline", "unknown"],
        Meta(description="`offline` is invisible; only the server sets `unknown`"),
    ]
    text: Annotated[Annotated[str, Meta(max_length=200)] | None, Meta(description="shown with it")] = None
    until: Annotated[Seconds, Meta(description="when it ends, Unix seconds")] = None
    last_seen: Annotated[Seconds, Meta(description="when they were here last; only the server sets it")] = None


def prepare(draft: Draft) -> None:
    """Store the choice in the transaction that stores the message."""
    chosen: StatusUpdate = draft.payload
    if chosen.status == "unknown" or chosen.last_seen is not None:
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD, "a status_update's unknown and last_seen are the server's to say"
        )

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        check_future("until", chosen.until, entry)
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
