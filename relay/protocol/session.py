"""The states of a connection, as a table: what is welcome in each of them, and what leads from one to the next.

    GREETING ── hello ──▶ JOINING ── ready ──▶ REPLAYING ── synced ──▶ LIVE
                                                   ▲                    │
                                                   └────── behind ──────┘
    any of them ── end ──▶ CLOSED

While replaying a client may already send; acks and live messages wait until `synced`, because both
move the client's cursor and must not move it past what the replay still owes. The table has every
transition there is: nothing but `advance` says which state comes next, and a test reads the code for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from relay.protocol.envelope import Integer, Name, describe
from relay.protocol.errors import ErrorCode, RelayError


class State(StrEnum):
    """The state of a connection."""

    GREETING = "greeting"
    """No hello has come; nothing else is welcome."""

    JOINING = "joining"
    """The hello has come. Who it speaks for, and what the device missed, is being looked up."""

    REPLAYING = "replaying"
    """What the device missed is being sent; what is new waits."""

    LIVE = "live"
    """What is new is sent at once."""

    CLOSED = "closed"
    """The end is decided; a close frame may still be on its way."""


class Step(StrEnum):
    """A step from one state to the next."""

    HELLO = "hello"
    """The client's hello came."""

    READY = "ready"
    """The server knows who it is, and answers `ready`."""

    SYNCED = "synced"
    """The replay is over."""

    BEHIND = "behind"
    """The client lost something that it was sent, and gets another replay."""

    END = "end"
    """Either side, or the network, ends the connection."""


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


_AFTER_HELLO: Final = {Event.ACK, Event.HEARTBEAT, Event.GOODBYE, Event.ACTIVE, Event.INACTIVE}

WELCOME: Final[dict[State, set[Event]]] = {
    State.GREETING: {Event.HELLO},
    State.JOINING: _AFTER_HELLO,
    State.REPLAYING: _AFTER_HELLO,
    State.LIVE: _AFTER_HELLO,
    State.CLOSED: set(),
}
"""The connection events that a client may send in each state."""

NEXT: Final[dict[tuple[State, Step], State]] = {
    (State.GREETING, Step.HELLO): State.JOINING,
    (State.JOINING, Step.READY): State.REPLAYING,
    (State.REPLAYING, Step.SYNCED): State.LIVE,
    (State.LIVE, Step.BEHIND): State.REPLAYING,
    **{(state, Step.END): State.CLOSED for state in State},
    # A lookup or a replay may finish after the end was decided. What is closed stays closed.
    **{(State.CLOSED, step): State.CLOSED for step in Step},
}
"""Every transition; a pair that is not here cannot happen."""

READY: Final = (State.LIVE, State.REPLAYING)
"""The states in which the client speaks for its user."""


class ConnectionEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The payload of a client's `connection_event`."""

    event: Event
    token: Annotated[str | None, describe("of a hello: who this is, unless the upgrade's head says it")] = None
    session_id: Annotated[Name | None, describe("of a hello: as `ready` gave it the last time")] = None
    cursor: Annotated[Integer | None, describe("the highest position that the client has processed")] = None
    epoch: Annotated[Name | None, describe("of a hello: which database the cursor is of")] = None
    extra: Annotated[dict[str, Any] | None, describe("the application's own")] = None


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


def advance(state: State, step: Step) -> State:
    """Return the state after a step.

    Raises:
        ValueError: the table has no such step; a fault of the server's own.
    """
    after = NEXT.get((state, step))
    if after is None:
        raise ValueError(f"a connection that is {state} does not take the step {step}")
    return after


class Progress:
    """The progress of a client, by the cursors of its heartbeats; it shows whether the client lost something.

    Attributes:
        announced: the position of the last heartbeat that the client was sent.
    """

    __slots__ = ("_answered", "_replayed_from", "announced")

    def __init__(self) -> None:
        self.announced = 0
        self._answered: int | None = None
        self._replayed_from: int | None = None

    def is_stuck(self, cursor: int) -> bool:
        """Note the cursor of a client's heartbeat; tell whether it needs a replay from there."""
        stands_still, self._answered = cursor == self._answered, cursor
        # A client that works slowly through its messages moves between two heartbeats, and is left alone. So is
        # one that was given a replay from this very position and stays there: it counts in some way of its own.
        return stands_still and cursor < self.announced and cursor != self._replayed_from

    def replay_from(self, cursor: int) -> None:
        """Note that a replay begins after a cursor."""
        self._replayed_from = cursor
