"""Passwords: argon2id, two at once at most, as each takes 64 MiB, and in fair turns."""

from __future__ import annotations

import secrets
from typing import Final

import argon2
import trio

from relay.services.fair_queue import FairQueue

MAX_PASSWORD: Final = 1024
_HASHING: Final = 2
_WAITING: Final = 40
"""So many wait at most: about two seconds' worth."""


class Passwords:
    """Hashes and compares passwords, in threads of its own."""

    def __init__(self) -> None:
        self.hasher = argon2.PasswordHasher()
        self.threads = trio.CapacityLimiter(_HASHING)
        self._turns = FairQueue(_HASHING, _WAITING)
        self._decoy = ""

    async def hash(self, password: str, network: str = "", *, first: bool = True) -> str:
        """Return a password's argon2id hash.

        Args:
            network, first: whose turn it is; see `FairQueue.turn`.

        Raises:
            RelayError: `overloaded`.
        """
        async with self._turns.turn(network, first=first):
            return await trio.to_thread.run_sync(self.hasher.hash, password, limiter=self.threads)

    async def prepare(self) -> None:
        """Make the hash that unknown users' passwords are checked against, before anybody waits for it."""
        if not self._decoy:
            self._decoy = await self.hash(secrets.token_hex(8))

    async def verify(self, kept: str | None, password: str, network: str = "", *, first: bool = False) -> bool:
        """Compare a password with a kept hash; none takes as long and is False.

        Raises:
            RelayError: `overloaded`.
        """
        if kept is None:
            await self.prepare()
        async with self._turns.turn(network, first=first):
            same = await self.matches(kept or self._decoy, password)
        return same and kept is not None

    async def matches(self, kept: str, password: str) -> bool:
        """Compare, at once and whoever waits."""

        def verify() -> bool:
            try:
                return self.hasher.verify(kept, password[: MAX_PASSWORD + 1])
            except argon2.exceptions.VerificationError:
                return False

        return await trio.to_thread.run_sync(verify, limiter=self.threads)
