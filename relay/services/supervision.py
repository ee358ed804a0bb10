"""Restarting what may fail without costing anybody a message: with a pause that grows, and a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from relay.storage.errors import StorageError

_log: Final = logging.getLogger("relay.supervision")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task that should never end, again and again; one that ran for a while begins with a short pause.

    Args:
        name: what the log calls it.
    """
    pause = _FIRST_PAUSE
    while True:
        began = trio.current_time()
        try:
            await run()
            return
        except Exception as fault:
            if trio.current_time() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            # The disk's failures have a line of their own, and no traceback says more of them.
            trace = None if isinstance(fault, StorageError) else fault
            _log.error("%s failed; it begins again in %.0f s", name, pause, exc_info=trace)
        await trio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
