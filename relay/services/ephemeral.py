"""Ephemeral indicators: transient messages that end, such as "alice is typing". They are never stored.

An indicator begins with a transient message of a type that has a timeout. It ends when its device does not repeat
the message in time, sends a stream message to the same conversation, or disconnects. Whoever was sent the message
is then sent the payload that the type made for the end. A message that is itself the end ("alice is no longer
typing") is passed on like the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import trio

from relay.services.channels import Conversation
from relay.services.connections import Connection
from relay.services.deadlines import Deadlines
from relay.storage.entry import Entry
from relay.wakeup import Wakeup

MAX_PER_USER: Final = 100
"""The most indicators of one user at once. One more is passed on, and ends by the recipients' own clocks."""


class Timeout(NamedTuple):
    """The end of a transient message.

    Attributes:
        seconds: how long it lasts if the device does not repeat it.
        ended_payload: the payload that tells its end; None for a message that is itself the end of an indicator.
    """

    seconds: float
    ended_payload: str | None


class _Key(NamedTuple):
    user_id: str
    client_id: str | None
    address: str
    type: str


class _Indicator:
    __slots__ = ("conversation", "deadline", "end")

    def __init__(self, deadline: float, conversation: Conversation, end: Entry) -> None:
        self.deadline = deadline
        self.conversation = conversation
        self.end = end


class Indicators:
    """Ends indicators in time. One task watches all of them, in the order of their deadlines.

    Args:
        send_end: sends the end of an indicator to a conversation's members but the device whose indicator it is.
    """

    def __init__(self, send_end: Callable[[Entry, Conversation], None]) -> None:
        self._send_end = send_end
        self._by_user: dict[str, dict[_Key, _Indicator]] = {}
        self._deadlines: Deadlines[_Key] = Deadlines()
        self._wakeup = Wakeup()

    def note(self, entry: Entry, conversation: Conversation, timeout: Timeout) -> bool:
        """Note a message before it is passed on; False if nobody needs it: it ends what never began."""
        key = _Key(entry.sender_id, entry.client_id, conversation.address, entry.type)
        indicators = self._by_user.get(key.user_id)
        if timeout.ended_payload is None:
            return indicators is not None and self._forget(key)
        if indicators is None:
            indicators = self._by_user[key.user_id] = {}
        deadline = trio.current_time() + timeout.seconds
        if key in indicators:
            # Its old deadline stays in the queue: `run` finds that it was repeated, and waits on.
            indicators[key].deadline = deadline
        elif len(indicators) < MAX_PER_USER:
            end = msgspec.structs.replace(entry, own_id=None, payload=timeout.ended_payload)
            indicators[key] = _Indicator(deadline, conversation, end)
            self._deadlines.set(key, deadline)
            self._wakeup.set()
        return True

    def message_stored(self, entry: Entry, conversation: Conversation) -> None:
        """End a device's indicators in a conversation in which it now says something, ahead of what it says."""
        indicators = self._by_user.get(entry.sender_id)
        if indicators is None:
            return  # nearly always
        for key in list(indicators):
            if key.client_id == entry.client_id and key.address == conversation.address:
                self._end(key)

    def disconnected(self, connection: Connection) -> None:
        """End all indicators of a device that is gone."""
        for key in list(self._by_user.get(connection.user_id, ())):
            if key.client_id == connection.client_id:
                self._end(key)

    async def run(self) -> None:
        """End what was not repeated in time, for ever."""
        while True:
            await self._wakeup.wait_until(self._deadlines.next())
            now = trio.current_time()
            for key in self._deadlines.take(now):
                indicator = self._by_user.get(key.user_id, {}).get(key)
                if indicator is None:
                    continue  # it ended before
                if indicator.deadline <= now:
                    self._end(key)
                else:
                    self._deadlines.set(key, indicator.deadline)

    def __len__(self) -> int:
        return sum(map(len, self._by_user.values()))

    def _end(self, key: _Key) -> None:
        indicator = self._by_user[key.user_id][key]
        self._forget(key)
        self._send_end(indicator.end, indicator.conversation)

    def _forget(self, key: _Key) -> bool:
        """Forget an indicator, and return whether there was one."""
        indicators = self._by_user.get(key.user_id, {})
        found = indicators.pop(key, None) is not None
        if not indicators:
            self._by_user.pop(key.user_id, None)
        return found
