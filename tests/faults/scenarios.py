"""The faults, each as a scenario: what is done to a server under traffic, and what it must stand."""

from __future__ import annotations

import contextlib
import errno
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from tests.e2e.crashing import copied
from tests.e2e.disks import fill
from tests.e2e.wire import Gone, Wire
from tests.faults.files import check_whole
from tests.faults.ledger import Broken
from tests.faults.people import ANSWER_SECONDS, Person
from tests.faults.stage import Stage

DISK: Final = "disk full"
"""The scenario whose database is on a small disk of its own."""


def kill(made: Stage, rounds: int, seed: int) -> None:
    """Kill the server under traffic of every kind, again and again, and start it on what is left."""
    source = random.Random(seed)
    for number in range(rounds):
        for person in made.people:
            person.connect()
        with _busy(made, f"{seed}/{number}", time.monotonic() + 30):
            time.sleep(source.uniform(0.05, 1.5))
            made.server.kill()
        made.disconnect()
        made.faults += 1
        with copied(made.server.database) as copy:
            check_whole(copy)
        made.server.start()


@contextlib.contextmanager
def _busy(made: Stage, seed: str, until: float) -> Iterator[None]:
    """Have everybody do things, drawn from a seed, until a monotonic time or until the server goes."""
    threads = [
        threading.Thread(target=_guarded, args=(person, f"{seed}/{person.name}", until)) for person in made.people
    ]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(90)
        if thread.is_alive():
            raise Broken("somebody waits for ever for a server")
    for person in made.people:
        if person.failure is not None:
            raise person.failure


def _guarded(person: Person, seed: str, until: float) -> None:
    try:
        person.keep_busy(seed, until)
    except Exception as failure:
        person.failure = failure


def failing_calls(made: Stage, number: int, *, lasting: bool, step: int = 1, most: int = 10_000) -> None:
    """Have the n-th write, truncation or sync of a script fail with an errno, for every n until no call is left.

    Args:
        lasting: whether everything fails from there on, until the script is over.
        step: 1 for every n, more for every so many.
        most: the last n.
    """
    for at in range(1, most + 1, step):
        made.shim.arm(at, number, lasting=lasting)
        with contextlib.suppress(Gone):
            made.script()
        failed = made.shim.failed
        made.shim.calm()
        made.settle(ready=False)
        if not failed:
            break
        made.faults += 1
        if made.faults % 20 == 0:
            made.settle()
            made.check()


def full_disk(made: Stage, rounds: int) -> None:
    """Fill the disk, try, make room, go on; again and again."""
    for _ in range(rounds):
        made.script()
        ballast = fill(made.server.database.parent)
        refused = made.ledger.refused
        for _ in range(100):
            made.script()
            if made.ledger.refused > refused + 5:
                break
        else:
            raise Broken("a disk without room took everything")
        ballast.unlink()
        made.faults += 1
        made.settle()
        made.check()


def no_descriptors(made: Stage, rounds: int) -> None:
    """Use up the server's descriptors by connections, try, let go, go on."""
    made.disconnect()
    made.server.files = 96
    made.server.restart()
    made.settle()
    for _ in range(rounds):
        crowd: list[Wire] = []
        with contextlib.suppress(Gone, OSError, AssertionError):
            while len(crowd) < 200:
                wire = Wire(made.server.address, made.server.described, timeout=0.5)
                crowd.append(wire)
                wire.upgrade()
        for person in made.people:
            for one in made.ledger.alive(person.name)[-1:]:
                person.edit(one)
            person.say(person.peers[0])
        made.faults += 1
        for wire in crowd:
            wire.close()
        made.settle()
        made.script()
    made.server.files = None


def clock_jumps(made: Stage, jumps: tuple[float, ...]) -> None:
    """Set the clock ahead and back, by these seconds, and go on each time."""
    for seconds in jumps:
        made.script()
        made.shim.move_clock(seconds)
        made.faults += 1
        made.script()
        made.settle()
        made.script()
        made.check()
    made.shim.move_clock(0)
    made.script()


def slow_syncs(made: Stage, seconds: float, rounds: int) -> None:
    """Have every sync take long: acks take as long, and nothing else breaks."""
    made.shim.slow_syncs(seconds)
    for _ in range(rounds):
        began = time.monotonic()
        made.people[0].say("bob")
        if time.monotonic() - began < seconds:
            raise Broken(f"an ack came {time.monotonic() - began:.3f} s after its message, before the sync")
        made.script()
        made.faults += 1
    made.shim.slow_syncs(0)


def stopped(made: Stage, seconds: float, rounds: int) -> None:
    """Stop the process for a while (SIGSTOP), with messages under way, and have it go on."""
    made.disconnect()
    for person in made.people:
        person.patience = ANSWER_SECONDS + seconds
    for _ in range(rounds):
        assert made.server.process is not None
        with _busy(made, "stopped", time.monotonic() + seconds + 1):
            time.sleep(0.3)
            made.server.process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            made.server.process.send_signal(signal.SIGCONT)
        made.faults += 1
        made.settle()
        made.check()


class Scenario(NamedTuple):
    """A fault: a version of some seconds, and the whole one."""

    short: Callable[[Stage], None]
    whole: Callable[[Stage], None]


def _failing(number: int, *, lasting: bool, step: int) -> Scenario:
    whole = partial(failing_calls, number=number, lasting=lasting)
    return Scenario(partial(whole, step=step), whole)


SCENARIOS: Final = {
    "kill -9": Scenario(partial(kill, rounds=3, seed=1), partial(kill, rounds=50, seed=1)),
    "EIO once": _failing(errno.EIO, lasting=False, step=40),
    "EIO from there on": _failing(errno.EIO, lasting=True, step=80),
    "ENOSPC once": _failing(errno.ENOSPC, lasting=False, step=80),
    "ENOSPC from there on": _failing(errno.ENOSPC, lasting=True, step=80),
    "read-only": Scenario(
        partial(failing_calls, number=errno.EROFS, lasting=True, most=1),
        partial(failing_calls, number=errno.EROFS, lasting=True, step=10),
    ),
    DISK: Scenario(partial(full_disk, rounds=1), partial(full_disk, rounds=10)),
    "no descriptors": Scenario(partial(no_descriptors, rounds=1), partial(no_descriptors, rounds=5)),
    "clock jumps": Scenario(
        partial(clock_jumps, jumps=(3600.0, -3600.0)),
        partial(clock_jumps, jumps=(60.0, -60.0, 86_400.0, -86_400.0, 400 * 86_400.0, -400 * 86_400.0)),
    ),
    "a sync of 300 ms": Scenario(
        partial(slow_syncs, seconds=0.3, rounds=1), partial(slow_syncs, seconds=0.3, rounds=20)
    ),
    "SIGSTOP": Scenario(partial(stopped, seconds=1, rounds=1), partial(stopped, seconds=60, rounds=1)),
}
