"""The departures of devices, as long as the server remembers them: bounded, in memory only."""

from __future__ import annotations

from typing import Final

KEPT: Final = 20_000
"""The devices that are remembered; the one that went first is forgotten first."""


class Departures:
    """Remembers when each device's connection ended."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._went: dict[tuple[str, str], float] = {}

    def note(self, user_id: str, client_id: str, at: float) -> None:
        """Note that a device has gone; `at` in Unix seconds."""
        key = (user_id, client_id)
        self._went.pop(key, None)  # the order is that of the newest departures
        self._went[key] = at
        if len(self._went) > self._kept:
            del self._went[next(iter(self._went))]

    def of(self, user_id: str, client_id: str) -> float | None:
        """Return when a device went; None where that is not remembered."""
        return self._went.get((user_id, client_id))
