"""The messages that still want an answer, in the order they were written.

Contract:
    A message leaves only by an ack, a refusal for good, or, if it is not to be kept, with its connection.
    MUST NOT reorder: what goes to the wire is always the oldest message not on it.
    MUST NOT block: `add` refuses when full; waiting for room is the caller's choice.
    With a state file a message is on disk before it is on the wire.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from relay.client.errors import OutboxFull, RelayClosed, RelayError, RelayOffline
from relay.client.events import Ack
from relay.client.ticket import Ticket

_PASSING = frozenset({"rate_limited", "overloaded"})
_OTHER_RETRIES = 5


@dataclass(slots=True)
class Message:
    """One message in the outbox; `number` is its place in the order of writing."""

    number: int
    id: str
    frame: str
    target_id: str | None
    keep: bool = True
    saved: bool = False
    refusals: int = 0
    on_wire: bool = False
    ticket: Ticket = field(init=False)

    def __post_init__(self) -> None:
        self.ticket = Ticket(self.id)


class Outbox:
    """Keeps, orders and answers for the messages of one client."""

    def __init__(self, *, capacity: int, in_flight: int, durable: bool, delay: Callable[[int], float]) -> None:
        self._capacity = capacity
        self._most_in_flight = in_flight
        self._durable = durable
        self._delay = delay
        self._messages: dict[str, Message] = {}
        self._waiting: list[tuple[int, str]] = []
        self._unsaved: dict[int, Message] = {}
        self._answered: list[int] = []
        self._next_number = 1
        self._on_wire = 0
        self._window = in_flight
        self._hold_until = 0.0
        self._closed: RelayClosed | None = None
        self.changed = trio.lowlevel.ParkingLot()
        self.on_unsaved: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, id: str) -> Message | None:
        """Find a message that still waits for its answer."""
        return self._messages.get(id)

    def restore(self, saved: Iterable[Message]) -> None:
        """Take over the messages a former process left, oldest first."""
        for message in saved:
            message.saved = True
            message.ticket.mark_saved()
            self._messages[message.id] = message
            self._next_number = max(self._next_number, message.number + 1)
        self.begin()

    def add(self, id: str, frame: str, target_id: str | None, *, keep: bool) -> Ticket:
        """Append a message.

        Raises:
            OutboxFull: There is no room.
            RelayClosed: The client is closed.
        """
        if self._closed is not None:
            raise self._closed
        if len(self._messages) >= self._capacity:
            raise OutboxFull(f"{self._capacity} messages already wait for their answer")
        message = Message(self._next_number, id, frame, target_id, keep)
        self._next_number += 1
        self._messages[id] = message
        if self._durable and keep:
            self._unsaved[message.number] = message
            self.on_unsaved()
        else:
            self._ready(message)
        return message.ticket

    async def wait_room(self) -> None:
        """Wait until `add` has room."""
        while len(self._messages) >= self._capacity and self._closed is None:
            await self.changed.park()

    async def wait_empty(self) -> None:
        """Wait until every message has its answer."""
        while self._messages and self._closed is None:
            await self.changed.park()
        if self._messages and self._closed is not None:
            raise self._closed

    # ---- towards the wire

    def begin(self) -> None:
        """Start over on a new connection: everything without an answer is to be sent again, oldest first."""
        for message in self._messages.values():
            message.on_wire = False
        self._on_wire = 0
        self._waiting = [(m.number, m.id) for m in self._messages.values() if m.saved]
        heapq.heapify(self._waiting)
        self.changed.unpark_all()

    def lost(self) -> None:
        """Fail what is not kept beyond its connection."""
        for message in [m for m in self._messages.values() if not m.keep]:
            self._drop(message)
            message.ticket.fail(RelayOffline("the connection broke before the answer came"))

    def limit(self, in_flight: int) -> None:
        """Follow the server's own limit of unanswered messages, when it is the lower one."""
        self._window = self._most_in_flight = min(self._most_in_flight, in_flight)

    async def next_to_send(self) -> Message:
        """Wait for the oldest message that may go to the wire now, and count it as being there."""
        while True:
            now = trio.current_time()
            if self._waiting and self._on_wire < self._window:
                if now >= self._hold_until:
                    message = self._messages.get(heapq.heappop(self._waiting)[1])
                    if message is None:
                        continue
                    message.on_wire = True
                    self._on_wire += 1
                    return message
                with trio.move_on_at(self._hold_until):
                    await self.changed.park()
            else:
                await self.changed.park()

    # ---- answers

    def acked(self, id: str, ack: Ack) -> None:
        """Resolve a message; an id that is not here was answered before."""
        message = self._messages.get(id)
        if message is not None:
            self._window = min(self._most_in_flight, self._window * 2)
            self._drop(message)
            message.ticket.resolve(ack)

    def refused(self, id: str, error: RelayError) -> None:
        """Fail a message for good, or hold everything and try again from the oldest on.

        After a refusal that passes, the window starts again at one and doubles with each ack: sixty-four more
        messages would only be refused too, or slip past the refused one.
        """
        message = self._messages.get(id)
        if message is None:
            return
        message.refusals += 1
        patient = error.code in _PASSING or message.refusals <= _OTHER_RETRIES
        if not (error.retry and patient and message.keep):
            self._drop(message)
            message.ticket.fail(error)
            return
        wait = error.retry_after if error.retry_after is not None else self._delay(message.refusals - 1)
        self._hold_until = max(self._hold_until, trio.current_time() + wait)
        self._window = 1
        if message.on_wire:
            message.on_wire = False
            self._on_wire -= 1
            heapq.heappush(self._waiting, (message.number, message.id))
        self.changed.unpark_all()

    def refuse_largest(self, reason: str) -> None:
        """Fail the largest message on the wire, which the server closed the connection for."""
        suspects = [m for m in self._messages.values() if m.on_wire]
        if suspects:
            culprit = max(suspects, key=lambda m: len(m.frame.encode()))
            self._drop(culprit)
            culprit.ticket.fail(RelayError("too_large", reason or "the server takes no frame of this size"))

    def close(self, closed: RelayClosed) -> None:
        """Answer everybody who still waits; kept messages stay in the state file."""
        self._closed = closed
        for message in self._messages.values():
            message.ticket.fail(closed)
        self.changed.unpark_all()

    # ---- towards the disk

    def unwritten(self) -> tuple[list[Message], list[int]]:
        """Give what the state file lacks: messages to add, and numbers to remove."""
        return list(self._unsaved.values()), list(self._answered)

    def written(self, added: Iterable[Message], removed: Iterable[int]) -> None:
        """Note what the state file now has."""
        for message in added:
            self._unsaved.pop(message.number, None)
            message.saved = True
            message.ticket.mark_saved()
            if message.id in self._messages:
                self._ready(message)
            elif message.number not in self._answered:
                self._answered.append(message.number)
        gone = set(removed)
        self._answered = [number for number in self._answered if number not in gone]

    def _ready(self, message: Message) -> None:
        message.saved = True
        message.ticket.mark_saved()
        heapq.heappush(self._waiting, (message.number, message.id))
        self.changed.unpark_all()

    def _drop(self, message: Message) -> None:
        del self._messages[message.id]
        if message.on_wire:
            self._on_wire -= 1
        if self._durable and message.keep and self._unsaved.pop(message.number, None) is None:
            self._answered.append(message.number)
            self.on_unsaved()
        self.changed.unpark_all()
