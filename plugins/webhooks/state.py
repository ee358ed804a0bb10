"""The delivery state of webhooks: in memory while the server runs, and written behind to the tables.

What is in the tables may lag by a moment. So after a crash the deliveries of that moment are made once more, under
the same ids; but nothing is ever recorded as delivered that was not.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Any

import trio

from relay.plugin import Server, StorageFailed, Wakeup

from . import tables
from .filter import Filter, StoredMessage
from .post import Attempt
from .tables import Hook, Statement

MOST_BACKLOGS = 10_000
"""Conversations with a backlog that one webhook may have. Beyond that it stops scanning: the log is the queue."""

KEPT_ATTEMPTS = 100
"""The newest attempts of a webhook, which admins can look at."""

KEPT_DEAD = 10_000
"""The newest dead letters of a webhook; older ones are deleted."""

_WRITE_SECONDS = 0.25
_POSITION_SECONDS = 30.0
_STATEMENTS_AT_ONCE = 200
_DISK_SECONDS = 5.0

_order = count()


class Backlog:
    """The messages of one conversation that a webhook still has to get.

    Attributes:
        after: everything up to here was delivered or given up: a seq, or for dead letters a message_id.
        until: the newest message that is known: a seq. For dead letters, how often a replay was asked for.
        attempts: how often the next message was tried.
        next_at: when it is tried again, Unix seconds.
        error: why the last attempt failed.
        is_replay: whether these are dead letters that are delivered once more.
    """

    __slots__ = ("after", "attempts", "channel_id", "error", "is_replay", "next_at", "until")

    def __init__(
        self,
        channel_id: int,
        after: int,
        until: int,
        attempts: int = 0,
        next_at: float = 0.0,
        error: str | None = None,
        *,
        is_replay: bool = False,
    ) -> None:
        self.channel_id = channel_id
        self.after = after
        self.until = until
        self.attempts = attempts
        self.next_at = next_at
        self.error = error
        self.is_replay = is_replay


class HookState:
    """The delivery state of one webhook: a backlog per conversation, and when each is next.

    Args:
        backlogs, replays: as `read_backlogs` and `read_replays` return them.

    Attributes:
        position: the log was scanned up to here.
        busy: how many of its conversations are being served.
        failures: failed attempts in a row.
        removed: the webhook was removed; what is under way for it has no effect any more.
        unwritten: the channels whose backlogs in the table are older than these.
        moved: whether the webhook's own row is older.
    """

    def __init__(self, hook: Hook, backlogs: Iterable[tuple[Any, ...]], replays: Iterable[int]) -> None:
        self.hook = hook
        self.filter = Filter(hook.choice, hook.reply_as)
        self.position = hook.position
        self.failing_since = hook.failing_since
        self.busy = self.failures = 0
        self.removed = self.moved = False
        self.backlogs = {row[0]: Backlog(*row) for row in backlogs}
        self.replays: dict[int, Backlog] = {}
        self.unwritten: set[int] = set()
        self.next_slot = 0.0
        self._ready: deque[Backlog] = deque()
        self._later: list[tuple[float, int, Backlog]] = []
        for backlog in self.backlogs.values():
            self.queue_for_later(backlog)
        self.replay(replays)

    @property
    def active(self) -> bool:
        """Whether it delivers: it is neither paused nor removed."""
        return not self.removed and self.hook.paused_at is None

    @property
    def full(self) -> bool:
        """Whether it has so many backlogs that it stops scanning the log."""
        return len(self.backlogs) >= MOST_BACKLOGS

    def update(self, hook: Hook) -> None:
        """Take over what an admin changed. After a pause every backlog is tried at once."""
        resumed = hook.paused_at is None and self.hook.paused_at is not None
        self.hook = hook
        if resumed:
            self.failures, self.failing_since = 0, None
            self._ready.extend(backlog for _, _, backlog in self._later)
            self._later.clear()

    def replay(self, channel_ids: Iterable[int]) -> None:
        """Begin with the oldest dead letter that is to be delivered once more, in each of some conversations."""
        for channel_id in channel_ids:
            known = self.replays.get(channel_id)
            if known is None:
                known = self.replays[channel_id] = Backlog(channel_id, 0, 0, is_replay=True)
                self._ready.append(known)
            known.after = 0
            known.until += 1

    # Scanning the log.

    def scan(self, page: Iterable[StoredMessage], reached: int) -> None:
        """Add the messages that the webhook gets to its backlogs.

        Args:
            page: messages of the log, in order.
            reached: a position up to which the page holds everything.
        """
        self.moved = True
        for message in page:
            if message.message_id <= self.position:
                continue
            if self.filter.matches(message) and not self._add(message):
                return
            self.position = message.message_id
        self.position = max(self.position, reached)

    def _add(self, message: StoredMessage) -> bool:
        known = self.backlogs.get(message.channel_id)
        if known is None:
            if self.full:
                return False
            known = self.backlogs[message.channel_id] = Backlog(message.channel_id, message.seq - 1, message.seq)
            self._ready.append(known)
        known.until = max(known.until, message.seq)
        self.unwritten.add(message.channel_id)
        return True

    # The order in which conversations are served.

    def queue_for_later(self, backlog: Backlog) -> None:
        """Queue a backlog for its `next_at`."""
        heapq.heappush(self._later, (backlog.next_at, next(_order), backlog))

    def queue(self, backlog: Backlog) -> None:
        """Queue a backlog behind those that are ready."""
        self._ready.append(backlog)

    def next_ready(self, now: float) -> Backlog | None:
        """Take the next backlog that is ready out of the queue; None where none is."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        return self._ready.popleft() if self._ready else None

    def next_retry_at(self) -> float:
        """Return when the next backlog is to be tried again, Unix seconds."""
        return self._later[0][0] if self._later else float("inf")

    # What became of a message.

    def advance(self, backlog: Backlog, place: int, until: int) -> None:
        """Go on behind a message that was delivered or given up.

        Args:
            place: the message's seq; of a dead letter its message_id.
            until: `backlog.until` when the message was looked for. If a replay was asked for since then, the
                dead letters are gone through from the oldest again.
        """
        backlog.attempts, backlog.error = 0, None
        if not backlog.is_replay or backlog.until == until:
            backlog.after = place
        self._changed(backlog)

    def finish(self, backlog: Backlog, until: int) -> bool:
        """Note that nothing is left up to `until`; return whether the backlog is empty, and if so forget it."""
        if not backlog.is_replay:
            backlog.after = until
        self._changed(backlog)
        if backlog.until > until:
            return False
        del (self.replays if backlog.is_replay else self.backlogs)[backlog.channel_id]
        return True

    def record_failure(self, backlog: Backlog, error: str, now: float) -> None:
        """Count a failed attempt."""
        backlog.attempts += 1
        backlog.error = error
        self.failures += 1
        if self.failing_since is None:
            self.failing_since, self.moved = now, True
        self._changed(backlog)

    def record_success(self) -> None:
        """Note that the receiver took a delivery."""
        if self.failing_since is not None:
            self.failing_since, self.moved = None, True
        self.failures = 0

    def _changed(self, backlog: Backlog) -> None:
        if not backlog.is_replay:
            self.unwritten.add(backlog.channel_id)


class StateWriter:
    """Writes the delivery state behind: it gathers changes and writes them a few times a second at most."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._statements: list[Statement] = []
        self._attempts: dict[str, list[Attempt]] = {}
        self._with_new_dead: set[str] = set()
        self._writing = trio.Lock()
        self._changed = Wakeup()

    def wake(self) -> None:
        """Write soon: the state of some webhook changed."""
        self._changed.set()

    def add_attempt(self, hook_id: str, attempt: Attempt) -> None:
        """Record an attempt; only the newest ones of a webhook are kept."""
        recent = self._attempts.setdefault(hook_id, [])
        recent.append(attempt)
        del recent[:-KEPT_ATTEMPTS]
        self._changed.set()

    def add_dead_letter(self, hook_id: str, channel_id: int, attempt: Attempt) -> None:
        """Record a message that was given up after its last attempt."""
        row = (attempt.message_id, channel_id, attempt.number, attempt.status, attempt.error, attempt.at)
        self._statements.append(tables.add_dead(hook_id, *row))
        self._with_new_dead.add(hook_id)
        self._changed.set()

    def remove_dead_letter(self, hook_id: str, message_id: int) -> None:
        """Forget a dead letter, which was delivered after all."""
        self._statements.append(tables.remove_dead(hook_id, message_id))
        self._changed.set()

    async def run(self, states: dict[str, HookState]) -> None:
        """Write what changed, for ever. A position alone is written every half minute only."""
        while True:
            await self._changed.wait(_POSITION_SECONDS)
            try:
                await self.write(states)
            except StorageFailed as failed:
                self._server.log.error("where webhooks stand could not be saved; it is tried again: %s", failed)
                self._changed.set()
                await trio.sleep(_DISK_SECONDS)
            await trio.sleep(_WRITE_SECONDS)

    async def write(self, states: dict[str, HookState]) -> None:
        """Write everything that changed.

        Raises:
            StorageFailed: the disk did not take it; it stays gathered.
        """
        async with self._writing:
            await self._execute()  # first what a full disk did not take, so that it cannot pile up
            self._gather(states)
            await self._execute()

    async def _execute(self) -> None:
        while self._statements:
            some = self._statements[:_STATEMENTS_AT_ONCE]
            await tables.execute(self._server, some)
            del self._statements[: len(some)]

    def _gather(self, states: dict[str, HookState]) -> None:
        for hook_id, state in states.items():
            # The backlogs before the position: a crash between the two must not lose what was found.
            for channel_id in state.unwritten:
                self._statements.append(_backlog_statement(hook_id, channel_id, state.backlogs.get(channel_id)))
            state.unwritten.clear()
            if state.moved:
                values = (state.position, state.failing_since, hook_id)
                sql = "UPDATE webhooks_hooks SET position = ?, failing_since = ? WHERE hook_id = ?"
                self._statements.append((sql, values))
                state.moved = False
        for hook_id, attempts in self._attempts.items():
            for one in attempts:
                outcome = (one.milliseconds, one.status, one.error, one.answer_text)
                self._statements.append(tables.add_attempt(hook_id, one.message_id, one.number, one.at, *outcome))
            self._statements.append(tables.trim_attempts(hook_id, KEPT_ATTEMPTS))
        self._statements += [tables.trim_dead(hook_id, KEPT_DEAD) for hook_id in self._with_new_dead]
        self._attempts, self._with_new_dead = {}, set()


def _backlog_statement(hook_id: str, channel_id: int, backlog: Backlog | None) -> Statement:
    if backlog is None:
        return tables.remove_backlog(hook_id, channel_id)
    return tables.save_backlog(
        hook_id, channel_id, backlog.after, backlog.until, backlog.attempts, backlog.next_at, backlog.error
    )
