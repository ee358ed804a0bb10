"""Purging: the bytes of what was erased go, out of plugins' indexes, free pages and the write-ahead log.

A message that is erased is overwritten where it stood at once (`secure_delete`). What is left of it is in copies:
the search index keeps words until its parts are merged, and the write-ahead log keeps pages as they were. Both go
a while after, in small steps that leave the writer to the messages. What a crash cut short is done after the next
start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Final

import trio

from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner

_log: Final = logging.getLogger("relay.purging")
_SHARE: Final = 4
"""A pause is so many times as long as the step before it: a fifth of the writer's time at most."""

_SHORTEST_PAUSE: Final = 0.002
_RETRY_SECONDS: Final = 30.0
_HELD_PAUSE: Final = 0.2
_TRIES: Final = 50
"""So often the write-ahead log is to be emptied, `_HELD_PAUSE` apart, before somebody is told that it cannot."""

Step = Callable[[sqlite3.Connection], bool]


class Purging:
    """Purges a while after something was erased.

    Args:
        seconds: from an erasure to the purge; what is erased meanwhile is purged with it.
        step: does a part of what plugins have to do, in a transaction; tells whether there is more.
    """

    def __init__(self, runner: Runner, seconds: float, step: Step) -> None:
        self._runner = runner
        self._seconds = seconds
        self._step = step

    async def run(self) -> None:
        """Purge for ever; at the start what was left."""
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
        """Purge what there is, with pauses; tell whether nothing is left of it.

        Raises:
            StorageFailed: the disk did not take it; what is left to do is known.
        """
        erasures = await self._runner.read(_unpurged, inline=True)
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
                await self._runner.write(lambda connection: _done(connection, erasures))
                return True
            await trio.sleep(_HELD_PAUSE)
        _log.warning("what was erased stays in the write-ahead log for now: something keeps reading the database")
        return False

    async def finish(self) -> None:
        """Purge what is left before the database is closed, without pauses; closing it empties the log."""
        erasures = await self._runner.read(_unpurged, inline=True)
        if erasures is not None:
            while await self._runner.write(self._step):
                pass
            if await self._runner.checkpoint():
                await self._runner.scrub()
            await self._runner.write(lambda connection: _done(connection, erasures))


def _unpurged(connection: sqlite3.Connection) -> int | None:
    """Return how often something was erased since the last purge; None for never."""
    row = connection.execute("SELECT value FROM facts WHERE name = 'unpurged'").fetchone()
    return None if row is None else int(row[0])


def _done(connection: sqlite3.Connection, erasures: int) -> None:
    """Forget that there is something to purge, unless something was erased meanwhile."""
    connection.execute("DELETE FROM facts WHERE name = 'unpurged' AND value = ?", (erasures,))
