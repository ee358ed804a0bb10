"""Where a webhook stands, in memory: what it still has to get of which conversation, and when."""

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any

from .choosing import Chooser, Said
from .tables import Hook

MOST_BACKLOGS = 10_000
"""Conversations that one webhook may be behind in before its way through the log waits: the log is the queue."""

_order = count()


class Backlog:
    """What a webhook still has to get of one conversation.

    Attributes:
        after: up to here all was delivered or given up: a seq; for dead letters a message_id.
        until: the newest that is known to be there; for dead letters, how often they were asked for.
        attempts: how often the next message was tried.
        next_at: when it is tried again, Unix seconds.
        error: why the last attempt failed.
        replays: whether these are dead letters that are delivered once more.
    """

    __slots__ = ("after", "attempts", "channel_id", "error", "next_at", "replays", "until")

    def __init__(
        self,
        channel_id: int,
        after: int,
        until: int,
        attempts: int = 0,
        next_at: float = 0.0,
        error: str | None = None,
        *,
        replays: bool = False,
    ) -> None:
        self.channel_id = channel_id
        self.after = after
        self.until = until
        self.attempts = attempts
        self.next_at = next_at
        self.error = error
        self.replays = replays


class Standing:
    """One webhook at work.

    Args:
        backlogs, replaying: as the tables have them.

    Attributes:
        hook: as it is kept.
        position: up to here the log was looked through.
        busy: how many of its conversations are being served.
        misses: attempts that failed since the last that did not.
        removed: it is no more; what is under way for it comes to nothing.
        unwritten: the conversations whose rows on the disk are behind.
        moved: whether the webhook's own row is.
    """

    def __init__(self, hook: Hook, backlogs: Iterable[tuple[Any, ...]], replaying: Iterable[int]) -> None:
        self.position = hook.position
        self.failing_since = hook.failing_since
        self.busy = self.misses = 0
        self.removed = self.moved = False
        self.backlogs = {row[0]: Backlog(*row) for row in backlogs}
        self.replays: dict[int, Backlog] = {}
        self.unwritten: set[int] = set()
        self.next_slot = 0.0
        self.hook = hook
        self.chooser = Chooser(hook.choice, hook.reply_as)
        self._ready: deque[Backlog] = deque()
        self._later: list[tuple[float, int, Backlog]] = []
        for backlog in self.backlogs.values():
            self.put_off(backlog)
        self.replay(replaying)

    def adopt(self, hook: Hook) -> None:
        """Go by what an admin changed; what waited for its next attempt is tried at once after a pause."""
        resumed = hook.paused_at is None and self.hook.paused_at is not None
        self.hook = hook
        if resumed:
            self.misses, self.failing_since = 0, None
            self._ready.extend(backlog for _, _, backlog in self._later)
            self._later.clear()

    def replay(self, channel_ids: Iterable[int]) -> None:
        """Begin again with the dead letters of conversations that are to be delivered once more."""
        for channel_id in channel_ids:
            known = self.replays.get(channel_id)
            if known is None:
                known = self.replays[channel_id] = Backlog(channel_id, 0, 0, replays=True)
                self._ready.append(known)
            known.after = 0
            known.until += 1

    @property
    def at_work(self) -> bool:
        """Whether it delivers."""
        return not self.removed and self.hook.paused_at is None

    @property
    def full(self) -> bool:
        """Whether it is behind in so many conversations that it looks for no more."""
        return len(self.backlogs) >= MOST_BACKLOGS

    def look_at(self, page: Iterable[Said], reached: int) -> None:
        """Note which conversations have something for it among stored messages, in order.

        Args:
            reached: up to here there is nothing but them.
        """
        self.moved = True
        for said in page:
            if said.message_id <= self.position:
                continue
            if self.chooser.wants(said) and not self._note(said):
                return
            self.position = said.message_id
        self.position = max(self.position, reached)

    def _note(self, said: Said) -> bool:
        known = self.backlogs.get(said.channel_id)
        if known is None:
            if self.full:
                return False
            known = self.backlogs[said.channel_id] = Backlog(said.channel_id, said.seq - 1, said.seq)
            self._ready.append(known)
        known.until = max(known.until, said.seq)
        self.unwritten.add(said.channel_id)
        return True

    def put_off(self, backlog: Backlog) -> None:
        """Have a conversation wait for its `next_at`."""
        heapq.heappush(self._later, (backlog.next_at, next(_order), backlog))

    def take_turn(self, backlog: Backlog) -> None:
        """Have a conversation wait behind the others that are ready."""
        self._ready.append(backlog)

    def next_ready(self, now: float) -> Backlog | None:
        """Return a conversation whose turn it is, or None."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        return self._ready.popleft() if self._ready else None

    def wakes_at(self) -> float:
        """Return when the next conversation's wait is over, Unix seconds."""
        return self._later[0][0] if self._later else float("inf")

    def done_with(self, backlog: Backlog, place: int, until: int) -> None:
        """Go on behind a message that was delivered or given up.

        Args:
            until: as it was when the message was looked for: dead letters asked for since then begin anew.
        """
        backlog.attempts, backlog.error = 0, None
        if not backlog.replays or backlog.until == until:
            backlog.after = place
        self._changed(backlog)

    def drained(self, backlog: Backlog, until: int) -> bool:
        """Note that nothing more is there up to `until`; tell whether the conversation has nothing more at all."""
        if not backlog.replays:
            backlog.after = until
        self._changed(backlog)
        if backlog.until > until:
            return False
        del (self.replays if backlog.replays else self.backlogs)[backlog.channel_id]
        return True

    def failed(self, backlog: Backlog, error: str, now: float) -> None:
        """Count a failed attempt."""
        backlog.attempts += 1
        backlog.error = error
        self.misses += 1
        self.moved = self.moved or self.failing_since is None
        self.failing_since = now if self.failing_since is None else self.failing_since
        self._changed(backlog)

    def succeeded(self) -> None:
        """Note that the receiver takes deliveries."""
        self.moved = self.moved or self.failing_since is not None
        self.misses, self.failing_since = 0, None

    def _changed(self, backlog: Backlog) -> None:
        if not backlog.replays:
            self.unwritten.add(backlog.channel_id)
