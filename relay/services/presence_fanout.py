"""Sends statuses to the connected followers who may see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import trio

from relay.services.blocks import Blocks
from relay.services.connections import WebSocketManager
from relay.services.followers import Followers
from relay.services.presence_state import PresenceState
from relay.services.statuses import HIDDEN, TYPE, Status
from relay.services.visibility import Recheck, visible_status
from relay.storage import presence
from relay.storage.jobs import Runner


class StatusFanout:
    """Pushes statuses into the queues of followers' devices; `WebSocketManager.flush` sends them.

    Args:
        states: the presence service's; only read.
        now: Unix seconds.

    Attributes:
        followers: the connected followers of each user.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        states: Mapping[str, PresenceState],
        now: Callable[[], float],
        blocks: Blocks,
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._states = states
        self._blocks = blocks
        self._now = now
        self.followers = Followers()

    async def publish(self, user_id: str, state: PresenceState) -> None:
        """Send a user's new status to the followers who may see it."""
        followers = [one for one in self.followers.of(user_id) if not self._blocks.holds(user_id, one)]
        if not followers or state.visible_to == "nobody":
            return
        if state.visible_to == "shared":
            followers = [*await self._viewers(user_id, followers)]
        self._push(followers, user_id, state.published)

    async def recheck(self, recheck: Recheck) -> None:
        """Send followers the status that they may see by now, of users who may have become visible or hidden."""
        for user_id in recheck.users:
            followers = self.followers.of(user_id)
            chosen = set(followers if recheck.viewers is None else followers & recheck.viewers)
            if chosen:
                await trio.lowlevel.checkpoint()  # a group has thousands of members, and each takes some queries
                only_shared = recheck.viewers is not None and not recheck.by_blocking
                await self._republish(user_id, chosen, only_shared=only_shared)

    async def _republish(self, user_id: str, followers: set[str], *, only_shared: bool) -> None:
        """Send each of some followers the status that they may see.

        Args:
            only_shared: do so only if the user is visible to "shared"; else a shared conversation changes nothing.
        """
        rows = await self._runner.read(partial(presence.read_rows, user_ids=[user_id]), inline=True)
        row = rows[user_id]
        if only_shared and self._states.get(user_id, row).visible_to != "shared":
            return
        sharing = await self._viewers(user_id, list(followers))
        state = self._states.get(user_id)
        seen: dict[Status, list[str]] = {}
        for follower in followers:
            status = visible_status(follower, row, state, shares=follower in sharing)
            if self._blocks.holds(user_id, follower):
                status = HIDDEN
            seen.setdefault(status, []).append(follower)
        for status, viewers in seen.items():
            self._push(viewers, user_id, status)

    async def _viewers(self, user_id: str, others: Sequence[str]) -> set[str]:
        return await self._runner.read(partial(presence.viewers, user_id=user_id, others=others), inline=True)

    def _push(self, viewers: Iterable[str], user_id: str, status: Status) -> None:
        frame = status.frame(user_id, self._now())
        for viewer in viewers:
            for connection in self._connections.of(viewer).values():
                if connection.active:
                    connection.push_latest(frame, (TYPE, user_id))
                else:
                    # A device in the background would only be woken by it; it gets the last one when it is back.
                    missed = connection.missed_statuses = connection.missed_statuses or {}
                    missed[user_id] = status
