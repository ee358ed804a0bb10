"""`connection_event`: the events of one connection: hello, heartbeats, acks, goodbye.

The session handles them itself (`relay/protocol/session.py` has the table); this plugin registers the schema.
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
