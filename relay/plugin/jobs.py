"""Scheduled jobs of a plugin: added, removed and listed while the server runs."""

from __future__ import annotations

import sqlite3
from typing import Any, Protocol

from relay.storage.schedules import ScheduledJob


class Jobs(Protocol):
    """A plugin's jobs at set times, `server.jobs`; each is of one of its schedules without a `when`.

    A job waits in the database, so a restart does not lose it. One whose time came while the server was off runs
    late. It is removed once its run has returned. A crash in between runs it again, with the same `run_id`.
    """

    async def add(
        self, schedule: str, *, at: float, data: dict[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Add a job, in a transaction of its own, and return its key. It replaces one of the same key.

        Args:
            schedule: the name of one of the plugin's schedules.
            at: when it runs, Unix seconds; at once where that has passed.
            data: what its run needs to know: a JSON object of at most 16 KiB.
            key: names it among the jobs of its schedule, in 1 to 200 characters; made up where there is none.

        Raises:
            ValueError: there is no such schedule, or a value is wrong.
            RelayError: `forbidden` beyond `[plugins] scheduled_jobs`.
            StorageFailed: the disk failed; nothing was added.
        """

    def add_inside(
        self,
        connection: sqlite3.Connection,
        schedule: str,
        *,
        at: float,
        data: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """Do the same inside a transaction: in `apply`, `after`, `stored` or a job of `server.write`.

        The job commits with what else is written there, or not at all.
        """

    async def remove(self, schedule: str, key: str) -> bool:
        """Remove a job, and return whether it was there. A run that has begun goes on, and is not tried again."""

    def remove_inside(self, connection: sqlite3.Connection, schedule: str, key: str) -> bool:
        """Do the same inside a transaction."""

    async def waiting(self, schedule: str, *, after: str = "", limit: int = 1000) -> list[ScheduledJob]:
        """Return jobs of a schedule that wait or run, by their keys, those after `after`."""
