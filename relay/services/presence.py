"""PresenceService: who is here, told to those who follow them and may know.

What changes is gathered, and told by one task that looks at each changed user once: it computes what others
see, compares it with what they were told last, and sends a ready frame only where the two differ. So two
thousand devices that vanish and are back within the grace cost nothing and tell nothing.

Statuses move no cursor and are not stored as messages: with every hello come the present ones. What a user
*chose* is a message, stored for their own devices.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.connections import Connection, WebSocketManager
from relay.services.deadlines import Deadlines
from relay.services.followers import Company, Followers, read_company
from relay.services.router import Submission
from relay.services.statuses import HIDDEN, OFFLINE, UNKNOWN, Person, Status, from_kept
from relay.storage import directory, presence
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.presence import Kept

TYPE: Final = "status_update"
_GATHER_SECONDS: Final = 0.005
"""How long what follows a change waits for others: a thousand that come in a second are two hundred wake-ups."""

_SAVE_SECONDS: Final = 1.0
_ALIVE_SECONDS: Final = 60.0


class PresenceService:
    """Knows who is here and tells their followers.

    Args:
        now: Unix seconds.
        grace_seconds: how long a user whose last device vanished counts as here.
        max_following: the most users that one may follow; 0 means no limit.
        closed_directory: whether users find only those they share a conversation with.
    """

    def __init__(
        self,
        runner: Runner,
        connections: WebSocketManager,
        now: Callable[[], float],
        *,
        grace_seconds: float,
        max_following: int,
        closed_directory: bool,
    ) -> None:
        self._runner = runner
        self._connections = connections
        self._now = now
        self._grace = grace_seconds
        self._max_following = max_following or 1 << 62
        self._closed_directory = closed_directory
        self._people: dict[str, Person] = {}
        self._followers = Followers()
        self._changed: set[str] = set()
        self._shown: set[str] = set()
        self._met: list[tuple[Set[str], Set[str]]] = []
        self._ended: list[int] = []
        self._due = Deadlines()
        self._unsaved: set[str] = set()
        self._wake = trio.Event()
        self._save = trio.Event()
        self._used = False
        self.leaving = False
        self.told: Callable[[str, str], None] | None = None

    # What connections tell.

    def arrived(self, connection: Connection, company: Company) -> bytes:
        """Note a device that said hello; return the present statuses of those its user follows, as frames."""
        self._used = True
        user_id, client_id = connection.user_id, connection.client_id
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = Person(company.own, self._now())
        person.graces.pop(client_id, None)
        self._touch(user_id)
        if not company.following:
            return b""
        self._followers.add(user_id, company.following)
        now = self._now()
        return b"".join(
            self._seen_by(user_id, kept, company.sharing).frame(kept.user_id, now)
            for kept in company.followed.values()
        )

    def left(self, connection: Connection, *, goodbye: bool) -> None:
        """Note a device that is gone.

        Args:
            goodbye: it said so, or was sent away for good: its presence ends at once.
        """
        user_id = connection.user_id
        person = self._people.get(user_id)
        if not self._connections.of(user_id):
            self._followers.forget(user_id)
        if person is None or self.leaving:
            return
        person.away_since = self._now()
        if not goodbye and self._grace:
            until = trio.current_time() + self._grace
            person.graces[connection.client_id] = (until, connection.active)
        self._touch(user_id)

    def activity(self, connection: Connection) -> None:
        """Note that a device came to the foreground, or went to the background; bring it up to date."""
        self._touch(connection.user_id)
        missed, connection.missed_statuses = connection.missed_statuses, None
        if not connection.active or not missed:
            return
        now = self._now()
        for user_id, status in missed.items():
            connection.push_latest(status.frame(user_id, now), (TYPE, user_id))

    def observe(self, submission: Submission) -> None:
        """Note what a stored message changes; an observer of the router's."""
        entry = submission.entry
        if entry.type == TYPE:
            chosen = msgspec.json.decode(entry.payload)
            person = self._people.get(entry.sender_id)
            if person is not None:
                person.choose(chosen["status"], chosen.get("text"), chosen.get("until"), self._now())
                self._touch(entry.sender_id)
        elif entry.type == "group_event":
            self._regroup(submission)
        elif entry.seq is not None and entry.sender_id not in submission.conversation.spoke:
            self._spoke(submission)

    # What users ask.

    async def statuses(self, viewer: str, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the present statuses of users, as `viewer` may see them.

        Raises:
            RelayError: `not_found`, naming one who does not exist or is not theirs to find.
        """

        def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            self._check(connection, viewer, user_ids)
            return self._look(connection, viewer, user_ids)

        return await self._runner.read(read)

    async def following(self, user_id: str) -> list[dict[str, Any]]:
        """Return the present statuses of all whom a user follows."""
        company = await self._runner.read(partial(read_company, user_id=user_id))
        return [
            self._seen_by(user_id, kept, company.sharing).described(kept.user_id)
            for kept in company.followed.values()
        ]

    async def follow(
        self, user_id: str, others: Sequence[str], *, follow: bool
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Follow others, or no longer; lasting, for all of one's devices.

        Returns:
            The present statuses of those who are there, and who is not, or not the follower's to find.

        Raises:
            RelayError: `forbidden` for too many; nothing changes.
        """

        def change(connection: sqlite3.Connection) -> list[str]:
            # Whom one follows already one may leave, even where the directory hides them by now.
            held = set() if follow else set(presence.following(connection, user_id))
            unknown = self._unknown(connection, user_id, [one for one in dict.fromkeys(others) if one not in held])
            known = [other for other in others if other not in unknown]
            if not follow:
                presence.unfollow(connection, user_id, known)
            elif presence.set_following(connection, user_id, known, self._now()) > self._max_following:
                raise RelayError(ErrorCode.FORBIDDEN, f"one follows at most {self._max_following} users")
            return unknown

        unknown = await self._runner.write(change)
        others = [other for other in others if other not in unknown]
        if not follow:
            self._followers.remove(user_id, others)
        elif self._connections.of(user_id):
            self._followers.add(user_id, others)
        # Read where it stands: an answer from a thread could come behind a change that is newer than it.
        return await self._runner.read(partial(self._look, viewer=user_id, user_ids=others), inline=True), unknown

    def show_to(self, user_id: str, shown_to: str) -> None:
        """Note who may see a user from now on; it is stored already."""
        person = self._people.get(user_id)
        if person is not None:
            person.shown_to = shown_to
        self._shown.add(user_id)
        self._wake.set()

    # The tasks.

    async def recover(self) -> None:
        """Begin with those whom others saw as present when the server ended: nobody knows, for a grace."""
        behind = await self._runner.read(presence.left_behind)
        if not behind:
            return
        with suppress(StorageFailed):  # a server must start on a full disk
            await self._runner.write(presence.settle_last_seen)
        until = trio.current_time() + self._grace
        for kept in behind:
            person = self._people[kept.user_id] = Person(kept, self._now())
            person.lost_until, person.told = until, HIDDEN
            self._due.set(kept.user_id, until)

    async def run(self) -> None:
        """Tell changes, for ever."""
        while True:
            with trio.move_on_at(self._due.next()):
                await self._wake.wait()
            self._wake = trio.Event()
            changed, self._changed = self._changed.union(self._due.take(trio.current_time())), set()
            if not self.leaving:
                for user_id in changed:
                    await self._tell(user_id)
                await self._tell_who_may_see()
            self._connections.flush()
            if changed:
                await trio.sleep(_GATHER_SECONDS)

    async def keep(self) -> None:
        """Save who is here, for ever: a second after a change, and every minute while anybody is."""
        while True:
            anybody = self._connections.statistics().users
            with trio.move_on_after(_ALIVE_SECONDS if anybody else float("inf")):
                await self._save.wait()
                await trio.sleep(_SAVE_SECONDS)
            self._save = trio.Event()
            await self.flush()

    async def flush(self) -> None:
        """Save what changed; what the disk does not take waits for the next time."""
        if not self._used:
            return  # whoever only works on the database must not look like a server at work
        unsaved, self._unsaved = self._unsaved, set()
        rows = [(name, self._people[name].told) for name in unsaved if name in self._people]
        seen = [(name, told.status not in (OFFLINE, UNKNOWN), told.last_seen) for name, told in rows]
        try:
            await self._runner.write(lambda connection: presence.note(connection, seen, self._now()))
        except StorageFailed:
            self._unsaved |= unsaved
            return
        for name in unsaved - self._unsaved:
            person = self._people.get(name)
            if person and not (self._connections.of(name) or person.graces or person.lost_until):
                del self._people[name]

    # The rest is this class's own.

    def _touch(self, user_id: str) -> None:
        self._changed.add(user_id)
        self._wake.set()

    def _meet(self, people: Set[str], viewers: Set[str]) -> None:
        """Note that `viewers` may share another number of conversations with `people` than before."""
        self._met.append((people, viewers))
        self._wake.set()

    def _spoke(self, submission: Submission) -> None:
        """Note that somebody speaks for the first time since a conversation is in memory: it opens them."""
        sender_id, members = submission.entry.sender_id, submission.conversation.members
        if sender_id in members:
            submission.conversation.spoke.add(sender_id)
            if self._followers.of(sender_id):
                self._meet(frozenset((sender_id,)), frozenset(members))

    def _regroup(self, submission: Submission) -> None:
        """Note whom a change of a group concerns: the newcomer and the others, or all of them."""
        event = msgspec.json.decode(submission.entry.payload)
        members = frozenset(submission.conversation.members)
        if event["event"] in ("member_added", "member_removed"):
            one = frozenset((event["user_id"],))
            self._meet(one, members)
            self._meet(members, one)
        elif event["event"] == "created":
            self._meet(members, members)
        elif event["event"] == "deleted":
            self._ended.append(submission.entry.channel_id)
            self._wake.set()

    def _seen_by(self, viewer: str, kept: Kept, sharing: set[str]) -> Status:
        """Return what `viewer` may see of a user; `sharing` are those they share a conversation with."""
        person, shown_to = self._people.get(kept.user_id), self._shown_to(kept)
        may = (
            viewer == kept.user_id or shown_to == "everyone" or (shown_to == "shared" and kept.user_id in sharing)
        )
        if not may:
            return HIDDEN
        return from_kept(kept) if person is None else person.told

    def _shown_to(self, kept: Kept) -> str:
        person = self._people.get(kept.user_id)
        return kept.shown_to if person is None else person.shown_to

    def _check(self, connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str]) -> None:
        """Refuse users who do not exist or are not the viewer's to find."""
        for user_id in self._unknown(connection, viewer, user_ids):
            raise not_found(f"user {user_id!r}")

    def _unknown(self, connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str]) -> list[str]:
        """Return those who do not exist or are not the viewer's to find, in their order."""
        rows, closed = presence.kept(connection, user_ids), self._closed_directory
        hidden = {one for one in rows if closed and not directory.find(connection, viewer, one, shared=True)}
        return [user_id for user_id in user_ids if user_id not in rows or user_id in hidden]

    def _look(self, connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the present statuses of users who exist, each once."""
        rows = presence.kept(connection, user_ids)
        sharing = presence.sharing(connection, viewer, user_ids)
        return [
            self._seen_by(viewer, rows[user_id], sharing).described(user_id) for user_id in dict.fromkeys(user_ids)
        ]

    async def _tell(self, user_id: str) -> None:
        """Tell a user's followers what changed, if anything did."""
        person = self._people.get(user_id)
        if person is None:
            return
        devices = [device.active for device in self._connections.of(user_id).values()]
        clock, now = trio.current_time(), self._now()
        status = person.status(devices, clock, now)
        self._due.set(user_id, person.next_look(clock, now))
        if status == person.told and (devices or person.graces or person.lost_until):
            return
        self._unsaved.add(user_id)
        self._save.set()
        if status == person.told:
            return
        person.told = status
        if self.told is not None:
            self.told(user_id, status.status)
        viewers = self._followers.of(user_id)
        if viewers and person.shown_to != "nobody":
            if person.shown_to == "shared":
                viewers = await self._viewers(user_id, list(viewers))
            self._push(viewers, user_id, status)

    async def _tell_who_may_see(self) -> None:
        """Tell followers of those who are shown to others than before, by choice or by what they share."""
        shown, self._shown = self._shown, set()
        met, self._met = self._met, []
        ended, self._ended = self._ended, []
        for channel_id in ended:
            members = await self._runner.read(partial(presence.last_members, channel_id=channel_id), inline=True)
            met.append((members, members))
        for user_id in shown:
            await self._tell_each(user_id)
        for people, viewers in met:
            for user_id in people:
                await self._tell_each(user_id, viewers)

    async def _tell_each(self, user_id: str, met: Set[str] | None = None) -> None:
        """Tell a user's followers, each what they may see of them now.

        Args:
            met: tell these only, and only where it hangs on a shared conversation; None for all followers.
        """
        followers = set(self._followers.of(user_id)) if met is None else self._followers.of(user_id) & met
        if not followers:
            return
        await trio.lowlevel.checkpoint()  # there may be thousands of these, each with its reads
        rows = await self._runner.read(partial(presence.kept, user_ids=[user_id]), inline=True)
        kept = rows[user_id]
        if met is not None and self._shown_to(kept) != "shared":
            return
        open_to = await self._viewers(user_id, list(followers))
        seen: dict[Status, list[str]] = {}
        for follower in followers:
            shared = {user_id} if follower in open_to else set()
            seen.setdefault(self._seen_by(follower, kept, shared), []).append(follower)
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
                    missed = connection.missed_statuses = connection.missed_statuses or {}
                    missed[user_id] = status
