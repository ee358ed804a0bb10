"""`notification`: what a user, a group or everybody is told, by admins, tokens with scope `notify`, plugins."""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    NOTIFY,
    ConversationKind,
    Draft,
    Entry,
    Kind,
    MessageType,
    Name,
    Payload,
    check_to_come,
    hookimpl,
)


class Notification(Payload):
    """What is told, until `expires_at` (Unix seconds), or until a newer one of the same `collapse_key`."""

    title: Annotated[str, Meta(min_length=1, max_length=200, description="one line")]
    body: Annotated[Annotated[str, Meta(max_length=10_000)] | None, Meta(description="what it says below")] = None
    level: Annotated[
        Literal["info", "success", "warning", "error"] | None, Meta(description="how it is meant")
    ] = None
    data: Annotated[dict[str, Any] | None, Meta(description="the application's own")] = None
    expires_at: Annotated[
        Annotated[float, Meta(ge=0, le=2**53)] | None, Meta(description="when it is over, Unix seconds")
    ] = None
    collapse_key: Annotated[
        Name | None, Meta(description="it takes the place of an older one of the same sender and key")
    ] = None


def prepare(draft: Draft) -> None:
    """Let it expire when it says."""
    draft.expires_at = draft.payload.expires_at
    if draft.expires_at is not None:
        draft.apply = _check_time


def _check_time(_connection: sqlite3.Connection, entry: Entry) -> None:
    check_to_come("expires_at", entry.expires_at, entry)


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `notification`."""
    return [
        MessageType(
            name="notification",
            payload=Notification,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.SELF, ConversationKind.GROUP, ConversationKind.BROADCAST}),
            priority=10,
            scope=NOTIFY,
            unread=True,
            collapse=lambda notification: notification.collapse_key,
            prepare=prepare,
        )
    ]
