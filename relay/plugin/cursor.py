"""A cursor over the log, saved in a table: for a plugin's task that follows the log, at no cost to messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import trio

from relay.plugin.types import Server
from relay.storage.errors import StorageFailed

_SAVED_SECONDS: Final = 60.0
_DISK_SECONDS: Final = 30.0


class Slice(NamedTuple):
    """The outcome of one part of the log.

    Attributes:
        reached: the position up to which it was read.
        acted: whether something was done about it; then the cursor is saved at once.
    """

    reached: int
    acted: bool

    @classmethod
    def of(cls, rows: Sequence[tuple[Any, ...]], limit: int, until: int, *, acted: bool) -> Slice:
        """Return the slice of rows that begin with their `message_id`, from a query with `LIMIT limit`."""
        return cls(rows[-1][0] if len(rows) == limit else until, acted)


class LogCursor:
    """The position up to which a task has read the log.

    It is saved with each slice that something was done about, and once a minute besides. So after a crash a slice
    that said nothing is read again, and one that said something may be: what is done about it can be done twice.

    Attributes:
        at: the position.
    """

    def __init__(self, server: Server, table: str, name: str, at: int) -> None:
        self.at = at
        self._server = server
        self._table = table
        self._name = name
        self._saved = (at, server.now())

    @classmethod
    async def open(cls, server: Server, table: str, name: str) -> LogCursor:
        """Return a cursor where it was saved; the first time at the end of the log, and never beyond that.

        Args:
            table: a table of the plugin's own: `CREATE TABLE … (name TEXT PRIMARY KEY, value NOT NULL)`.
            name: of the cursor's row in it.
        """
        end = server.position
        found = await server.read(
            lambda connection: connection.execute(f"SELECT value FROM {table} WHERE name = ?", (name,)).fetchone()
        )
        cursor = cls(server, table, name, end if found is None else min(int(found[0]), end))
        if found is None:
            await cursor.save()
        return cursor

    async def wait(self) -> None:
        """Wait until something is stored beyond the position."""
        await self._server.stored_beyond(self.at)

    async def catch_up(self, take: Callable[[int, int], Awaitable[Slice]]) -> None:
        """Read the log to the end that it has now, slice by slice.

        Args:
            take: `take(after, until)` reads what comes after a position, as much as it likes, up to another one.

        Raises:
            StorageFailed: the disk did not take the position.
        """
        until = self._server.position
        while self.at < until:
            self.at, acted = await take(self.at, until)
            if acted:
                await self.save()
        at, when = self._saved
        if self.at != at and self._server.now() - when >= _SAVED_SECONDS:
            await self.save()

    async def save(self) -> None:
        """Save the position.

        Raises:
            StorageFailed: the disk did not take it.
        """
        sql, values = f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", (self._name, self.at)
        await self._server.write(lambda connection: connection.execute(sql, values))
        self._saved = (self.at, self._server.now())


async def survive_full_disk(server: Server, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task that never ends, and run it again when the disk did not take something.

    The plugin did nothing wrong then, so no failure of it is counted.
    """
    while True:
        try:
            await run()
        except* StorageFailed:
            server.log.warning("the disk did not take something; %s goes on in %g s", server.plugin, _DISK_SECONDS)
        await trio.sleep(_DISK_SECONDS)
