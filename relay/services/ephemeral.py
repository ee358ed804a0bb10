"""What lasts a while and is never stored: who is typing where, and when that ends.

A transient message of a type that lasts is noted when it is passed on. It ends by itself after the type's
time without another one from the same device, by a stream message from that device to the same
conversation, or when the device goes; and whoever was told of it is told that it is over, by the payload
that the type made for it. One task watches all of them, in the order of their deadlines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final, NamedTuple

import trio

from relay.services.channels import Conversation
from relay.services.connections import Connection
from relay.storage.log import Entry

MAX_PER_USER: Final = 100
"""The most indicators of one user at once; one more is passed on and ends by the recipients' own clocks."""


class Lasting(NamedTuple):
    """How long a transient message lasts, in seconds, and the payload that says it is over.

    `over` is None for a message that says so itself.
    """

    seconds: float
    over: str | None


class _Place(NamedTuple):
    user_id: str
    client_id: str | None
    address: str
    type: str


class _Running:
    __slots__ = ("conversation", "deadline", "ending")

    def __init__(self, deadline: float, conversation: Conversation, ending: Entry) -> None:
        self.deadline = deadline
        self.conversation = conversation
        self.ending = ending


class Indicators:
    """Watches what lasts.

    Args:
        pass_on: sends a transient message to a conversation's members but one device.
    """

    def __init__(self, pass_on: Callable[[Entry, Conversation], None]) -> None:
        self._pass_on = pass_on
        self._running: dict[str, dict[_Place, _Running]] = {}
        self._due: list[tuple[float, _Place]] = []
        self._wake = trio.Event()

    def note(self, entry: Entry, conversation: Conversation, lasting: Lasting) -> bool:
        """Note a message that is about to be passed on; False when nobody needs it: it ends what never began."""
        place = _Place(entry.sender_id, entry.client_id, conversation.address, entry.type)
        running = self._running.get(place.user_id)
        if lasting.over is None:
            return running is not None and self._forget(place)
        if running is None:
            running = self._running[place.user_id] = {}
        deadline = trio.current_time() + lasting.seconds
        if place in running:
            running[place].deadline = deadline
        elif len(running) < MAX_PER_USER:
            running[place] = _Running(deadline, conversation, replace(entry, own_id=None, payload=lasting.over))
            heappush(self._due, (deadline, place))
            self._wake.set()
        return True

    def spoke(self, entry: Entry, conversation: Conversation) -> None:
        """End what a device did in a conversation in which it now said something; ahead of what it said."""
        for place in list(self._running.get(entry.sender_id, ())):
            if place.client_id == entry.client_id and place.address == conversation.address:
                self._end(place)

    def left(self, connection: Connection) -> None:
        """End all that a device did, as it is gone."""
        for place in list(self._running.get(connection.user_id, ())):
            if place.client_id == connection.client_id:
                self._end(place)

    async def run(self) -> None:
        """End what was not renewed in time, for ever."""
        while True:
            wait = self._due[0][0] - trio.current_time() if self._due else float("inf")
            with trio.move_on_after(max(wait, 0.0)):
                await self._wake.wait()
            self._wake = trio.Event()
            now = trio.current_time()
            while self._due and self._due[0][0] <= now:
                _, place = heappop(self._due)
                running = self._running.get(place.user_id, {}).get(place)
                if running is None:
                    continue
                if running.deadline <= now:
                    self._end(place)
                else:
                    heappush(self._due, (running.deadline, place))

    def __len__(self) -> int:
        return sum(map(len, self._running.values()))

    def _end(self, place: _Place) -> None:
        running = self._running[place.user_id][place]
        self._forget(place)
        self._pass_on(running.ending, running.conversation)

    def _forget(self, place: _Place) -> bool:
        """Forget an indicator, and tell whether there was one; its place in the heap runs out by itself."""
        running = self._running.get(place.user_id, {})
        found = running.pop(place, None) is not None
        if not running:
            self._running.pop(place.user_id, None)
        return found
