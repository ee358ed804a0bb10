"""A timer queue: each key keeps its earliest deadline."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, TypeVar

NEVER: Final = float("inf")
_SLACK: Final = 64
"""Overtaken entries that the heap may hold, besides as many as there are keys."""

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """The deadline of each key, on any one clock; the memory is bounded by the number of keys."""

    def __init__(self) -> None:
        self._deadlines: dict[Key, float] = {}
        # An earlier deadline is pushed beside the later one, which `take` skips. The number keeps keys, which need
        # have no order, from being compared.
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, key: Key, deadline: float) -> None:
        """Give a key a deadline; if it has one already, the earlier one holds."""
        if deadline >= self._deadlines.get(key, NEVER):
            return
        self._deadlines[key] = deadline
        heappush(self._heap, (deadline, next(self._numbers), key))
        if len(self._heap) > 2 * len(self._deadlines) + _SLACK:
            self._heap = [(held, next(self._numbers), one) for one, held in self._deadlines.items()]
            heapify(self._heap)

    def next(self) -> float:
        """Return when to call `take` next, infinity for never. Nothing is due before; perhaps nothing is then."""
        return self._heap[0][0] if self._heap else NEVER

    def take(self, now: float) -> list[Key]:
        """Remove the keys whose deadline has come, and return them in its order."""
        due: list[Key] = []
        while self._heap and self._heap[0][0] <= now:
            deadline, _, key = heappop(self._heap)
            if self._deadlines.get(key) == deadline:
                del self._deadlines[key]
                due.append(key)
        return due
