"""Blocks: whom each user keeps away from themself. All pairs are in memory, so that a message costs one lookup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.storage import blocks
from relay.storage.accounts import get_user
from relay.storage.blocks import Block
from relay.storage.jobs import Runner

MOST: Final = 1000
"""The most people whom one user blocks."""


class Blocks:
    """Keeps who blocks whom.

    Args:
        now: Unix seconds.

    Attributes:
        blockers: of each user whom somebody blocks, those who do.
        changed: called with the one who blocks, and whom, after each change.
    """

    def __init__(self, runner: Runner, now: Callable[[], float]) -> None:
        self._runner = runner
        self._now = now
        self.blockers: dict[str, set[str]] = {}
        self.changed: Callable[[str, str], None] = lambda _user_id, _blocked: None

    async def recover(self) -> None:
        """Take what is stored into memory."""
        for user_id, blocked in await self._runner.read(blocks.list_all):
            self.blockers.setdefault(blocked, set()).add(user_id)

    async def put(self, user_id: str, blocked: str) -> None:
        """Block somebody; nothing changes for one who is blocked already.

        Raises:
            RelayError: `not_found`; `invalid_payload` for oneself; `forbidden` beyond `MOST`.
        """
        if user_id == blocked:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, "nobody blocks themself", details={"reason": "yourself"})

        def store(connection: sqlite3.Connection) -> None:
            if get_user(connection, blocked) is None:
                raise not_found(f"user {blocked!r}")
            if len(blocks.of_user(connection, user_id)) >= MOST:
                text = f"you block {MOST} people, and there may be no more; unblock somebody first"
                raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "too_many_blocked", "max": MOST})
            blocks.put(connection, user_id, blocked, self._now())

        await self._runner.write(store)
        self.blockers.setdefault(blocked, set()).add(user_id)
        self.changed(user_id, blocked)

    async def remove(self, user_id: str, blocked: str) -> None:
        """Unblock somebody; nothing changes for one who is not blocked."""
        await self._runner.write(lambda connection: blocks.remove(connection, user_id, blocked))
        self._discard(user_id, blocked)
        self.changed(user_id, blocked)

    async def of(self, user_id: str) -> list[Block]:
        """Return the people whom a user blocks, the last one first."""
        return await self._runner.read(lambda connection: blocks.of_user(connection, user_id), inline=True)

    def holds(self, user_id: str, other: str) -> bool:
        """Return whether a user blocks another."""
        return user_id in self.blockers.get(other, ())

    def forget_user(self, user_id: str) -> None:
        """Forget the blocks by and of an account that is erased."""
        self.blockers.pop(user_id, None)
        for blocked in [one for one, blockers in self.blockers.items() if user_id in blockers]:
            self._discard(user_id, blocked)

    def _discard(self, user_id: str, blocked: str) -> None:
        blockers = self.blockers.get(blocked, set())
        blockers.discard(user_id)
        if not blockers:
            self.blockers.pop(blocked, None)

    def check_direct(self, user_id: str, other: str) -> None:
        """Refuse a direct message between two users of whom one blocks the other.

        Who is blocked gets an answer that does not say so.

        Raises:
            RelayError: `forbidden`.
        """
        if self.holds(other, user_id):
            text = "you cannot write to this person"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "cannot_write"})
        if self.holds(user_id, other):
            text = "you block this person; unblock them to write to them"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "you_block"})
