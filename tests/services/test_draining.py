"""Tests of the drain's state."""

import math

from relay.services.draining import Drain


def test_a_server_drains_once_that_has_begun() -> None:
    drain = Drain()
    assert (drain.begun, drain.deadline) == (False, math.inf)
    drain.begin()
    assert (drain.begun, drain.deadline) == (True, math.inf)


def test_the_earliest_deadline_holds_and_is_told() -> None:
    told: list[float] = []
    drain = Drain(told.append)
    drain.begin(30.0)
    drain.begin(10.0)
    drain.begin(20.0)
    assert drain.deadline == 10.0
    assert told == [30.0, 10.0, 10.0]
