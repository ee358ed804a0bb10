"""Connection events as the server sends them; `relay.protocol.session` has those of clients."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from relay.protocol.envelope import said
from relay.protocol.session import Event


class Limits(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the server takes of this client; 0 means no limit."""

    frame_bytes: Annotated[int, said("the largest frame")]
    content_characters: Annotated[int, said("the longest `content`")]
    messages_per_second: Annotated[float, said("of one user, on average")]
    in_flight: Annotated[int, said("messages that may wait for their answer before the server stops reading")]
    replay: Annotated[int, said("the most stream messages of one replay")]


class ServerEvent(msgspec.Struct, tag_field="event", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The base of what the server says of a connection."""


class Ready(ServerEvent, tag=Event.READY.value):
    """The answer to a hello; the replay follows."""

    user_id: str
    session_id: Annotated[str, said("lasts over connections and restarts, one a device")]
    client_id: Annotated[str, said("the device's own id, made up here when the hello had none")]
    resumed: Annotated[bool, said("whether the replay begins at the client's own cursor")]
    cursor: Annotated[int, said("where the replay begins")]
    epoch: Annotated[str, said("names the life of the database")]
    heartbeat_seconds: Annotated[float, said("the server speaks at least so often; silence of twice that ends it")]
    limits: Limits
    server: Annotated[str, said("name and version")]


class GapRange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a limited replay left out of one conversation, to be fetched by REST."""

    kind: Annotated[str, said("what the conversation is: `user`, `group`, `self` or `broadcast`")]
    target_id: str
    from_seq: int
    to_seq: int


class Synced(ServerEvent, tag=Event.SYNCED.value):
    """The replay is over; from here on everything is live."""

    cursor: Annotated[int, said("the client's cursor from now on")]
    replayed: Annotated[int, said("how many messages the replay brought")]
    limited: Annotated[bool, said("whether it left some out, which `gaps` names")]
    gaps: list[GapRange]


class Heartbeat(ServerEvent, tag=Event.HEARTBEAT.value):
    """The server is here; the client answers with its own cursor."""

    cursor: Annotated[int, said("the highest position that this connection was sent")]
    behind: Annotated[bool, said("the client missed something: a replay and `synced` follow")] = False


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
"""What the server sends as `connection_event`, by its `event`."""
