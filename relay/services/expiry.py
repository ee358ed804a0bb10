"""Expiry: messages become tombstones at their `expires_at`, or at the start if that passed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from relay.services.router import Submission
from relay.storage import tombstones
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.wakeup import Wakeup

_SLICE: Final = 200
"""The most messages that expire in one transaction."""

_LONGEST_WAIT: Final = 60.0
"""The system clock may be set meanwhile; so it is read again after this time at the latest."""

_RETRY_SECONDS: Final = 5.0


class Expiry:
    """Expires messages in time. One task waits for the next one.

    Args:
        now: Unix seconds.
    """

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        self._runner = runner
        self._now = now
        self._next: float | None = None
        self._wakeup = Wakeup()

    def observe(self, submission: Submission) -> None:
        """Note a stored message, which may expire before all others. The router calls this after the commit."""
        expires_at = submission.entry.expires_at
        if expires_at is not None and (self._next is None or expires_at < self._next):
            self._next = expires_at
            self._wakeup.set()

    async def run(self) -> None:
        """Expire messages, for ever."""
        while True:
            try:
                await self._expire()
            except StorageFailed:
                await trio.sleep(_RETRY_SECONDS)
                continue
            wait = float("inf") if self._next is None else min(max(self._next - self._now(), 0.0), _LONGEST_WAIT)
            await self._wakeup.wait(wait)

    async def _expire(self) -> None:
        """Make tombstones of the messages that are due, a slice at a time, and find out when the next one is."""
        self._next = None  # from here on `observe` sets it, for messages stored during the reads below
        found = await self._runner.read(tombstones.next_expiry)
        while found is not None and found <= self._now():
            await self._runner.write(lambda connection: tombstones.expire(connection, self._now(), _SLICE))
            found = await self._runner.read(tombstones.next_expiry)
        known = [expires_at for expires_at in (self._next, found) if expires_at is not None]
        self._next = min(known, default=None)
