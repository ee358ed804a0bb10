"""Back-off."""

from __future__ import annotations

import random

from relay.client import Backoff


def test_a_delay_lies_between_nothing_and_the_doubled_base_up_to_the_cap() -> None:
    backoff, rng = Backoff(base=0.5, cap=30.0), random.Random(1)
    for attempt in range(2_000):
        assert 0 <= backoff.delay(attempt, rng) <= min(30.0, 0.5 * 2.0 ** min(attempt, 60))
