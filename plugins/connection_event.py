"""`connection_event`: a connection's own life; hello, heartbeats, acks, goodbye.

The session handles these itself (`relay/protocol/session.py` is the table); this registers the schema.
"""

from typing import Any

from relay.plugin import ConnectionEvent, Kind, MessageType, hookimpl


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `connection_event`."""
    return [
        MessageType(
            name="connection_event", payload=ConnectionEvent, kind=Kind.TRANSIENT, targets=frozenset(), priority=0
        )
    ]
