"""`follow`: be told of other users' presence from now on, on all of one's devices; the ack brings how they are.

One who is not there does not spoil the others: the ack names them. When nobody is, it is an error.
"""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Draft, Kind, MessageType, Name, Payload, SeenStatus, hookimpl, not_found


class Follow(Payload):
    """Whom to follow, or no longer."""

    user_ids: Annotated[list[Name], Meta(min_length=1, max_length=200, description="whom")]
    follow: Annotated[bool, Meta(description="true to be told, false to be told no longer")]


class Followed(Payload):
    """How they are at present, and who is not there, or not the follower's to find."""

    statuses: list[SeenStatus]
    unknown: list[Name]


async def handle(draft: Draft) -> None:
    """Follow, and answer with the present statuses."""
    wanted: Follow = draft.payload
    user_id = draft.sender.user_id
    presence = draft.server.services.presence
    statuses, unknown = await presence.follow(user_id, wanted.user_ids, follow=wanted.follow)
    if not statuses:
        raise not_found(f"user {unknown[0]!r}")
    draft.answer = {"statuses": statuses, "unknown": unknown}
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
