"""PresenceService: who is here, told to those who follow them and may know.

What changes is gathered, and told by one task that looks at each changed user once: it computes what others
see, compares it with what they were told last, and sends a ready frame only where the two differ. So two
thousand devices that vanish and are back within the grace cost nothing and tell nothing.

Statuses move no cursor and are not stored as messages: with every hello come the present ones. What a user
*chose* is a message, stored for their own devices.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import msgspec
import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind
from relay.services.connections import Connection, WebSocketManager
from relay.services.followers import Followers
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


class Company(NamedTuple):
    """What is read at a hello: the user's own presence, whom they follow, and what is kept of those."""

    own: Kept
    following: list[str]
    followed: dict[str, Kept]
    sharing: set[str]


def read_company(connection: sqlite3.Connection, user_id: str) -> Company:
    """Read what a hello needs; runs on a reader."""
    own, follows = presence.own(connection, user_id)
    if not follows:
        return Company(own, [], {}, set())
    following = presence.following(connection, user_id)
    followed = presence.kept(connection, following)
    shy = [kept.user_id for kept in followed.values() if kept.shown_to == "shared"]
    sharing = presence.sharing(connection, user_id, shy) if shy else set()
    return Company(own, following, followed, sharing)


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
        self._met: set[str] = set()
        self._due: list[tuple[float, str]] = []
        self._unsaved: set[str] = set()
        self._wake = trio.Event()
        self._save = trio.Event()
        self._used = False
        self.leaving = False

    # What connections tell.

    def arrived(self, connection: Connection, company: Company) -> bytes:
        """Note a device that said hello; return the present statuses of those its user follows, as frames."""
        self._used = True
        user_id, client_id = connection.user_id, connection.client_id
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = Person(company.own, self._now())
            self._await_end(user_id, person)
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
            heappush(self._due, (until, user_id))
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
                self._await_end(entry.sender_id, person)
                self._touch(entry.sender_id)
        elif entry.type == "group_event":
            event = msgspec.json.decode(entry.payload)
            if event["event"] in ("created", "member_added", "member_removed"):
                self._meet([*submission.conversation.members, event.get("user_id", entry.sender_id)])
        elif entry.seq == 1 and submission.conversation.kind is ConversationKind.USER:
            self._meet(submission.conversation.members)

    # What users ask.

    async def statuses(self, viewer: str, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the present statuses of users, as `viewer` may see them.

        Raises:
            RelayError: `not_found`, naming one who does not exist or is not theirs to find.
        """
        return await self._runner.read(lambda connection: self._read(connection, viewer, user_ids))

    async def following(self, user_id: str) -> list[dict[str, Any]]:
        """Return the present statuses of all whom a user follows."""
        company = await self._runner.read(partial(read_company, user_id=user_id))
        return [
            self._seen_by(user_id, kept, company.sharing).described(kept.user_id)
            for kept in company.followed.values()
        ]

    async def follow(self, user_id: str, others: Sequence[str], *, follow: bool) -> list[dict[str, Any]]:
        """Follow others, or no longer, and return their present statuses; lasting, for all of one's devices.

        Raises:
            RelayError: `not_found`, naming one who is not there, `forbidden` for too many; nothing changes.
        """

        def change(connection: sqlite3.Connection) -> None:
            self._read(connection, user_id, others)
            if not follow:
                presence.unfollow(connection, user_id, others)
            elif presence.follow(connection, user_id, others, self._now()) > self._max_following:
                raise RelayError(ErrorCode.FORBIDDEN, f"one follows at most {self._max_following} users")

        await self._runner.write(change)
        if not follow:
            self._followers.remove(user_id, others)
        elif self._connections.of(user_id):
            self._followers.add(user_id, others)
        return await self.statuses(user_id, others)

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
        names, alive_at = await self._runner.read(presence.left_behind)
        until = trio.current_time() + self._grace
        for start in range(0, len(names), 500):
            some = names[start : start + 500]
            rows = await self._runner.read(partial(presence.kept, user_ids=some))
            for kept in rows.values():
                person = self._people[kept.user_id] = Person(kept, self._now())
                person.lost_until, person.told = until, HIDDEN
                person.away_since = alive_at or kept.last_seen
                heappush(self._due, (until, kept.user_id))

    async def run(self) -> None:
        """Tell changes, for ever."""
        while True:
            wait = self._due[0][0] - trio.current_time() if self._due else float("inf")
            with trio.move_on_after(max(wait, 0.0)):
                await self._wake.wait()
            self._wake = trio.Event()
            clock = trio.current_time()
            while self._due and self._due[0][0] <= clock:
                self._changed.add(heappop(self._due)[1])
            changed, self._changed = self._changed, set()
            shown, self._shown = self._shown, set()
            met, self._met = self._met, set()
            if not self.leaving:
                for user_id in changed:
                    await self._tell(user_id)
                for user_id in shown:
                    await self._tell_each(user_id)
                for user_id in met:
                    await self._tell_shy(user_id, met)
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

    def _meet(self, user_ids: Iterable[str]) -> None:
        self._met.update(user_ids)
        self._wake.set()

    def _await_end(self, user_id: str, person: Person) -> None:
        """Look again when what a user chose comes to its end."""
        if person.until is not None:
            heappush(self._due, (trio.current_time() + person.until - self._now(), user_id))
            self._wake.set()

    def _seen_by(self, viewer: str, kept: Kept, sharing: set[str]) -> Status:
        """Return what `viewer` may see of a user; `sharing` are those they share a conversation with."""
        person = self._people.get(kept.user_id)
        shown_to = kept.shown_to if person is None else person.shown_to
        may = (
            viewer == kept.user_id or shown_to == "everyone" or (shown_to == "shared" and kept.user_id in sharing)
        )
        if not may:
            return HIDDEN
        return from_kept(kept) if person is None else person.told

    def _read(self, connection: sqlite3.Connection, viewer: str, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        rows = presence.kept(connection, user_ids)
        for user_id in user_ids:
            hidden = self._closed_directory and not directory.find(connection, viewer, user_id, shared=True)
            if user_id not in rows or hidden:
                raise not_found(f"user {user_id!r}")
        sharing = presence.sharing(connection, viewer, user_ids)
        return [self._seen_by(viewer, rows[user_id], sharing).described(user_id) for user_id in user_ids]

    async def _tell(self, user_id: str) -> None:
        """Tell a user's followers what changed, if anything did."""
        person = self._people.get(user_id)
        if person is None:
            return
        devices = [device.active for device in self._connections.of(user_id).values()]
        status = person.status(devices, trio.current_time(), self._now())
        if status == person.told and (devices or person.graces or person.lost_until):
            return
        self._unsaved.add(user_id)
        self._save.set()
        if status == person.told:
            return
        person.told = status
        viewers = self._followers.of(user_id)
        if viewers and person.shown_to != "nobody":
            if person.shown_to == "shared":
                viewers = await self._sharing(user_id, list(viewers))
            self._push(viewers, user_id, status)

    async def _tell_each(self, user_id: str) -> None:
        """Tell each follower what they may see of a user now: who may see them changed."""
        followers = list(self._followers.of(user_id))
        if followers:
            rows = await self._runner.read(partial(presence.kept, user_ids=[user_id]), brief=True)
            sharing = await self._sharing(user_id, followers)
            for follower in followers:
                shared = {user_id} if follower in sharing else set()
                self._push([follower], user_id, self._seen_by(follower, rows[user_id], shared))

    async def _tell_shy(self, user_id: str, met: set[str]) -> None:
        """Tell a user and others what they may see of each other, where that hangs on a shared conversation.

        Args:
            met: those whose followers are told already.
        """
        if self._followers.of(user_id):
            rows = await self._runner.read(partial(presence.kept, user_ids=[user_id]), brief=True)
            if rows[user_id].shown_to == "shared":
                await self._tell_each(user_id)
        if self._followers.follows(user_id):
            company = await self._runner.read(partial(read_company, user_id=user_id), brief=True)
            for kept in company.followed.values():
                if kept.shown_to == "shared" and kept.user_id not in met:
                    self._push([user_id], kept.user_id, self._seen_by(user_id, kept, company.sharing))

    async def _sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        return await self._runner.read(partial(presence.sharing, user_id=user_id, others=others), brief=True)

    def _push(self, viewers: Iterable[str], user_id: str, status: Status) -> None:
        frame = status.frame(user_id, self._now())
        for viewer in viewers:
            for connection in self._connections.of(viewer).values():
                if connection.active:
                    connection.push_latest(frame, (TYPE, user_id))
                else:
                    missed = connection.missed_statuses = connection.missed_statuses or {}
                    missed[user_id] = status
