"""A connection's life as a table: which frames are welcome when, and what state they lead to.

    GREETING ── hello ──▶ REPLAYING ── synced ──▶ LIVE ── goodbye, close ──▶ CLOSED
                              ▲                    │
                              └──── is behind ─────┘

While replaying a client may already send; acks and live messages wait until `synced`, because both
move the client's cursor and must not move it past what the replay still owes. The table below is all
there is to know; the transport feeds it and does what it says.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from relay.protocol.envelope import Integer, Name, said
from relay.protocol.errors import ErrorCode, RelayError


class State(StrEnum):
    """Where a connection stands."""

    GREETING = "greeting"
    REPLAYING = "replaying"
    LIVE = "live"
    CLOSED = "closed"


class Event(StrEnum):
    """The `event` of a `connection_event`, as clients and server send it."""

    HELLO = "hello"
    READY = "ready"
    SYNCED = "synced"
    ACK = "ack"
    HEARTBEAT = "heartbeat"
    GOODBYE = "goodbye"
    ACTIVE = "active"
    INACTIVE = "inactive"
    DEVICE_CONNECTED = "device_connected"
    DEVICE_DISCONNECTED = "device_disconnected"


_AT_WORK: Final = {Event.ACK, Event.HEARTBEAT, Event.GOODBYE, Event.ACTIVE, Event.INACTIVE}

WELCOME: Final[dict[State, set[Event]]] = {
    State.GREETING: {Event.HELLO},
    State.REPLAYING: _AT_WORK,
    State.LIVE: _AT_WORK,
    State.CLOSED: set(),
}
"""The connection events that a client may send in each state."""

NEXT: Final[dict[tuple[State, Event], State]] = {
    (State.GREETING, Event.HELLO): State.REPLAYING,
    (State.REPLAYING, Event.SYNCED): State.LIVE,
    (State.REPLAYING, Event.GOODBYE): State.CLOSED,
    (State.LIVE, Event.GOODBYE): State.CLOSED,
}
"""The transitions; an event that is welcome and not here leaves the state as it is."""


class ConnectionEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The payload of a client's `connection_event`."""

    event: Event
    token: Annotated[str | None, said("of a hello: who this is, unless the upgrade's head says it")] = None
    session_id: Annotated[Name | None, said("of a hello: as `ready` gave it the last time")] = None
    cursor: Annotated[Integer | None, said("the highest position that the client has processed")] = None
    epoch: Annotated[Name | None, said("of a hello: which database the cursor is of")] = None
    extra: Annotated[dict[str, Any] | None, said("the application's own")] = None


def check_welcome(state: State, event: Event) -> None:
    """Refuse a connection event that does not belong in this state.

    Raises:
        RelayError: `bad_envelope`, naming what would be right.
    """
    if event not in WELCOME[state]:
        expected = ", ".join(sorted(WELCOME[state])) or "nothing: the connection is over"
        raise RelayError(ErrorCode.BAD_ENVELOPE, f"{event} is not expected now; expected: {expected}")


def check_may_send(state: State) -> None:
    """Refuse a message before the hello.

    Raises:
        RelayError: `bad_envelope`.
    """
    if state is State.GREETING:
        raise RelayError(
            ErrorCode.BAD_ENVELOPE,
            'the first frame is {"type":"connection_event","payload":{"event":"hello","token":"…"}}',
        )


def advance(state: State, event: Event) -> State:
    """Return the state after `event`."""
    return NEXT.get((state, event), state)
