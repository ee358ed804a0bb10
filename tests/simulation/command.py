"""The command line of simulations: campaigns, replays, planted bugs, and a failing seed made smaller."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.simulation.determinism import HASH_SEED
from tests.simulation.planted import planted
from tests.simulation.run import Outcome
from tests.simulation.shrinking import shrink
from tests.simulation.steps import draw, read, write

_SEEDS_PER_PROCESS = 250
"""After so many a process is replaced: what it remembers is not all given back."""


@dataclass(frozen=True)
class Subject:
    """A kind of simulation.

    Attributes:
        module: the one that is run.
        about: the module's docstring.
        simulate: runs a seed's steps.
        weights: how often each step comes.
        usual: how many steps a seed has; None where that is the seed's to say.
        bugs: those that can be planted.
        copies: whether it can keep a second copy of the database.
    """

    module: str
    about: str
    simulate: Callable[..., Outcome]
    weights: Mapping[str, int]
    usual: int | None
    bugs: Mapping[str, Callable[[], Any]]
    copies: bool = False


def main(subject: Subject) -> int:
    """Do what the arguments say; return the exit status: 1 if a promise was broken."""
    options = _options(subject)
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        environ = os.environ | {"PYTHONHASHSEED": HASH_SEED}  # the order of sets is part of what a seed decides
        os.execve(sys.executable, [sys.executable, "-m", subject.module, *sys.argv[1:]], environ)
    campaign = Campaign(subject, options)
    if options.replay is not None:
        return campaign.replay(options.replay)
    if options.planted is not None:
        names = list(subject.bugs) if options.planted == "all" else [options.planted]
        return max(campaign.search(name) for name in names)
    return campaign.run()


def _options(subject: Subject) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {subject.module}", description=subject.about.partition("\n")[0]
    )
    parser.add_argument(
        "--seeds", type=int, default=None, help="how many seeds are run: 100, of a planted bug 200"
    )
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes: one for each processor")
    usual = subject.usual
    told = "the seed's own number" if usual is None else usual
    parser.add_argument("--steps", type=int, default=usual, help=f"steps of each seed ({told})")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a script, and tell what each step did")
    parser.add_argument(
        "--planted", choices=[*subject.bugs, "all"], help="plant this bug, and look for a seed that finds it"
    )
    if subject.copies:
        parser.add_argument(
            "--replicated",
            action="store_true",
            help="keep a second copy of the database by changesets, and compare",
        )
    parser.add_argument("--digests", action="store_true", help="print the hash of each seed's trace")
    parser.add_argument("--no-shrink", action="store_true", help="tell of a failing seed only")
    return parser.parse_args()


class Campaign:
    """The simulations that a command line asks for."""

    def __init__(self, subject: Subject, options: argparse.Namespace) -> None:
        self._subject = subject
        self._options = options
        self._more = {"replicated": options.replicated} if subject.copies else {}

    def _outcome(self, seed: int, bug: str | None = None, steps: Any = None) -> Outcome:
        """Run a seed's steps, or those that are given."""
        subject = self._subject
        with planted(bug, subject.bugs):
            drawn = draw(seed, self._options.steps, subject.weights) if steps is None else steps
            return subject.simulate(seed, drawn, **self._more)

    def _outcomes(self, count: int, bug: str | None = None) -> Iterator[Outcome]:
        """Yield what becomes of the seeds, in their order."""
        options = self._options
        seeds = range(options.first, options.first + count)
        job = partial(self._outcome, bug=bug)
        if options.jobs < 2 or count < 2:
            yield from map(job, seeds)
            return
        with multiprocessing.Pool(options.jobs, maxtasksperchild=_SEEDS_PER_PROCESS) as pool:
            yield from pool.imap(job, seeds)

    def run(self) -> int:
        """Run the seeds; return 1 if one broke a promise."""
        options = self._options
        began, failed, done = time.monotonic(), 0, 0
        for outcome in self._outcomes(options.seeds or 100):
            done += 1
            if options.digests:
                print(f"seed {outcome.seed}: {outcome.digest}", flush=True)
            if outcome.broken:
                failed += 1
                _tell(outcome)
                if not options.no_shrink:
                    self._print_shrunk(outcome)
            elif sys.stderr.isatty():
                print(f"\r{done} seeds, {failed} failed", end="", file=sys.stderr)
        print(f"{done} seeds, {failed} failed, {time.monotonic() - began:.0f} s")
        return 1 if failed else 0

    def _print_shrunk(self, outcome: Outcome, bug: str | None = None) -> None:
        """Make a failing simulation smaller, and print it as a script."""
        promise = outcome.broken[0].promise

        def fails(steps: object) -> bool:
            again = self._outcome(outcome.seed, bug, steps)
            return any(broken.promise == promise for broken in again.broken)

        steps = shrink(outcome.steps, fails)
        print(f"--- {len(outcome.steps)} steps made {len(steps)}; --replay runs them from a file:")
        print(write(outcome.seed, steps, [str(outcome.broken[0])[:200].replace("\n", " ")]) + "---", flush=True)

    def replay(self, file: Path) -> int:
        """Run a script, and tell what each step did; return 1 if it broke a promise."""
        seed, steps = read(file.read_text(encoding="utf-8"), self._subject.weights)
        outcome = self._outcome(seed, self._options.planted, steps)
        for step, did in zip(outcome.steps, outcome.did, strict=False):
            print(f"{step}  # {did}")
        print(f"trace {outcome.digest} of {outcome.events} events")
        for broken in outcome.broken:
            print(f"broken: {broken}")
        return 1 if outcome.broken else 0

    def search(self, name: str) -> int:
        """Look for the first seed that finds a planted bug; return 1 if none does."""
        count = self._options.seeds or 200
        for outcome in self._outcomes(count, name):
            if outcome.broken:
                print(f"{name}: found by seed {outcome.seed}: {str(outcome.broken[0])[:300]}", flush=True)
                if not self._options.no_shrink:
                    self._print_shrunk(outcome, name)
                return 0
        print(f"{name}: not found by {count} seeds", flush=True)
        return 1


def _tell(outcome: Outcome) -> None:
    print(f"seed {outcome.seed} breaks:", flush=True)
    for broken in outcome.broken:
        print(f"  {broken}", flush=True)
