"""`follow`: be told of other users' presence from now on, on all of one's devices; the ack brings how they are."""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Draft, Kind, MessageType, Name, Payload, hookimpl
from relay.services.statuses import SeenStatus


class Follow(Payload):
    """Whom to follow, or no longer."""

    user_ids: Annotated[list[Name], Meta(min_length=1, max_length=200, description="whom")]
    follow: Annotated[bool, Meta(description="true to be told, false to be told no longer")]


class Followed(Payload):
    """How they are at present."""

    statuses: list[SeenStatus]


async def handle(draft: Draft) -> None:
    """Follow, and answer with the present statuses."""
    wanted: Follow = draft.payload
    user_id = draft.sender.user_id
    statuses = await draft.server.services.presence.follow(user_id, wanted.user_ids, follow=wanted.follow)
    draft.answer = {"statuses": statuses}
    draft.only_sender = True


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `follow`."""
    return [
        MessageType(
            name="follow",
            payload=Follow,
            kind=Kind.TRANSIENT,
            targets=frozenset(),
            priority=0,
            answer=Followed,
            handle=handle,
        )
    ]
