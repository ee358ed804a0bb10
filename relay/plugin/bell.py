"""A bell: hooks ring it, on whatever thread they run, and the plugin's background task wakes."""

from __future__ import annotations

from contextlib import suppress

import trio


class Bell:
    """Wakes the one task that waits for it; rung while nobody waits, it lets the next wait end at once.

    No lock is needed: who rings sets `_rung` before looking for somebody who waits, who waits is there to be
    found before looking at `_rung`.
    """

    def __init__(self) -> None:
        self._rung = False
        self._waiting: tuple[trio.lowlevel.TrioToken, trio.Event] | None = None

    def ring(self) -> None:
        """Wake who waits; from any thread."""
        self._rung = True
        waiting = self._waiting
        if waiting is not None:
            token, event = waiting
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(event.set, idempotent=True)

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings, at most so long, and tell whether it did."""
        event = trio.Event()
        self._waiting = (trio.lowlevel.current_trio_token(), event)
        try:
            with trio.move_on_after(max(seconds, 0.0)):
                if not self._rung:
                    await event.wait()
            await trio.lowlevel.checkpoint()
        finally:
            self._waiting = None
        rung, self._rung = self._rung, False
        return rung
