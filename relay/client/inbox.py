"""The events that wait for the application, and the cursor that follows what it has processed.

Contract:
    MUST NOT block: the connection's reader also brings acks. A full inbox drops what it is offered and leaves
    the cursor where it is; once the application has caught up, a resume brings the dropped events again.
    Each stored event is delivered once: by its message id, over reconnects, and over restarts with a state file.
    Live messages, acks and `synced` move the cursor, and only when everything before them is processed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import trio

from relay.client.events import Event
from relay.protocol.session import Event as ConnectionEvent

_REMEMBERED: Final = 65_536
"""So many ids of delivered messages are known, to tell what comes twice."""


@dataclass(slots=True)
class _Entry:
    event: Event
    size: int
    position: int | None  # of the cursor, once this and everything before it is processed
    done: bool = False
    stale: bool = False  # of a log that was replaced: its id means another message now


class Inbox:
    """A bounded queue of events.

    Args:
        cursor: the position up to which everything is processed; None at a first start.
        taken: the ids processed ahead of the cursor.
        max_events: bound on the events that are not processed.
        max_bytes: bound on the bytes of their frames.
    """

    def __init__(self, *, cursor: int | None, taken: Iterable[int], max_events: int, max_bytes: int) -> None:
        self.cursor = cursor
        self.changed = trio.lowlevel.ParkingLot()  # who waits for an event
        self.moved = trio.lowlevel.ParkingLot()  # who waits for the cursor
        self.overflowed = False
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queue: deque[_Entry] = deque()
        self._delivered: deque[_Entry] = deque()
        self._seen: dict[int, None] = dict.fromkeys(taken)
        self._taken_unwritten: list[int] = []

    def __len__(self) -> int:
        return len(self._queue)

    # ---- from the connection

    def begin(self) -> None:
        """Accept events again: a new connection brings everything after the cursor once more."""
        self.overflowed = False

    def restart(self) -> None:
        """Forget all positions: the server has another log now, and its numbers mean other messages."""
        self.cursor = None
        self._seen.clear()
        self._taken_unwritten.clear()
        for entry in (*self._delivered, *self._queue):
            entry.position = None
            entry.stale = True
        self.moved.unpark_all()

    def offer(self, event: Event, *, size: int, position: int | None) -> None:
        """Queue an event, unless it was delivered before or there is no room."""
        id = event.message_id
        if id is not None and (id in self._seen or self._is_past(event, id)):
            self.mark(position)
            return
        if self.overflowed or self._is_full(size):
            self.overflowed = True
            return
        if id is not None:
            self._remember(id)
        self._append(_Entry(event, size, position))

    def announce(self, ready: Event, *, size: int) -> None:
        """Queue a `ready`, also over the bound, so that no reset goes unseen; it replaces one just before it."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last.event.event == ConnectionEvent.READY:
            if last.event.payload.get("resumed") is not False:
                last.event = ready
            return
        self._append(_Entry(ready, size, None))

    def mark(self, position: int | None) -> None:
        """Move the cursor to `position` as soon as everything queued so far is processed."""
        if position is None or self.overflowed:
            return  # the cursor must not pass events that were dropped
        pending = self._queue or self._delivered
        if pending:
            pending[-1].position = max(pending[-1].position or 0, position)
        else:
            self._move(position)

    def remember(self, id: int) -> None:
        """Count a message as delivered, so that no replay brings it: one of this client's own that was acked."""
        self._remember(id)

    # ---- to the application

    def take(self) -> Event | None:
        """Return the next event, or None when there is none now."""
        if not self._queue:
            return None
        entry = self._queue.popleft()
        if entry.event.message_id is None and entry.event.cursor is None:
            entry.done = True
        self._delivered.append(entry)
        self._settle()
        return entry.event

    def processed(self, upto: int | None = None) -> None:
        """Count delivered events as processed: all of them, or those at a position up to `upto`."""
        for entry in self._delivered:
            cursor = entry.event.cursor
            if not entry.done and (upto is None or (cursor is not None and cursor <= upto)):
                entry.done = True
                self._note_taken(entry)
        self._settle()

    @property
    def caught_up(self) -> bool:
        """Whether events were dropped, and there is room again for those that a resume brings."""
        return self.overflowed and not self._queue and len(self._delivered) * 2 <= self._max_events

    # ---- to the state file

    def unwritten(self) -> list[int]:
        """Return the ids processed ahead of the cursor, in a replay, that are not in the state file yet."""
        return list(self._taken_unwritten)

    def written(self, taken: Iterable[int]) -> None:
        """Take note of the ids that were written to the state file."""
        known = set(taken)
        self._taken_unwritten = [id for id in self._taken_unwritten if id not in known]

    def _append(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._bytes += entry.size
        self.changed.unpark_all()

    def _is_past(self, event: Event, id: int) -> bool:
        # Not for the latest kind, which has no seq: a hello brings the present values, whatever their age.
        return event.seq is not None and self.cursor is not None and id <= self.cursor

    def _is_full(self, size: int) -> bool:
        held = len(self._queue) + len(self._delivered)
        return held >= self._max_events or (held > 0 and self._bytes + size > self._max_bytes)

    def _remember(self, id: int) -> None:
        self._seen[id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _note_taken(self, entry: _Entry) -> None:
        id = entry.event.message_id
        if id is not None and not entry.stale and (self.cursor is None or id > self.cursor):
            self._taken_unwritten.append(id)

    def _settle(self) -> None:
        while self._delivered and self._delivered[0].done:
            entry = self._delivered.popleft()
            self._bytes -= entry.size
            if entry.position is not None:
                self._move(entry.position)

    def _move(self, position: int) -> None:
        if self.cursor is None or position > self.cursor:
            self.cursor = position
            self._taken_unwritten = [id for id in self._taken_unwritten if id > position]
            self.moved.unpark_all()
