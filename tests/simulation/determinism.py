"""Everything that a process draws or measures, made the seed's: scheduling, randomness, clocks, threads."""

from __future__ import annotations

import gc
import math
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import trio
import trio._core._run as trio_run
from trio.testing import MockClock

import relay.engine.discovery
import relay.engine.loader
from tests.simulation.memory import remembered

EPOCH = 1_700_000_000.0
HASH_SEED = "0"
"""The PYTHONHASHSEED of every simulation: relay iterates over sets of names, whose order it decides."""


class WallClock:
    """The wall clock of the simulated machine: virtual time, and what an operator or NTP has moved it by.

    Attributes:
        latest: the latest that it has shown: what had expired then is gone, though it shows less now.
        was_moved: whether anybody has moved it.
    """

    def __init__(self) -> None:
        self._moved = 0.0
        self.was_moved = False
        self.latest = 0.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.shown(0)

    def shown(self, more: float) -> float:
        """Return what a machine's clock shows that is so many seconds ahead of the others."""
        now = EPOCH + trio.current_time() + self._moved + more
        self.latest = max(self.latest, now)
        return now

    def move(self, seconds: float) -> None:
        """Show so much more from now on."""
        self._moved += seconds
        self.was_moved = True


async def inline(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """Do on the event loop what a thread would do."""
    await trio.lowlevel.checkpoint()
    return work(*args)


def check_hash_seed() -> None:
    """Refuse to run in a process in which two runs of one seed may differ.

    Raises:
        SystemExit: PYTHONHASHSEED is another one.
    """
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        raise SystemExit(f"set PYTHONHASHSEED={HASH_SEED}: the order of sets is part of what a seed decides")


@contextmanager
def seeded(seed: object) -> Iterator[None]:
    """Let a seed decide, inside the block, whatever trio, the standard library and relay draw."""
    drawn = random.Random(f"drawn {seed}")
    order = random.Random(f"order {seed}")
    passed = [EPOCH]

    def wall() -> float:
        passed[0] += 1e-6
        return passed[0]

    state = random.getstate()
    with ExitStack() as stack:
        for owner, name, value in (
            (trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),  # by the tasks' age, then shuffled by `_r`
            (trio_run, "_r", order),
            (os, "urandom", drawn.randbytes),
            (random, "_urandom", drawn.randbytes),  # what `secrets` draws from
            (time, "time", wall),
            (trio.to_thread, "run_sync", inline),
            (relay.engine.loader, "ask", remembered(relay.engine.loader.ask)),
            (relay.engine.discovery, "_import", remembered(relay.engine.discovery._import)),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        random.seed(f"module {seed}")
        # A collection in the middle would run finalizers at a moment that what ran before decides.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
            random.setstate(state)


def _standing_clock() -> MockClock:
    """Make virtual time that jumps as trio's own does, and does not read the real clock at every look."""
    clock: Any = MockClock(autojump_threshold=0)

    def now() -> float:
        virtual: float = clock._virtual_base
        return virtual

    def jump() -> None:
        seconds = trio_run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline() - clock._virtual_base
        if 0 < seconds < math.inf:
            clock._virtual_base += seconds

    clock.current_time, clock._autojump = now, jump
    found: MockClock = clock
    return found


def run(main: Callable[[], Any]) -> Any:
    """Run an async function on virtual time, which jumps to the next deadline whenever every task waits."""
    return trio.run(main, clock=_standing_clock())
