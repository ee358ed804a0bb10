"""Expiry: messages whose time has passed become tombstones, exactly then; at the start, what passed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from relay.services.router import Submission
from relay.storage import tombstones
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner

_SLICE: Final = 200
"""The most messages that expire in one transaction."""

_LONGEST_WAIT: Final = 3600.0
"""The clock of the wall may be set; so it is looked at again after so many seconds."""

_RETRY_SECONDS: Final = 5.0


class Expiry:
    """Waits for the next message to expire.

    Args:
        now: Unix seconds.
    """

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        self._runner = runner
        self._now = now
        self._next: float | None = None
        self._wake = trio.Event()

    def observe(self, submission: Submission) -> None:
        """Take note of a stored message that expires sooner than all others; an observer of the router's."""
        expires_at = submission.entry.expires_at
        if expires_at is not None and (self._next is None or expires_at < self._next):
            self._next = expires_at
            self._wake.set()

    async def run(self) -> None:
        """Let messages expire, for ever."""
        while True:
            try:
                await self._expire()
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            wait = float("inf") if self._next is None else min(max(self._next - self._now(), 0.0), _LONGEST_WAIT)
            with trio.move_on_after(wait):
                await self._wake.wait()
            self._wake = trio.Event()

    async def _expire(self) -> None:
        """Make tombstones of what is due, a slice at a time, and look when the next is."""
        self._next = None  # from here on `observe` says what comes in between
        found = await self._runner.read(tombstones.next_expiry)
        while found is not None and found <= self._now():
            await self._runner.write(lambda connection: tombstones.expire(connection, self._now(), _SLICE))
            found = await self._runner.read(tombstones.next_expiry)
        known = [expires_at for expires_at in (self._next, found) if expires_at is not None]
        self._next = min(known, default=None)
