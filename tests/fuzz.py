"""`make fuzz`: many made-up requests for each REST call, as a user, as an administrator and as nobody."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.e2e.fuzzing import CALLERS, Target

PHASES = ("examples", "coverage", "fuzzing", "stateful")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="requests for each call")
    parser.add_argument("--seeds", type=int, default=3, help="how many times, each with a seed of its own")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4 * 3600, help="the most for one run")
    asked = parser.parse_args()
    failed = 0
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for caller in CALLERS:
            with tempfile.TemporaryDirectory() as folder:
                target = Target(Path(folder))
                try:
                    found = target.fuzz(caller, asked.examples, seed, phases=PHASES, seconds=asked.seconds)
                finally:
                    target.end()
            print(found or f"as {caller or 'nobody'}, seed {seed}: nothing found", flush=True)
            failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
