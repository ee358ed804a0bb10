"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter, in seconds.

    `settle` is how long a connection must have been live before the count starts anew: one that dies at once
    after every success must not be dialled at the shortest delay for ever.
    """

    base: float = 0.5
    cap: float = 30.0
    settle: float = 1.0

    def delay(self, attempt: int, rng: random.Random) -> float:
        """Draw the wait before try number `attempt` (from 0): anything from 0 to the doubled base, capped."""
        return rng.uniform(0.0, min(self.cap, self.base * 2.0 ** min(attempt, 60)))
