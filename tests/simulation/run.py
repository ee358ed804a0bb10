"""One simulation: a server, its devices and a list of steps, and at the end a look at all that was promised."""

from __future__ import annotations

import logging
import random
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio

from tests.simulation import final
from tests.simulation.application import Application
from tests.simulation.determinism import WallClock, run, seeded
from tests.simulation.disk import Disk
from tests.simulation.handset import Handset
from tests.simulation.moves import Moves
from tests.simulation.network import Network, Trace
from tests.simulation.promises import Broken, Pointers
from tests.simulation.replica import Replica
from tests.simulation.server import Life, Server, on_disk
from tests.simulation.steps import Step

T = TypeVar("T")
_MOST_SECONDS = 3600.0
_MOST_CPU_SECONDS = 6.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
DEVICES = (
    ("ann", "ann-0", Handset), ("ann", "ann-1", Application), ("ben", "ben-0", Application),
    ("cat", "cat-0", Handset), ("cat", "cat-1", Handset), ("dan", "dan-0", Application),
)  # fmt: skip


@dataclass
class Outcome:
    """What became of a simulation.

    Attributes:
        broken: the promises that were broken, the first of each; empty where all were kept.
        digest: the hash of its trace: equal for the same seed and steps.
        events: how many things the trace has.
        did: what the steps did, in words.
        changes: how many transactions a second copy was given.
    """

    seed: int
    steps: Sequence[Step]
    broken: list[Broken] = field(default_factory=list)
    digest: str = ""
    events: int = 0
    did: list[str] = field(default_factory=list)
    changes: int = 0


class Run:
    """A simulation while it runs.

    Attributes:
        server: what devices and steps take for the server: a `Server`, or a cluster in its place.
        words: what was written, and where it was, so that it can be looked for: texts, and names of files.
        swept: whether retention has erased messages, of which no device is told.
        expected: what relay logs as an error where something was made to fail.
    """

    expected: tuple[str, ...] = final.EXPECTED_ERRORS
    disk: Disk
    network: Network
    server: Any

    def __init__(self, seed: int, steps: Sequence[Step], folder: Path, *, replicated: bool = False) -> None:
        self.outcome = Outcome(seed, steps)
        self.rng = random.Random(f"run {seed}")
        self._letters = random.Random(f"words {seed}")
        self.trace = Trace()
        self.clock = WallClock()
        self._folder = folder
        self.replica = Replica(folder, self.broken) if replicated else None
        self._build(seed)
        self.tokens = self.server.tokens
        self.words: list[str] = []
        self.files: list[str] = []
        self.swept = False
        self._backups = 0
        self.nursery: trio.Nursery
        self.phones: list[Handset | Application] = [
            Handset(self, user, name) if kind is Handset else Application(self, user, name, folder / name)
            for user, name, kind in DEVICES
        ]

    def _build(self, seed: int) -> None:
        """Make the server, and what is between it and the devices."""
        self.network = Network(random.Random(f"network {seed}"), self.trace)
        pointers = Pointers(self.broken)
        self.disk = Disk(
            self._folder / "server",
            random.Random(f"disk {seed}"),
            self.trace,
            pointers.look,
            self._crashed,
            self.replica,
        )
        self.server = Server(self.disk, self.network, self.rng, self.clock, pointers, self.broken)

    def broken(self, promise: str, text: str) -> None:
        """Note that a promise was broken."""
        if all(one.promise != promise for one in self.outcome.broken):
            self.outcome.broken.append(Broken(promise, text))

    def word(self, *, file: bool = False) -> str:
        """Return a new word, which nothing else contains."""
        found = "".join(self._letters.choices(_LETTERS, k=12))
        (self.files if file else self.words).append(found)
        return found

    async def ask(self, call: Callable[[Life], Awaitable[T]]) -> T:
        """Ask the server something, and ask again where it dies of it."""
        return await self.server.ask(call)

    def back_up(self) -> None:
        """Make a backup, which `restore` puts back."""
        self._backups += 1
        self.server.back_up(self._folder / f"backup-{self._backups}.db")

    def _crashed(self) -> None:
        self.server.crashed()

    def on_disk(self) -> AbstractContextManager[None]:
        """Have relay open its databases on simulated disks."""
        return on_disk(self.disk)

    def _begin(self) -> Moves:
        """Start the server; return the steps."""
        self.disk.nursery = self.nursery
        self.nursery.start_soon(self.server.run)
        return Moves(self)

    async def main(self) -> None:
        """Make the steps, then have everybody come back, and compare."""
        with trio.move_on_after(_MOST_SECONDS) as limit:
            async with trio.open_nursery() as self.nursery:
                moves = self._begin()
                for phone in self.phones:
                    self.nursery.start_soon(phone.come)
                await trio.sleep(1)
                for step in self.outcome.steps:
                    did = await moves.make(step)
                    self.outcome.did.append(did)
                    self.trace.note(did)
                    await trio.sleep(step.pause)
                await self._finish()
                self.nursery.cancel_scope.cancel()
        if limit.cancelled_caught:
            self.broken("comes to an end", f"it is not over after {_MOST_SECONDS:g} s")

    async def _finish(self) -> None:
        self.disk.heal()
        self.network.calm()
        await final.gather(self)
        await final.compare_devices(self)
        self.server.stop(for_good=True)
        while self.server.running:
            await trio.sleep(0.1)
        with closing(sqlite3.connect(self.disk.database)) as connection:
            final.check_database(self, connection)
        final.check_bytes(self, self.disk.database)


@contextmanager
def bounded() -> Iterator[None]:
    """Raise `Stuck` in the block once it has used the time of many simulations: virtual time stands still."""

    def ring(_signal: int, _frame: Any) -> None:
        raise Stuck(f"it used {_MOST_CPU_SECONDS:g} s of the processor and is not over")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, _MOST_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Stuck(Exception):
    """A simulation that does not end."""


class _Errors(logging.Handler):
    """Keeps what relay logs as its own fault."""

    def __init__(self, tell: Callable[[str, str], None], expected: Sequence[str]) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self._expected = expected

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if "it begins again in" in text and not record.exc_info:
            return  # of a failure of the disk, which is logged by itself
        if not any(expected in text for expected in self._expected):
            self._tell("no fault of its own", text)


def simulate(seed: int, steps: Iterable[Step], *, replicated: bool = False) -> Outcome:
    """Run the steps of a simulation on a new server, and return what became of it.

    Args:
        replicated: whether a second copy of the database is kept by changesets, and compared.
    """
    return play(seed, lambda folder: Run(seed, list(steps), folder, replicated=replicated))


def play(seed: int, make: Callable[[Path], Run]) -> Outcome:
    """Run a simulation that is made in a folder of its own, and return what became of it."""
    place = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="relay-simulation-", dir=place if place.is_dir() else None))
    try:
        with seeded(seed):
            made = make(folder)
            errors = _Errors(made.broken, made.expected)
            logger = logging.getLogger("relay")
            level, propagates = logger.level, logger.propagate
            logger.addHandler(errors)
            logger.setLevel(logging.ERROR)
            logger.propagate = False
            try:
                with made.on_disk(), bounded():
                    run(made.main)
            except BaseExceptionGroup as group:
                raise_unless_ordinary(group)
                made.broken("runs on", _told(group))
            except Exception as error:
                made.broken("runs on", _told(error))
            finally:
                logger.removeHandler(errors)
                logger.setLevel(level)
                logger.propagate = propagates
            made.outcome.changes = made.replica.changes if made.replica else 0
            made.outcome.digest, made.outcome.events = made.trace.digest(), made.trace.count
            return made.outcome
    finally:
        shutil.rmtree(folder)


def raise_unless_ordinary(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise a group again that has anything but exceptions in it, such as a KeyboardInterrupt."""
    if not isinstance(group, Exception):
        raise group


def _told(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
