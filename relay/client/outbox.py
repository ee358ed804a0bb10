"""The messages that have no answer yet, in the order they were written.

Contract:
    A message leaves the outbox by an ack or a final refusal; one that is not kept, also with its connection.
    MUST NOT reorder: the next message to the wire is always the oldest one that is not on it; but those of a type
    that a group's slow mode holds back hold no others.
    MUST NOT block: `add` refuses when full; waiting for room is the caller's choice.
    With a state file a message is on disk before it is on the wire.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import trio

from relay.client.errors import OutboxFull, RelayClosed, RelayError, RelayOffline
from relay.client.events import Ack
from relay.client.pending import PendingSend
from relay.protocol.errors import BUSY, ErrorCode

_OTHER_RETRIES: Final = 5
"""Tries after a refusal that may pass and is not among BUSY."""


@dataclass(slots=True)
class Message:
    """One message in the outbox.

    Attributes:
        number: its place in the order of writing.
        keep: whether it stays when its connection breaks.
        saved: whether it may go to the wire: it is in the state file, or needs none.
        refusals: how often the server refused it for the moment.
    """

    number: int
    id: str
    frame: str
    target_id: str | None
    keep: bool = True
    saved: bool = False
    refusals: int = 0
    on_wire: bool = False
    pending: PendingSend = field(init=False)

    def __post_init__(self) -> None:
        self.pending = PendingSend(self.id)


class Outbox:
    """The unanswered messages of one client.

    Args:
        capacity: the most messages it holds.
        in_flight: the most messages on the wire.
        durable: whether there is a state file.
        delay: returns the seconds to wait after so many refusals.
        on_unsaved: called when there is something to write to the state file.
    """

    def __init__(
        self,
        *,
        capacity: int,
        in_flight: int,
        durable: bool,
        delay: Callable[[int], float],
        on_unsaved: Callable[[], None],
    ) -> None:
        self._capacity = capacity
        self._max_in_flight = in_flight
        self._durable = durable
        self._delay = delay
        self._on_unsaved = on_unsaved
        self._messages: dict[str, Message] = {}
        self._waiting: list[tuple[int, str]] = []  # a heap, for the wire
        self._unsaved: dict[int, Message] = {}  # for the state file
        self._answered: list[int] = []  # to be removed from it
        self._next_number = 1
        self._on_wire = 0
        self._window = in_flight  # at present; see `refused`
        self._hold_until = 0.0
        self._slow: dict[tuple[str, str | None], float] = {}  # until when slow mode holds a type to a target
        self._held: list[tuple[int, str]] = []  # of the messages on their way to the wire, those that it holds
        self._closed: RelayClosed | None = None
        self.changed = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._messages)

    def get(self, id: str) -> Message | None:
        """Return the unanswered message with this id, or None."""
        return self._messages.get(id)

    def restore(self, saved: Iterable[Message]) -> None:
        """Add the messages that an earlier process left, oldest first."""
        for message in saved:
            message.saved = True
            message.pending.mark_saved()
            self._messages[message.id] = message
            self._next_number = max(self._next_number, message.number + 1)
        self.begin()

    def add(self, id: str, frame: str, target_id: str | None, *, keep: bool) -> PendingSend:
        """Append a message, and return what its sender waits on.

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
            self._on_unsaved()
        else:
            self._ready(message)
        return message.pending

    async def wait_room(self) -> None:
        """Wait until `add` has room."""
        while len(self._messages) >= self._capacity and self._closed is None:
            await self.changed.park()

    async def wait_empty(self) -> None:
        """Wait until every message has its answer.

        Raises:
            RelayClosed: The client was closed first.
        """
        while self._messages and self._closed is None:
            await self.changed.park()
        if self._messages and self._closed is not None:
            raise self._closed

    # ---- to the wire

    def begin(self) -> None:
        """Start again on a new connection: every unanswered message is sent again, oldest first."""
        for message in self._messages.values():
            message.on_wire = False
        self._on_wire = 0
        self._held = []
        self._waiting = [(m.number, m.id) for m in self._messages.values() if m.saved]
        heapq.heapify(self._waiting)
        self.changed.unpark_all()

    def lost(self) -> None:
        """Fail the messages that are not kept when their connection breaks."""
        for message in [m for m in self._messages.values() if not m.keep]:
            self._drop(message)
            message.pending.fail(RelayOffline("the connection broke before the answer came"))

    def limit(self, in_flight: int) -> None:
        """Lower the number of messages on the wire to the server's own limit."""
        self._window = self._max_in_flight = min(self._max_in_flight, in_flight)

    async def next_to_send(self) -> Message:
        """Wait until a message may go to the wire, and return the oldest one; it then counts as on the wire."""
        while True:
            now = trio.current_time()
            self._end_slow(now)
            until = min(self._slow.values(), default=math.inf)
            if self._waiting and self._on_wire < self._window:
                if now >= self._hold_until:
                    waiting = heapq.heappop(self._waiting)
                    message = self._messages.get(waiting[1])
                    if message is None:
                        continue
                    if self._slow and _kind_of(message) in self._slow:
                        self._held.append(waiting)
                        continue
                    message.on_wire = True
                    self._on_wire += 1
                    return message
                until = self._hold_until
            with trio.move_on_at(until):
                await self.changed.park()

    def _end_slow(self, now: float) -> None:
        """Let go on what slow mode held until now; what it still holds is held again."""
        ended = [kind for kind, until in self._slow.items() if until <= now]
        if ended:
            for kind in ended:
                del self._slow[kind]
            self._waiting += self._held
            self._held = []
            heapq.heapify(self._waiting)

    # ---- answers

    def acked(self, id: str, ack: Ack) -> None:
        """Answer a message with its ack; an unknown id was answered before."""
        message = self._messages.get(id)
        if message is not None:
            self._window = min(self._max_in_flight, self._window * 2)
            self._drop(message)
            message.pending.resolve(ack)

    def refused(self, id: str, error: RelayError) -> None:
        """Answer a message with its refusal, or hold everything and try again from the oldest message on.

        After a refusal that may pass, one message at a time is sent, and twice as many with each ack: sixty-four
        more would only be refused too, or overtake the refused one. A refusal by a group's slow mode holds
        messages of the same type to the same target, and no others.
        """
        message = self._messages.get(id)
        if message is None:
            return
        message.refusals += 1
        try_again = error.code in BUSY or message.refusals <= _OTHER_RETRIES
        if not (error.retry and try_again and message.keep):
            self._drop(message)
            message.pending.fail(error)
            return
        wait = error.retry_after if error.retry_after is not None else self._delay(message.refusals - 1)
        until = trio.current_time() + wait
        if (error.details or {}).get("reason") == "slow_mode":
            self._slow[_kind_of(message)] = until
        else:
            self._hold_until = max(self._hold_until, until)
            self._window = 1
        if message.on_wire:
            message.on_wire = False
            self._on_wire -= 1
            heapq.heappush(self._waiting, (message.number, message.id))
        self.changed.unpark_all()

    def refuse_largest(self, reason: str) -> None:
        """Fail the largest message on the wire: the server closed the connection because of it."""
        suspects = [m for m in self._messages.values() if m.on_wire]
        if suspects:
            culprit = max(suspects, key=lambda m: len(m.frame.encode()))
            self._drop(culprit)
            culprit.pending.fail(
                RelayError(ErrorCode.TOO_LARGE, reason or "the server accepts no frame of this size")
            )

    def close(self, closed: RelayClosed) -> None:
        """Fail all that wait; kept messages stay in the state file."""
        self._closed = closed
        for message in self._messages.values():
            message.pending.fail(closed)
        self.changed.unpark_all()

    # ---- to the state file

    def unwritten(self) -> tuple[list[Message], list[int]]:
        """Return what the state file lacks: messages to add, and numbers to remove."""
        return list(self._unsaved.values()), list(self._answered)

    def written(self, added: Iterable[Message], removed: Iterable[int]) -> None:
        """Take note of what was written to the state file."""
        for message in added:
            self._unsaved.pop(message.number, None)
            message.saved = True
            message.pending.mark_saved()
            if message.id in self._messages:
                self._ready(message)
            elif message.number not in self._answered:
                self._answered.append(message.number)
        gone = set(removed)
        self._answered = [number for number in self._answered if number not in gone]

    def _ready(self, message: Message) -> None:
        message.saved = True
        message.pending.mark_saved()
        heapq.heappush(self._waiting, (message.number, message.id))
        self.changed.unpark_all()

    def _drop(self, message: Message) -> None:
        del self._messages[message.id]
        if message.on_wire:
            self._on_wire -= 1
        if self._durable and message.keep and self._unsaved.pop(message.number, None) is None:
            self._answered.append(message.number)
            self._on_unsaved()
        self.changed.unpark_all()


def _kind_of(message: Message) -> tuple[str, str | None]:
    """Return what slow mode holds together: the type of a message, and its target."""
    return msgspec.json.decode(message.frame)["type"], message.target_id
