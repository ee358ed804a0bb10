"""PresenceService: knows who is present, and tells the followers who may see it.

    PresenceService   takes events and requests; one task looks at each changed user
    PresenceState     one user: devices, grace periods and choice go in, a status comes out (presence_state.py)
    StatusFanout      sends a status to the followers who may see it (presence_fanout.py, visibility.py)
    LastSeenSaver     writes statuses to the database, a second later (last_seen.py)

An event only marks its user as changed. The task looks at each changed user once, computes the status, and sends
it if it is another one than was published last. Bob follows Alice; the grace period has 30 seconds:

    second   event                           Alice's state                        Bob is sent
    0        her phone says hello            phone connected                      online
    5        the phone vanishes in a tunnel  phone counts until second 35         nothing
    15       the phone says hello again      phone connected                      nothing
    20       she closes the page             no device                            offline, last seen at second 20

So two thousand devices that vanish and are back within their grace periods cost no frame.

Statuses move no cursor and are not stored as messages: every hello brings the present ones. What a user *chose* is
a message, stored for their own devices.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services import visibility
from relay.services.blocks import Blocks
from relay.services.channels import Conversation
from relay.services.connections import Connection, WebSocketManager
from relay.services.deadlines import Deadlines
from relay.services.draining import Drain
from relay.services.last_seen import LastSeenSaver
from relay.services.presence_fanout import StatusFanout
from relay.services.presence_state import Choice, Grace, PresenceState
from relay.services.router import Submission
from relay.services.statuses import TYPE
from relay.services.visibility import PresenceSnapshot, Recheck, ViewedRows, read_snapshot, read_viewed
from relay.storage import presence
from relay.storage.jobs import Runner
from relay.wakeup import Wakeup

_GATHER_SECONDS: Final = 0.005
"""A pause after each round, in which changes gather: a thousand in a second cost two hundred rounds at most."""


class PresenceService:
    """Knows who is present and tells their followers.

    Its work lists, which only `run` empties, a round at a time:

    - `_changed`: users whose status may be another one than was published. Every event puts its user there.
    - `_deadlines`: when time alone may change a user's status. Each look at a user puts the next one there.
    - `_rechecks`: users whom some followers may see otherwise than before, without a change of their status.
    - `_deleted_groups`: channel ids of groups whose last members are to be rechecked against each other.

    `_states` holds a user from their first hello (or, after a restart, if they were present before it) until they
    are offline and that is saved; of all others the database's row is what counts.

    Args:
        now: Unix seconds.
        drain: once it has begun, nothing is told any more: all devices go, and will be back.
        on_change: called with a user id and the new status whenever a status is published.
        grace_seconds: how long a device that vanished counts as present.
        max_following: the most users that one may follow; 0 means no limit.
        closed_directory: whether users find only those with whom they share a conversation.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        now: Callable[[], float],
        *,
        drain: Drain,
        blocks: Blocks,
        on_change: Callable[[str, str], None],
        grace_seconds: float,
        max_following: int,
        closed_directory: bool,
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._drain = drain
        self._on_change = on_change
        self._grace_seconds = grace_seconds
        self.limit(max_following)
        self._read_unknown = partial(visibility.read_unknown, closed_directory=closed_directory)
        self._states: dict[str, PresenceState] = {}
        self._fanout = StatusFanout(runner, connections, self._states, now, blocks)
        self.last_seen = LastSeenSaver(runner, connections, self._states, now)
        self._changed: set[str] = set()
        self._deadlines: Deadlines[str] = Deadlines()
        self._rechecks: list[Recheck] = []
        self._deleted_groups: list[int] = []
        self._wakeup = Wakeup()

    # Events, from connections and from the router.

    def limit(self, max_following: int) -> None:
        """Allow one to follow another number of users from now on; 0 means no limit. Who follows more stays."""
        self._max_following = max_following or 1 << 62

    def connected(self, connection: Connection, snapshot: PresenceSnapshot) -> bytes:
        """Note a device that said hello; return the statuses of the users that it follows, as frames."""
        self.last_seen.enabled = True
        user_id, now = connection.user_id, self._now()
        state = self._states.get(user_id)
        if state is None:
            state = self._states[user_id] = PresenceState.stored(snapshot.own, now)
        state.connected(connection.client_id)
        self._mark_changed(user_id)
        self._fanout.followers.add(user_id, snapshot.followed.rows)
        statuses = snapshot.followed.statuses(self._states)
        return b"".join(status.frame(followed, now) for followed, status in statuses.items())

    def disconnected(self, connection: Connection, *, goodbye: bool) -> None:
        """Note a device that is gone.

        Args:
            goodbye: it said so, or was sent away for good; it has no grace period.
        """
        user_id = connection.user_id
        if not self._connections.of(user_id):
            self._fanout.followers.forget(user_id)
        state = self._states.get(user_id)
        if state is None or self._drain.begun:
            return
        ends_at_once = goodbye or not self._grace_seconds
        grace = Grace(trio.current_time() + self._grace_seconds, connection.active)
        state.disconnected(connection.client_id, self._now(), None if ends_at_once else grace)
        self._mark_changed(user_id)

    def activity_changed(self, connection: Connection) -> None:
        """Note that a device came to the foreground or went to the background; send it what it missed there."""
        self._mark_changed(connection.user_id)
        missed, connection.missed_statuses = connection.missed_statuses, None
        if not connection.active or not missed:
            return
        now = self._now()
        for user_id, status in missed.items():
            connection.push_latest(status.frame(user_id, now), (TYPE, user_id))

    def visibility_changed(self, user_id: str, visible_to: str) -> None:
        """Note who may see a user from now on; it is stored already."""
        state = self._states.get(user_id)
        if state is not None:
            state.visible_to = visible_to
        self._recheck(Recheck({user_id}, None))

    def blocking_changed(self, user_id: str, blocked: str) -> None:
        """Note that a user blocks another, or does so no longer; it is stored already."""
        self._recheck(Recheck({user_id}, {blocked}, by_blocking=True))

    def observe(self, submission: Submission) -> None:
        """Note what a stored message changes. The router calls this after the commit."""
        entry, conversation = submission.entry, submission.conversation
        if entry.type == TYPE:
            state = self._states.get(entry.sender_id)
            if state is not None:
                chosen = msgspec.json.decode(entry.payload)
                state.choice = Choice(chosen["status"], chosen.get("text"), chosen.get("until"))
                self._mark_changed(entry.sender_id)
        elif entry.type == "group_event":
            event = msgspec.json.decode(entry.payload)
            if event["event"] == "deleted":
                self._deleted_groups.append(entry.channel_id)
                self._wakeup.set()
            for recheck in visibility.rechecks_of_group_event(event, frozenset(conversation.members)):
                self._recheck(recheck)
        elif entry.seq is not None and entry.sender_id not in conversation.spoke:
            self._note_first_message(entry.sender_id, conversation)

    def _note_first_message(self, sender_id: str, conversation: Conversation) -> None:
        """Note a user's first message since a conversation is in memory.

        It may be their first one ever, which makes them visible to the other members.
        """
        if sender_id in conversation.members:
            conversation.spoke.add(sender_id)
            if self._fanout.followers.of(sender_id):
                self._recheck(Recheck({sender_id}, frozenset(conversation.members)))

    # Requests of users.

    async def statuses(self, viewer: str, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the statuses of users, each once, as `viewer` may see them.

        Raises:
            RelayError: `not_found`, naming a user who does not exist or whom the viewer may not find.
        """

        def read(connection: sqlite3.Connection) -> ViewedRows:
            for user_id in self._read_unknown(connection, viewer, user_ids):
                raise not_found(f"user {user_id!r}")
            return read_viewed(connection, viewer, user_ids)

        return self._describe(await self._runner.read(read), user_ids)

    async def following(self, user_id: str) -> list[dict[str, Any]]:
        """Return the statuses of all users that a user follows."""
        snapshot = await self._runner.read(partial(read_snapshot, user_id=user_id))
        return self._describe(snapshot.followed, list(snapshot.followed.rows))

    async def follow(
        self, user_id: str, others: Sequence[str], *, follow: bool
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Follow others, or no longer follow them. It is stored, and holds for all devices of the user.

        Returns:
            The statuses of those who exist, and the ids of those who do not, or whom the user may not find.

        Raises:
            RelayError: `forbidden` if the user would follow too many; nothing changes then.
        """

        def change(connection: sqlite3.Connection) -> list[str]:
            # Users may stop following somebody whom the directory hides by now.
            held = set() if follow else set(presence.following(connection, user_id))
            asked = [other for other in dict.fromkeys(others) if other not in held]
            unknown = self._read_unknown(connection, user_id, asked)
            known = [other for other in others if other not in unknown]
            if not follow:
                presence.unfollow(connection, user_id, known)
            elif presence.set_following(connection, user_id, known, self._now()) > self._max_following:
                raise RelayError(ErrorCode.FORBIDDEN, f"one follows at most {self._max_following} users")
            return unknown

        unknown = await self._runner.write(change)
        known = [other for other in others if other not in unknown]
        if not follow:
            self._fanout.followers.remove(user_id, known)
        elif self._connections.of(user_id):
            self._fanout.followers.add(user_id, known)
        # Inline: an answer from a thread could be sent after a status that is newer than it.
        viewed = await self._runner.read(partial(read_viewed, viewer=user_id, user_ids=known), inline=True)
        return self._describe(viewed, known), unknown

    def _describe(self, viewed: ViewedRows, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        statuses = viewed.statuses(self._states)
        return [statuses[user_id].fields(user_id) for user_id in dict.fromkeys(user_ids)]

    # The task.

    async def recover(self) -> None:
        """Begin with the users who were present when the server ended: `unknown`, for a grace period."""
        rows = await self.last_seen.recover()
        until = trio.current_time() + self._grace_seconds
        for row in rows:
            self._states[row.user_id] = PresenceState.after_restart(row, self._now(), until)
            self._deadlines.set(row.user_id, until)

    async def run(self) -> None:
        """Look at what changed, for ever."""
        while True:
            await self._wakeup.wait_until(self._deadlines.next())
            changed, self._changed = self._changed.union(self._deadlines.take(trio.current_time())), set()
            if not self._drain.begun:
                for user_id in changed:
                    await self._update(user_id)
                await self._run_rechecks()
            self._connections.flush()
            if changed:
                await trio.sleep(_GATHER_SECONDS)

    async def _update(self, user_id: str) -> None:
        """Compute a user's status, and publish it if it is a new one."""
        state = self._states.get(user_id)
        if state is None:
            return
        devices = [device.active for device in self._connections.of(user_id).values()]
        clock, now = trio.current_time(), self._now()
        status = state.update(devices, clock, now)
        self._deadlines.set(user_id, state.next_update(clock, now))
        if status != state.published:
            state.published = status
            self.last_seen.save_soon(user_id)
            self._on_change(user_id, status.status)
            await self._fanout.publish(user_id, state)
        elif not devices and not state.pending:
            self.last_seen.save_soon(user_id)  # nothing new to save, but the state can go from memory

    async def _run_rechecks(self) -> None:
        rechecks, self._rechecks = self._rechecks, []
        deleted, self._deleted_groups = self._deleted_groups, []
        for channel_id in deleted:
            members = await self._runner.read(partial(presence.last_members, channel_id=channel_id), inline=True)
            rechecks.append(Recheck(members, members))
        for recheck in rechecks:
            await self._fanout.recheck(recheck)

    def _mark_changed(self, user_id: str) -> None:
        self._changed.add(user_id)
        self._wakeup.set()

    def _recheck(self, recheck: Recheck) -> None:
        self._rechecks.append(recheck)
        self._wakeup.set()
