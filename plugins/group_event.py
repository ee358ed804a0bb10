"""`group_event`: what happened to a group; sent by the server, one for each change."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import ConversationKind, Kind, MessageType, Name, Payload, Role, hookimpl


class GroupEvent(Payload):
    """What happened, and to whom; who did it is the envelope's sender."""

    event: Annotated[
        Literal["created", "renamed", "member_added", "member_removed", "role_changed", "deleted"],
        Meta(description="what happened"),
    ]
    name: Annotated[str | None, Meta(description="of what was created or renamed: the group's name")] = None
    user_id: Annotated[Name | None, Meta(description="whom it happened to")] = None
    role: Annotated[Role | None, Meta(description="what they are now")] = None
    members: Annotated[
        list[dict[str, str]] | None, Meta(description="of what was created: `user_id` and `role` of each")
    ] = None


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `group_event`."""
    return [
        MessageType(
            name="group_event",
            payload=GroupEvent,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.GROUP}),
            priority=30,
            from_clients=False,
        )
    ]
