"""Exponential back-off: the wait before the next try."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter, in seconds.

    Args:
        base: the longest wait before the first try.
        cap: the longest wait before any try.
        settle: how long a connection must have been live before the count starts again: one that dies at once
            after every success must not be dialled at the shortest delay for ever.
    """

    base: float = 0.5
    cap: float = 30.0
    settle: float = 1.0

    def delay(self, attempt: int, rng: random.Random, most: float = math.inf) -> float:
        """Return a random wait before try `attempt` (from 0), at most `base` doubled `attempt` times, or `cap`."""
        return rng.uniform(0.0, min(self.cap, most, self.base * 2.0 ** min(attempt, 60)))
