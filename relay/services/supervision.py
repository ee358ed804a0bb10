"""Supervision: restarts tasks whose failure costs no message, with growing pauses and a log line each time."""

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
    """Run a task that should never end, and restart it if it fails. After a long run the pause is short again.

    Args:
        name: the task's name in the log.
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
            # A failure of the disk is logged by itself, and a traceback would not add to that.
            trace = None if isinstance(fault, StorageError) else fault
            _log.error("%s failed; it begins again in %.0f s", name, pause, exc_info=trace)
        await trio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
