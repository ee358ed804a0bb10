"""`ack` and `error`: the server's one answer to each message."""

from typing import Any

from relay.plugin import Ack, Error, Kind, MessageType, hookimpl


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `ack` and `error`."""
    return [
        MessageType(
            name=name, payload=payload, kind=Kind.TRANSIENT, targets=frozenset(), priority=0, from_clients=False
        )
        for name, payload in (("ack", Ack), ("error", Error))
    ]
