"""Virtual time for tests: a clock that jumps to the next deadline whenever all tasks wait."""

from __future__ import annotations

import math
from typing import Any, Final

import trio
from trio.testing import MockClock

_LOOK_SECONDS: Final = 0.001


def jumping_clock() -> MockClock:
    """Return a `MockClock` that jumps at once, and rests while there is nothing to jump to.

    Trio's own looks for a deadline again and again, as fast as it can, while tasks wait for a thread, a process or
    a socket. This one then looks each millisecond of real time. It does not read the real clock, as it stands
    still between two jumps.
    """
    clock: Any = MockClock(autojump_threshold=0)

    def now() -> float:
        found: float = clock._virtual_base
        return found

    def jump() -> None:
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        is_somewhere = 0 < seconds < math.inf
        if is_somewhere:
            clock.jump(seconds)
        if is_somewhere is (clock.autojump_threshold > 0):
            clock.autojump_threshold = 0 if is_somewhere else _LOOK_SECONDS

    clock.current_time, clock._autojump = now, jump
    found: MockClock = clock
    return found
