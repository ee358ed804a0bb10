"""`group_event`: a change of a group; the server sends one for each."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import ConversationKind, Kind, MessageType, Name, Payload, Role, hookimpl


class GroupEvent(Payload):
    """The change and the user it is about; the envelope's sender made it."""

    event: Annotated[
        Literal[
            "created",
            "renamed",
            "member_added",
            "member_removed",
            "role_changed",
            "changed",
            "deleted",
            "member_timed_out",
            "timeout_lifted",
            "member_banned",
            "ban_lifted",
        ],
        Meta(description="what happened"),
    ]
    name: Annotated[str | None, Meta(description="the group's name, when it is created or renamed")] = None
    user_id: Annotated[Name | None, Meta(description="the user whom the change is about")] = None
    role: Annotated[Role | None, Meta(description="the user's role from now on")] = None
    picture: Annotated[
        Name | None, Meta(description="when it is changed: the attachment that the group shows, or null for none")
    ] = None
    description: Annotated[str | None, Meta(description="when it is changed: what the group is for")] = None
    public: Annotated[
        bool | None, Meta(description="when it is changed, or created so: whether everybody may join")
    ] = None
    rights: Annotated[
        dict[str, str] | None,
        Meta(description="when they are changed: who has each right of the group from now on"),
    ] = None
    closed: Annotated[
        bool | None, Meta(description="when it is changed: whether nobody may write in the group from now on")
    ] = None
    slow_mode_seconds: Annotated[
        int | None,
        Meta(description="when it is changed: the seconds between two messages of a plain member; 0 for none"),
    ] = None
    banned: Annotated[bool, Meta(description="of a removal: whether the user may not come back")] = False
    until: Annotated[
        float | None, Meta(description="when a timeout or a ban ends by itself, Unix seconds; without it, never")
    ] = None
    reason: Annotated[str | None, Meta(description="why, of a timeout or a ban")] = None
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
