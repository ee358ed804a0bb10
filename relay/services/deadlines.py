"""When to look at something again: one moment for each name, the earliest that was asked for."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

NEVER: Final = float("inf")
_SLACK: Final = 64


class Deadlines:
    """The moments at which names are due; it holds one for each name, and a bounded rest of overtaken ones."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, name: str, at: float) -> None:
        """Have a name due at a moment, or at the earlier one that it has already."""
        if at >= self._at.get(name, NEVER):
            return
        self._at[name] = at
        heappush(self._heap, (at, name))
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(moment, held) for held, moment in self._at.items()]
            heapify(self._heap)

    def next(self) -> float:
        """Return the moment to look at, infinity when there is none; at it nothing may be due after all."""
        return self._heap[0][0] if self._heap else NEVER

    def take(self, now: float) -> list[str]:
        """Return the names that are due, once."""
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            at, name = heappop(self._heap)
            if self._at.get(name) == at:
                del self._at[name]
                due.append(name)
        return due
