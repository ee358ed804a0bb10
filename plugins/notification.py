"""`notification`: a notice to a user, a group or everybody, from admins, tokens with scope `notify` or plugins."""

import sqlite3
from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import (
    NOTIFY,
    Actions,
    ConversationKind,
    Draft,
    Entry,
    Kind,
    MessageType,
    Name,
    Payload,
    check_future,
    hookimpl,
)


class Notification(Payload):
    """A notice that holds until `expires_at` (Unix seconds), or until a newer one with the same `collapse_key`."""

    title: Annotated[str, Meta(min_length=1, max_length=200, description="one line")]
    body: Annotated[Annotated[str, Meta(max_length=10_000)] | None, Meta(description="text below the title")] = (
        None
    )
    level: Annotated[
        Literal["info", "success", "warning", "error"] | None, Meta(description="how serious it is")
    ] = None
    data: Annotated[dict[str, Any] | None, Meta(description="data of the application's own")] = None
    expires_at: Annotated[
        Annotated[float, Meta(ge=0, le=2**53)] | None, Meta(description="when it expires, Unix seconds")
    ] = None
    collapse_key: Annotated[
        Name | None, Meta(description="it replaces an older one of the same sender and key")
    ] = None
    actions: Annotated[Actions | None, Meta(description="buttons, selects and forms below it")] = None


def prepare(draft: Draft) -> None:
    """Set the message's expiry from its payload."""
    draft.expires_at = draft.payload.expires_at
    if draft.expires_at is not None:
        draft.apply = _check_time


def _check_time(_connection: sqlite3.Connection, entry: Entry) -> None:
    check_future("expires_at", entry.expires_at, entry)


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
