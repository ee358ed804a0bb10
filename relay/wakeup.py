"""A wakeup: any thread sets it, one task waits for it, and waiting resets it."""

from __future__ import annotations

import math
from contextlib import suppress
from threading import get_ident

import trio


class Wakeup:
    """Wakes the one task that waits for it. If it is set while nobody waits, the next wait ends at once.

    It takes the place of `await event.wait(); event = trio.Event()`, and may be set by other threads as well.
    """

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: tuple[trio.Event, int, trio.lowlevel.TrioToken] | None = None

    def set(self) -> None:
        """Wake the waiting task, or the next one that waits. Any thread may call this."""
        # No lock is needed: `set` marks before it looks for a waiting task, and the task announces itself before
        # it looks at the mark. So whichever comes second sees the other.
        self._set = True
        waiting = self._waiting
        if waiting is None:
            return
        event, thread, token = waiting
        if thread == get_ident():
            event.set()
        else:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(event.set, idempotent=True)

    def clear(self) -> None:
        """Reset it. The waiting task calls this when it is about to do what the wakeup was set for."""
        self._set = False

    async def wait(self, seconds: float = math.inf) -> bool:
        """Wait until it is set, at most `seconds`; reset it, and return whether it was set.

        Raises:
            trio.BusyResourceError: another task waits for it.
        """
        return await self.wait_until(math.inf if seconds == math.inf else trio.current_time() + seconds)

    async def wait_until(self, deadline: float = math.inf) -> bool:
        """Wait until it is set or `deadline` comes, on trio's clock; reset it, and return whether it was set.

        Raises:
            trio.BusyResourceError: another task waits for it.
        """
        if self._waiting is not None:
            raise trio.BusyResourceError("another task waits for this wakeup; each task needs one of its own")
        event = trio.Event()
        self._waiting = (event, get_ident(), trio.lowlevel.current_trio_token())
        try:
            if self._set or deadline <= trio.current_time():
                await trio.lowlevel.checkpoint()
            elif deadline == math.inf:
                await event.wait()  # without the cost of a cancel scope
            else:
                with trio.move_on_at(deadline):
                    await event.wait()
        finally:
            self._waiting = None
        was_set, self._set = self._set, False
        return was_set
