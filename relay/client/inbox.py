"""The events on their way to the application, and the cursor that follows what it has processed.

Contract:
    MUST NOT block: the connection's reader also brings acks, so a full inbox drops what it is offered, keeps
    the cursor where it is, and has it all brought again by a resume once the application has caught up.
    Each stored event is given once: by its message id, over reconnects, and over restarts with a state file.
    The cursor is moved by live messages, acks and `synced`, and only when all that came before is processed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from relay.client.events import Event

_REMEMBERED = 65_536


@dataclass(slots=True)
class _Entry:
    event: Event
    size: int
    position: int | None  # where the cursor stands once this and everything before it is processed
    done: bool = False
    stale: bool = False  # from before the log was replaced: its id means nothing now


class Inbox:
    """Holds at most `most_events` and `most_bytes` that are not given, or given and not processed."""

    def __init__(self, *, cursor: int | None, taken: Iterable[int], most_events: int, most_bytes: int) -> None:
        self.cursor = cursor
        self.changed = trio.lowlevel.ParkingLot()
        self.moved = trio.lowlevel.ParkingLot()
        self.overflowed = False
        self.on_caught_up: Callable[[], None] = lambda: None
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._bytes = 0
        self._queue: deque[_Entry] = deque()
        self._given: deque[_Entry] = deque()
        self._seen: dict[int, None] = dict.fromkeys(taken)
        self._taken_unwritten: list[int] = []

    def __len__(self) -> int:
        return len(self._queue)

    # ---- from the connection

    def begin(self) -> None:
        """Accept again: a new connection brings everything after the cursor once more."""
        self.overflowed = False

    def restart(self) -> None:
        """Forget all positions: the server's log is another one now, and its numbers mean other messages."""
        self.cursor = None
        self._seen.clear()
        self._taken_unwritten.clear()
        for entry in (*self._given, *self._queue):
            entry.position = None
            entry.stale = True
        self.moved.unpark_all()

    def offer(self, event: Event, *, size: int, position: int | None) -> None:
        """Queue an event, unless it was given before or there is no room."""
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
        """Queue a `ready` even over the bound, in place of one just before it, so that no reset goes unseen."""
        last = self._queue[-1] if self._queue else None
        if last is not None and last.event.event == "ready":
            if last.event.payload.get("resumed") is not False:
                last.event = ready
            return
        self._append(_Entry(ready, size, None))

    def mark(self, position: int | None) -> None:
        """Move the cursor to `position` as soon as everything queued before is processed."""
        if position is None or self.overflowed:
            return
        pending = self._queue or self._given
        if pending:
            pending[-1].position = max(pending[-1].position or 0, position)
        else:
            self._move(position)

    def remember(self, id: int) -> None:
        """Count a message as known, so that no replay brings it: an own one that was just acked."""
        self._remember(id)

    # ---- to the application

    def take(self) -> Event | None:
        """Give the next event, or None when there is none now."""
        if not self._queue:
            return None
        entry = self._queue.popleft()
        if entry.event.message_id is None and entry.event.cursor is None:
            entry.done = True
        self._given.append(entry)
        self._settle()
        return entry.event

    def processed(self, upto: int | None = None) -> None:
        """Count what was given as processed: all of it, or what stands at a position up to `upto`."""
        for entry in self._given:
            cursor = entry.event.cursor
            if not entry.done and (upto is None or (cursor is not None and cursor <= upto)):
                entry.done = True
                self._note_taken(entry)
        self._settle()
        if self.caught_up:
            self.on_caught_up()

    @property
    def caught_up(self) -> bool:
        """Tell whether events were dropped and there is room again for what a resume would bring."""
        return self.overflowed and not self._queue and len(self._given) * 2 <= self._most_events

    # ---- towards the disk

    def unwritten(self) -> list[int]:
        """Give the ids processed ahead of the cursor (by a replay) that the state file does not know yet."""
        return list(self._taken_unwritten)

    def written(self, taken: Iterable[int]) -> None:
        """Note what the state file now has."""
        known = set(taken)
        self._taken_unwritten = [id for id in self._taken_unwritten if id not in known]

    def _append(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._bytes += entry.size
        self.changed.unpark_all()

    def _is_past(self, event: Event, id: int) -> bool:
        # Not for the latest kind, which has no seq: a hello brings the present statuses, whatever their age.
        return event.seq is not None and self.cursor is not None and id <= self.cursor

    def _is_full(self, size: int) -> bool:
        held = len(self._queue) + len(self._given)
        return held >= self._most_events or (held > 0 and self._bytes + size > self._most_bytes)

    def _remember(self, id: int) -> None:
        self._seen[id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _note_taken(self, entry: _Entry) -> None:
        id = entry.event.message_id
        if id is not None and not entry.stale and (self.cursor is None or id > self.cursor):
            self._taken_unwritten.append(id)

    def _settle(self) -> None:
        while self._given and self._given[0].done:
            entry = self._given.popleft()
            self._bytes -= entry.size
            if entry.position is not None:
                self._move(entry.position)

    def _move(self, position: int) -> None:
        if self.cursor is None or position > self.cursor:
            self.cursor = position
            self._taken_unwritten = [id for id in self._taken_unwritten if id > position]
            self.moved.unpark_all()
