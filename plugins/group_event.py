"""`group_event`: a change of a group; the server sends one for each."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import ConversationKind, Kind, MessageType, Name, Payload, Role, hookimpl


class GroupEvent(Payload):
    """The change and the user it is about; the envelope's sender made it."""

    event: Annotated[
        Literal["created", "renamed", "member_added", "member_removed", "role_changed", "deleted"],
        Meta(description="what happened"),
    ]
    name: Annotated[str | None, Meta(description="the group's name, when it is created or renamed")] = None
    user_id: Annotated[Name | None, Meta(description="the user whom the change is about")] = None
    role: Annotated[Role | None, Meta(description="the user's role from now on")] = None
    members: Annotated[
        list[dict[str, str]] | None, Meta(description="when it is created: `user_id` and `role` of each member")
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
