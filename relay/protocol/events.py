"""Connection events as the server sends them. Those of clients are in `relay.protocol.session`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from relay.protocol.envelope import describe
from relay.protocol.session import Event


class Limits(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The limits that the server holds this client to; 0 means no limit."""

    frame_bytes: Annotated[int, describe("the largest frame")]
    content_characters: Annotated[int, describe("the longest `content`")]
    messages_per_second: Annotated[float, describe("of one user, on average")]
    in_flight: Annotated[int, describe("messages that may wait for their answer before the server stops reading")]
    replay: Annotated[int, describe("the most stream messages of one replay")]
    attachment_bytes: Annotated[int, describe("the largest file that can be uploaded")]


class ServerEvent(msgspec.Struct, tag_field="event", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of the server's connection events."""


class Ready(ServerEvent, tag=Event.READY.value):
    """The answer to a hello; the replay follows."""

    user_id: str
    session_id: Annotated[str, describe("lasts over connections and restarts, one a device")]
    client_id: Annotated[str, describe("the device's own id, made up here when the hello had none")]
    resumed: Annotated[bool, describe("whether the replay begins at the client's own cursor")]
    cursor: Annotated[int, describe("where the replay begins")]
    epoch: Annotated[str, describe("names the life of the database")]
    heartbeat_seconds: Annotated[
        float, describe("the server speaks at least so often; silence of twice that ends it")
    ]
    limits: Limits
    server: Annotated[str, describe("name and version")]


class GapRange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A range of one conversation that a limited replay left out, to be fetched by REST."""

    kind: Annotated[str, describe("what the conversation is: `user`, `group`, `self` or `broadcast`")]
    target_id: str
    from_seq: int
    to_seq: int


class Synced(ServerEvent, tag=Event.SYNCED.value):
    """The replay is over; from here on everything is live."""

    cursor: Annotated[int, describe("the client's cursor from now on")]
    replayed: Annotated[int, describe("how many messages the replay brought")]
    limited: Annotated[bool, describe("whether it left some out, which `gaps` names")]
    gaps: list[GapRange]


class Heartbeat(ServerEvent, tag=Event.HEARTBEAT.value):
    """The server is here; the client answers with its own cursor."""

    cursor: Annotated[int, describe("the highest position that this connection was sent")]
    behind: Annotated[bool, describe("the client missed something: a replay and `synced` follow")] = False


class DeviceConnected(ServerEvent, tag=Event.DEVICE_CONNECTED.value):
    """Another device of the same user is here."""

    client_id: str


class DeviceDisconnected(ServerEvent, tag=Event.DEVICE_DISCONNECTED.value):
    """Another device of the same user is gone."""

    client_id: str


SERVER_EVENTS: Final[dict[Event, type[Any]]] = {
    Event.READY: Ready,
    Event.SYNCED: Synced,
    Event.HEARTBEAT: Heartbeat,
    Event.DEVICE_CONNECTED: DeviceConnected,
    Event.DEVICE_DISCONNECTED: DeviceDisconnected,
}
"""The payloads of the server's `connection_event`, by their `event`."""
