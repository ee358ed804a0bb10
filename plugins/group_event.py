"""`group_event`: what happened to a group; sent by the server, one for each change."""

from typing import Any, Literal

from relay.plugin import ConversationKind, Kind, MessageType, Name, Payload, Role, hookimpl


class GroupEvent(Payload):
    """What happened, and to whom; who did it is the envelope's sender."""

    event: Literal["created", "renamed", "member_added", "member_removed", "role_changed", "deleted"]
    name: str | None = None
    user_id: Name | None = None
    role: Role | None = None
    members: list[dict[str, str]] | None = None


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
