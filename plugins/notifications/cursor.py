"""Following the log by a cursor, so that messages pay nothing for it; and waiting for a disk that is full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from relay.plugin import Server, StorageFailed

from .schema import remember, state

SLICE = 500
"""So many messages of the log are read at once."""

GATHER_SECONDS = 0.5
"""After something was stored: how long to wait for what comes with it."""

NOTED_SECONDS = 60.0
"""How often a cursor is noted while nothing else is to be written."""

DISK_SECONDS = 30.0
"""How long to wait for a disk that is full."""


class Cursor:
    """How far a task has read the log.

    It is noted with what the log said, and now and then besides; so after a crash a part that said nothing is read
    again, and nothing that said something is missed.

    Attributes:
        at: the position up to which it was read.
    """

    def __init__(self, server: Server, name: str, at: int) -> None:
        self.at = at
        self._server = server
        self._name = name
        self._noted = (at, server.now())

    @classmethod
    async def load(cls, server: Server, name: str) -> Cursor:
        """Return where the task was; the first time, what is there already concerns nobody."""
        position = server.services.router.position
        done = await server.read(lambda connection: state(connection, name))
        cursor = cls(server, name, position if done is None else min(int(done), position))
        if done is None:
            await cursor.note()
        return cursor

    async def note(self) -> None:
        """Write down where it is."""
        at = self.at
        await self._server.write(lambda connection: remember(connection, self._name, at))
        self._noted = (at, self._server.now())

    async def note_now_and_then(self) -> None:
        """Write it down where it has moved and was not written for a minute."""
        at, when = self._noted
        if self.at != at and self._server.now() - when >= NOTED_SECONDS:
            await self.note()


async def patiently(server: Server, run: Callable[[], Awaitable[None]]) -> None:
    """Run a task, and again when the disk did not take something: that is no failure of the plugin's."""
    while True:
        try:
            await run()
        except* StorageFailed:
            server.log.warning("the disk did not take something; notifications go on in %g s", DISK_SECONDS)
        await trio.sleep(DISK_SECONDS)
