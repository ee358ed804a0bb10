"""Followers: which connected users follow whom."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Final

NOBODY: Final[Set[str]] = frozenset()


class Followers:
    """The followers of each user, and whom each follower follows. It holds connected followers only."""

    def __init__(self) -> None:
        self._followers: dict[str, set[str]] = {}
        self._following: dict[str, set[str]] = {}

    def of(self, user_id: str) -> Set[str]:
        """Return the connected users who follow a user."""
        return self._followers.get(user_id, NOBODY)

    def add(self, user_id: str, others: Iterable[str]) -> None:
        """Make a connected user follow others."""
        for other in others:
            self._following.setdefault(user_id, set()).add(other)
            self._followers.setdefault(other, set()).add(user_id)

    def remove(self, user_id: str, others: Iterable[str]) -> None:
        """Make a user no longer follow others."""
        _discard(self._following, user_id, others)
        for other in others:
            _discard(self._followers, other, (user_id,))

    def forget(self, user_id: str) -> None:
        """Forget a follower whose last device is gone."""
        self.remove(user_id, list(self._following.get(user_id, ())))


def _discard(sets: dict[str, set[str]], key: str, values: Iterable[str]) -> None:
    held = sets.get(key)
    if held is not None:
        held.difference_update(values)
        if not held:
            del sets[key]
