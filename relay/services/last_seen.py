"""Saves who is present and when the others were last seen, a while after it changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from relay.services.connections import WebSocketManager
from relay.services.presence_state import PresenceState
from relay.services.statuses import OFFLINE, UNKNOWN
from relay.storage import presence
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.presence import PresenceRow
from relay.wakeup import Wakeup

_GATHER_SECONDS: Final = 1.0
_ALIVE_SECONDS: Final = 60.0
"""While anybody is connected, at least this often: a crash makes nobody's `last_seen` older than that."""


class LastSeenSaver:
    """Writes published statuses behind the changes, and lets go of users who are gone and saved.

    Args:
        states: the presence service's. This class alone takes users out of it.
        now: Unix seconds.

    Attributes:
        enabled: whether a device has said hello since the start. Before that nothing is written: an engine that
            only works on the database must not look like a server that is alive.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        states: dict[str, PresenceState],
        now: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._states = states
        self._now = now
        self._unsaved: set[str] = set()
        self._wakeup = Wakeup()
        self.enabled = False

    def save_soon(self, user_id: str) -> None:
        """Have a user's published status saved with the next write."""
        self._unsaved.add(user_id)
        self._wakeup.set()

    async def recover(self) -> list[PresenceRow]:
        """Return the users who were present when the server ended, and store when they were last seen."""
        rows = await self._runner.read(presence.read_still_present)
        if rows:
            with suppress(StorageFailed):  # a server must start on a full disk
                await self._runner.write(presence.settle_last_seen)
        return rows

    async def run(self) -> None:
        """Save for ever: a second after a change, and every minute while anybody is connected."""
        while True:
            anybody = self._connections.statistics().users
            with trio.move_on_after(_ALIVE_SECONDS if anybody else math.inf):
                await self._wakeup.wait()
                await trio.sleep(_GATHER_SECONDS)
            self._wakeup.clear()
            await self.flush()

    async def flush(self) -> None:
        """Save what is unsaved; what the disk does not take waits for the next time."""
        if not self.enabled:
            return
        unsaved, self._unsaved = self._unsaved, set()
        published = [(user_id, self._states[user_id].published) for user_id in unsaved if user_id in self._states]
        seen = [(user_id, one.status not in (OFFLINE, UNKNOWN), one.last_seen) for user_id, one in published]
        try:
            await self._runner.write(lambda connection: presence.save_last_seen(connection, seen, self._now()))
        except StorageFailed:
            self._unsaved |= unsaved
            return
        for user_id in unsaved - self._unsaved:
            state = self._states.get(user_id)
            if state is not None and not state.pending and not self._connections.of(user_id):
                del self._states[user_id]
