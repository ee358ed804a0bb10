"""Run simulations, each by its seed, and make one that fails smaller.

    python -m tests.simulation --seeds 10000 [--first N] [--jobs 2]
    python -m tests.simulation --replay FILE
    python -m tests.simulation --planted all [--seeds 200]

A seed that breaks a promise is run again with ever fewer steps; what is left is printed as a script, which
`--replay` runs. The same seed does the same in every run, on every machine with the same versions.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.simulation.determinism import HASH_SEED
from tests.simulation.planted import BUGS, planted
from tests.simulation.run import Outcome, simulate
from tests.simulation.shrinking import shrink
from tests.simulation.steps import USUAL, Step, draw, read, write

_SEEDS_PER_PROCESS = 250
"""After so many a process is replaced: what it remembers is not all given back."""


def main() -> int:
    """Do what the arguments say; return the exit status: 1 if a promise was broken."""
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        environ = os.environ | {"PYTHONHASHSEED": HASH_SEED}  # the order of sets is part of what a seed decides
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], environ)
    if options.replay is not None:
        return _replay(options.replay, replicated=options.replicated)
    if options.planted is not None:
        names = list(BUGS) if options.planted == "all" else [options.planted]
        return max(_search(name, options) for name in names)
    return _campaign(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--seeds", type=int, default=None, help="how many seeds are run: 100, of a planted bug 200"
    )
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes: one for each processor")
    parser.add_argument("--steps", type=int, default=USUAL, help=f"steps of each seed ({USUAL})")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a script, and tell what each step did")
    parser.add_argument(
        "--planted", choices=[*BUGS, "all"], help="plant this bug, and look for a seed that finds it"
    )
    parser.add_argument(
        "--replicated", action="store_true", help="keep a second copy of the database by changesets, and compare"
    )
    parser.add_argument("--digests", action="store_true", help="print the hash of each seed's trace")
    parser.add_argument("--no-shrink", action="store_true", help="tell of a failing seed only")
    return parser.parse_args()


def _outcome(seed: int, steps: int, bug: str | None = None, *, replicated: bool = False) -> Outcome:
    with planted(bug):
        return simulate(seed, draw(seed, steps), replicated=replicated)


def _outcomes(options: argparse.Namespace, count: int, bug: str | None = None) -> Iterator[Outcome]:
    """Yield what becomes of the seeds, in their order."""
    seeds = range(options.first, options.first + count)
    job = partial(_outcome, steps=options.steps, bug=bug, replicated=options.replicated)
    if options.jobs < 2 or count < 2:
        yield from map(job, seeds)
        return
    with multiprocessing.Pool(options.jobs, maxtasksperchild=_SEEDS_PER_PROCESS) as pool:
        yield from pool.imap(job, seeds)


def _campaign(options: argparse.Namespace) -> int:
    began, failed, done = time.monotonic(), 0, 0
    for outcome in _outcomes(options, options.seeds or 100):
        done += 1
        if options.digests:
            print(f"seed {outcome.seed}: {outcome.digest}", flush=True)
        if outcome.broken:
            failed += 1
            _tell(outcome)
            if not options.no_shrink:
                _print_shrunk(outcome, replicated=options.replicated)
        elif sys.stderr.isatty():
            print(f"\r{done} seeds, {failed} failed", end="", file=sys.stderr)
    print(f"{done} seeds, {failed} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _tell(outcome: Outcome) -> None:
    print(f"seed {outcome.seed} breaks:", flush=True)
    for broken in outcome.broken:
        print(f"  {broken}", flush=True)


def _print_shrunk(outcome: Outcome, bug: str | None = None, *, replicated: bool = False) -> None:
    """Make a failing simulation smaller, and print it as a script."""
    promise = outcome.broken[0].promise

    def fails(steps: Sequence[Step]) -> bool:
        with planted(bug):
            again = simulate(outcome.seed, steps, replicated=replicated)
            return any(broken.promise == promise for broken in again.broken)

    steps = shrink(outcome.steps, fails)
    print(f"--- {len(outcome.steps)} steps made {len(steps)}; --replay runs them from a file:")
    print(write(outcome.seed, steps, [str(outcome.broken[0])[:200].replace("\n", " ")]) + "---", flush=True)


def _replay(file: Path, *, replicated: bool) -> int:
    seed, steps = read(file.read_text(encoding="utf-8"))
    outcome = simulate(seed, steps, replicated=replicated)
    for step, did in zip(outcome.steps, outcome.did, strict=False):
        print(f"{step}  # {did}")
    print(f"trace {outcome.digest} of {outcome.events} events")
    for broken in outcome.broken:
        print(f"broken: {broken}")
    return 1 if outcome.broken else 0


def _search(name: str, options: argparse.Namespace) -> int:
    """Look for the first seed that finds a planted bug; return 1 if none does."""
    count = options.seeds or 200
    for outcome in _outcomes(options, count, name):
        if outcome.broken:
            print(f"{name}: found by seed {outcome.seed}: {str(outcome.broken[0])[:300]}", flush=True)
            if not options.no_shrink:
                _print_shrunk(outcome, name)
            return 0
    print(f"{name}: not found by {count} seeds", flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
