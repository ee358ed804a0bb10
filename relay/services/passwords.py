"""Password hashes: argon2id, in fair turns, two at once at most because each takes 64 MiB."""

from __future__ import annotations

import secrets
from typing import Final

import argon2
import trio

from relay.services.fair_queue import FairQueue

MAX_PASSWORD: Final = 1024
COST: Final = argon2.profiles.RFC_9106_LOW_MEMORY
"""Of a hash: 64 MiB, three times over."""

_HASHING: Final = 2
_WAITING: Final = 40
"""The most that wait; about two seconds of work."""


class Passwords:
    """Hashes and compares passwords in its own threads."""

    def __init__(self) -> None:
        self.hasher = argon2.PasswordHasher.from_parameters(COST)
        self.threads = trio.CapacityLimiter(_HASHING)
        self._turns = FairQueue(_HASHING, _WAITING)
        self._decoy = ""

    async def hash(self, password: str, network: str = "", *, first: bool = True) -> str:
        """Return a password's argon2id hash.

        Args:
            network, first: as in `FairQueue.turn`.

        Raises:
            RelayError: `overloaded`.
        """
        async with self._turns.turn(network, first=first):
            return await trio.to_thread.run_sync(self.hasher.hash, password, limiter=self.threads)

    async def prepare(self) -> None:
        """Make the hash that passwords of unknown users are compared with, before a login has to wait for it."""
        if not self._decoy:
            self._decoy = await self.hash(secrets.token_hex(8))

    async def verify(
        self, stored_hash: str | None, password: str, network: str = "", *, first: bool = False
    ) -> bool:
        """Return whether a password matches a stored hash. Without a hash it is False, after the same time.

        Raises:
            RelayError: `overloaded`.
        """
        if stored_hash is None:
            await self.prepare()
        async with self._turns.turn(network, first=first):
            same = await self.matches(stored_hash or self._decoy, password)
        return same and stored_hash is not None

    async def matches(self, stored_hash: str, password: str) -> bool:
        """Compare a password with a hash without waiting for a turn."""

        def verify() -> bool:
            try:
                return self.hasher.verify(stored_hash, password[: MAX_PASSWORD + 1])
            except argon2.exceptions.VerificationError:
                return False

        return await trio.to_thread.run_sync(verify, limiter=self.threads)
