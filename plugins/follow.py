"""`follow`: subscribes all of a user's devices to other users' presence; the ack has their present statuses.

An unknown user does not spoil the others: the ack names the unknown ones. If all are unknown, it is an error.
"""

from typing import Annotated, Any

from msgspec import Meta

from relay.plugin import Draft, Kind, MessageType, Name, Payload, SeenStatus, hookimpl, not_found


class Follow(Payload):
    """Users to follow, or to stop following."""

    user_ids: Annotated[list[Name], Meta(min_length=1, max_length=200, description="whom")]
    follow: Annotated[bool, Meta(description="true to follow, false to stop following")]


class Followed(Payload):
    """The present statuses, and the users who do not exist or whom the follower may not find."""

    statuses: list[SeenStatus]
    unknown: list[Name]


async def handle(draft: Draft) -> None:
    """Follow the users, and answer with their present statuses."""
    wanted: Follow = draft.payload
    user_id = draft.sender.user_id
    statuses, unknown = await draft.server.presence.follow(user_id, wanted.user_ids, follow=wanted.follow)
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
