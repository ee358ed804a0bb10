"""Probes of `relay doctor`: ids from the control socket, which open a look at the way that leads to this server.

Whoever has an id is shown how its own request arrived, and may send a body or hold an idle WebSocket to learn what
proxies on the way do with them. It opens nothing else, and is void after some minutes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

PROBE_SECONDS: Final = 300.0
_MOST: Final = 8


class Probes:
    """The ids that are good at this moment.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}

    def begin(self) -> str:
        """Return a new id; of too many the oldest is void at once."""
        now = self._clock()
        self._ends = {probe: end for probe, end in self._ends.items() if end > now}
        while len(self._ends) >= _MOST:
            del self._ends[next(iter(self._ends))]
        probe_id = f"probe_{secrets.token_urlsafe(24)}"
        self._ends[probe_id] = now + PROBE_SECONDS
        return probe_id

    def is_open(self, probe_id: str) -> bool:
        """Tell whether an id is good."""
        return self._ends.get(probe_id, 0.0) > self._clock()
