"""`ack` and `error`: the server's one answer to each message."""

from typing import Any

from relay.plugin import ErrorCode, Kind, MessageType, Payload, hookimpl


class Ack(Payload):
    """The message was done; where it was stored, the commit is on disk."""

    timestamp: float
    duplicate: bool
    message_id: int | None = None
    seq: int | None = None
    replaces: int | None = None


class Error(Payload):
    """The message was refused; `retry` tells whether the same one may succeed later."""

    code: ErrorCode
    message: str
    retry: bool
    retry_after: float | None = None
    details: dict[str, Any] | None = None


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `ack` and `error`."""
    return [
        MessageType(
            name=name, payload=payload, kind=Kind.TRANSIENT, targets=frozenset(), priority=0, from_clients=False
        )
        for name, payload in (("ack", Ack), ("error", Error))
    ]
