"""A wakeup: set from any thread, waited for by one task."""

from __future__ import annotations

from contextlib import suppress

import trio


class Wakeup:
    """Wakes the one task that waits for it; set while nobody waits, it ends the next wait at once.

    No lock is needed: `set` marks it before it looks for a waiting task, and a task announces itself before it
    looks at the mark.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiting: tuple[trio.lowlevel.TrioToken, trio.Event] | None = None

    def set(self) -> None:
        """Wake the waiting task, or the next one that waits; from any thread."""
        self._set = True
        waiting = self._waiting
        if waiting is not None:
            token, event = waiting
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(event.set, idempotent=True)

    async def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most `seconds`, and return whether it was; it is unset afterwards."""
        event = trio.Event()
        self._waiting = (trio.lowlevel.current_trio_token(), event)
        try:
            with trio.move_on_after(max(seconds, 0.0)):
                if not self._set:
                    await event.wait()
            await trio.lowlevel.checkpoint()
        finally:
            self._waiting = None
        was_set, self._set = self._set, False
        return was_set
