"""Purging: removes what is left of erased messages from indexes, free pages and the write-ahead log.

An erased message is overwritten in its row at once (`secure_delete`). Copies of it are left: the search index
keeps words until its parts are merged, and the write-ahead log keeps pages as they were. Both are removed a while
later, in small steps that leave the writer to the messages. The next start finishes what a crash cut short.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.observer import note_purged, unpurged_erasures

_log: Final = logging.getLogger("relay.purging")
_SHARE: Final = 4
"""A pause is this many times as long as the step before it, so a purge takes a fifth of the writer's time."""

_SHORTEST_PAUSE: Final = 0.002
_RETRY_SECONDS: Final = 30.0
_HELD_PAUSE: Final = 0.2
_TRIES: Final = 50
"""Tries to empty the write-ahead log, `_HELD_PAUSE` seconds apart, before a warning is logged."""

Step = Callable[[sqlite3.Connection], bool]


class Purging:
    """Purges a while after something was erased.

    Args:
        seconds: from an erasure to the purge; what is erased meanwhile is purged with it.
        step: does a part of the plugins' work, in a transaction; returns whether there is more.
    """

    def __init__(self, runner: Runner, seconds: float, step: Step) -> None:
        self._runner = runner
        self._seconds = seconds
        self._step = step

    async def run(self) -> None:
        """Purge for ever, first what was left at the last end."""
        while True:
            left = True
            try:
                left = not await self.purge()
            except StorageFailed as failed:
                _log.warning("what was erased is purged later: %s", failed)
            with trio.move_on_after(_RETRY_SECONDS if left else float("inf")):
                await self._runner.wait_erased()
                await trio.sleep(self._seconds)

    async def purge(self) -> bool:
        """Purge what there is, with pauses; return False if something is left.

        Raises:
            StorageFailed: the disk did not take it; the purge is still noted as due.
        """
        erasures = await self._runner.read(unpurged_erasures, inline=True)
        if erasures is None:
            return True
        more = True
        while more:
            begun = trio.current_time()
            more = await self._runner.write(self._step)
            await trio.sleep(max(_SHORTEST_PAUSE, _SHARE * (trio.current_time() - begun)))
        for _ in range(_TRIES):
            if await self._runner.checkpoint():
                await self._runner.scrub()
                await self._runner.write(partial(note_purged, erasures=erasures))
                return True
            await trio.sleep(_HELD_PAUSE)
        _log.warning("what was erased stays in the write-ahead log for now: something keeps reading the database")
        return False

    async def finish(self) -> None:
        """Purge what is left, without pauses, before the database is closed, which empties the log as well."""
        erasures = await self._runner.read(unpurged_erasures, inline=True)
        if erasures is not None:
            while await self._runner.write(self._step):
                pass
            if await self._runner.checkpoint():
                await self._runner.scrub()
            await self._runner.write(partial(note_purged, erasures=erasures))
