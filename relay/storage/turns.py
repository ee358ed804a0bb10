"""Fair turns for the few readers: each user gets a share, and one reader is always free for the server itself.

However many reads one user asks for, others wait for at most one of them, and the server's own reads (a hello, a
health check) for none.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Final

import trio

_reading_for: Final[ContextVar[str | None]] = ContextVar("relay.reading_for", default=None)


def read_for(user_id: str) -> None:
    """Count this task's reads from now on as a user's."""
    _reading_for.set(user_id)


@contextmanager
def reading_for(user_id: str) -> Iterator[None]:
    """Count reads inside the block as a user's."""
    before = _reading_for.set(user_id)
    try:
        yield
    finally:
        _reading_for.reset(before)


def current_reader() -> str | None:
    """Return the user whose reads this task does; None for the server's own."""
    return _reading_for.get()


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Turns:
    """Gives turns to the user who holds the fewest, and among those to the one who has waited longest.

    Args:
        readers: how many turns users hold at once. One user holds half of them at most, but at least one. The
            server has one more turn, and any that is free.
        processors: one user holds at most one turn less than that, but at least one, so that a processor is left
            for all others.
    """

    def __init__(self, readers: int, processors: int) -> None:
        self.total = readers + 1
        self._readers = readers
        self._each = max(1, min(readers // 2, processors - 1))
        self._held: Counter[str | None] = Counter()
        self._waiting: dict[str | None, deque[trio.Event]] = {}

    @asynccontextmanager
    async def turn(self, user_id: str | None) -> AsyncIterator[None]:
        """Wait for a turn, and hold it inside the block."""
        if user_id not in self._waiting and self._may(user_id):
            self._held[user_id] += 1
        else:
            await self._wait(user_id)
        try:
            yield
        finally:
            self._give_back(user_id)

    async def _wait(self, user_id: str | None) -> None:
        given = trio.Event()
        self._waiting.setdefault(user_id, deque()).append(given)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self._give_back(user_id)
            else:
                self._leave(user_id, given)
            raise

    def _leave(self, user_id: str | None, given: trio.Event) -> None:
        line = self._waiting[user_id]
        line.remove(given)
        if not line:
            del self._waiting[user_id]

    def _may(self, user_id: str | None) -> bool:
        held = self._held.total()
        if user_id is None:
            return held < self.total
        return self._held[user_id] < self._each and held - self._held[None] < self._readers and held < self.total

    def _give_back(self, user_id: str | None) -> None:
        self._held[user_id] -= 1
        if not self._held[user_id]:
            del self._held[user_id]
        while able := [one for one in self._waiting if self._may(one)]:
            self._give(min(able, key=self._held.__getitem__))

    def _give(self, user_id: str | None) -> None:
        line = self._waiting.pop(user_id)
        given = line.popleft()
        if line:
            self._waiting[user_id] = line  # goes behind the users who have waited meanwhile
        self._held[user_id] += 1
        given.set()
