"""`audit_event`: an entry of the audit log; the server writes it, and sends it to nobody."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import ConversationKind, Kind, MessageType, Payload, ServerRole, hookimpl


class AboutWhat(Payload):
    """The thing or person that an act is about."""

    kind: Annotated[str, Meta(description="what it is, such as `user` or `group`")]
    id: str


class AuditEvent(Payload):
    """An act of somebody who administers the server."""

    act: Annotated[str, Meta(description="an area and what was done: `user.disabled`")]
    by: Annotated[str | None, Meta(description="the user; null for the operator, and for a plugin by itself")]
    role: Annotated[ServerRole | None, Meta(description="the user's role on the server at that time")]
    about: AboutWhat | None
    details: Annotated[dict[str, Any], Meta(description="what was before and after, a reason; no secrets")]
    address: Annotated[str, Meta(description="where the request came from; empty where it is not known or kept")]
    client: Annotated[str, Meta(description="the device or program")]
    way: Annotated[
        Literal["rest", "command line", "socket", "plugin"], Meta(description="what the act came in by")
    ]


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `audit_event`."""
    return [
        MessageType(
            name="audit_event",
            payload=AuditEvent,
            kind=Kind.STREAM,
            targets=frozenset({ConversationKind.SELF}),
            priority=50,
            from_clients=False,
            deletable=False,
        )
    ]
