"""Who follows whom: among those who are connected, and what a hello reads of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Set
from typing import Final, NamedTuple

from relay.storage import presence
from relay.storage.presence import Kept

NOBODY: Final[Set[str]] = frozenset()


class Followers:
    """The followers of each user, in both directions; it holds connected followers only."""

    def __init__(self) -> None:
        self._followers: dict[str, set[str]] = {}
        self._following: dict[str, set[str]] = {}

    def of(self, user_id: str) -> Set[str]:
        """Return the connected users who follow a user."""
        return self._followers.get(user_id, NOBODY)

    def follows(self, user_id: str) -> bool:
        """Tell whether a connected user follows anybody."""
        return user_id in self._following

    def add(self, user_id: str, others: Iterable[str]) -> None:
        """Have a connected user follow others."""
        for other in others:
            self._following.setdefault(user_id, set()).add(other)
            self._followers.setdefault(other, set()).add(user_id)

    def remove(self, user_id: str, others: Iterable[str]) -> None:
        """Have a user follow others no longer."""
        _drop(self._following, user_id, others)
        for other in others:
            _drop(self._followers, other, (user_id,))

    def forget(self, user_id: str) -> None:
        """Forget a follower whose last device is gone."""
        self.remove(user_id, list(self._following.get(user_id, ())))


def _drop(sets: dict[str, set[str]], key: str, values: Iterable[str]) -> None:
    held = sets.get(key)
    if held is not None:
        held.difference_update(values)
        if not held:
            del sets[key]


class Company(NamedTuple):
    """What is read at a hello: the user's own presence, whom they follow, and what is kept of those."""

    own: Kept
    following: list[str]
    followed: dict[str, Kept]
    sharing: set[str]


def read_company(connection: sqlite3.Connection, user_id: str) -> Company:
    """Read what a hello needs; runs on a reader."""
    own, follows = presence.own(connection, user_id)
    if not follows:
        return Company(own, [], {}, set())
    following = presence.following(connection, user_id)
    followed = presence.kept(connection, following)
    shy = [kept.user_id for kept in followed.values() if kept.shown_to == "shared"]
    sharing = presence.sharing(connection, user_id, shy) if shy else set()
    return Company(own, following, followed, sharing)
