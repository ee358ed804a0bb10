"""Long work on a file, on a thread that all other threads go before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import trio

from relay.storage.copying import Progress, be_modest
from relay.storage.errors import BackupFailed

T = TypeVar("T")

_STOP_SECONDS: Final = 10.0


async def on_modest_thread(work: Callable[[], T], progress: Progress, limiter: trio.CapacityLimiter) -> T:
    """Run long work on a thread; if this is cancelled, stop it and wait until it has cleaned up.

    Args:
        progress: the work's own, by which it is stopped.
    """
    over, token = trio.Event(), trio.lowlevel.current_trio_token()
    begun: list[bool] = []

    def run() -> T:
        begun.append(True)
        try:
            if progress.stopped:  # who stopped it saw that it had not begun, and waits no more
                raise BackupFailed("stopped before its beginning")
            # A thread of its own, which then is gone: one of trio's would stay behind all others.
            with ThreadPoolExecutor(1, "relay-backup", be_modest) as threads:
                return threads.submit(work).result()
        finally:
            token.run_sync_soon(over.set)

    try:
        return await trio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
    except trio.Cancelled:
        progress.stop()
        if begun:
            with trio.move_on_after(_STOP_SECONDS, shield=True):
                await over.wait()
        raise
