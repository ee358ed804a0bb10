"""How fast the body of a large request comes in: no faster than it is taken."""

from __future__ import annotations

from typing import Final

import trio

_BODY_WAITING: Final = 262_144
"""Bytes of one paced body that may wait for its handler."""


class Flow:
    """Lets a body in no faster than its handler takes it, once the handler says that it will say so."""

    def __init__(self) -> None:
        self._paced = False
        self._waiting = 0
        self._room = trio.Event()

    def begin(self) -> None:
        """Begin to be told by `taken`."""
        self._paced = True

    def let_go(self) -> None:
        """Let in whatever comes: nobody takes it any more."""
        self._paced = False
        self._room.set()

    def received(self, size: int) -> None:
        """Note bytes that came in."""
        self._waiting += size

    def taken(self, size: int) -> None:
        """Note bytes that the handler is done with."""
        self._waiting -= size
        self._room.set()

    async def wait_for_room(self) -> float:
        """Wait until little is waiting; return how long that took, which no sender is to blame for."""
        begun = trio.current_time()
        while self._paced and self._waiting > _BODY_WAITING:
            self._room = trio.Event()
            await self._room.wait()
        return trio.current_time() - begun
