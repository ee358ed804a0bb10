"""`make attack`: thousands of hostile connections of each kind, and what came of them."""

from __future__ import annotations

import argparse
import sys
import time

from tests.attack.siege import KINDS, Fallen, siege


def main() -> int:
    """Run, print what was sent and how the others fared, and return 1 when the server fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="seeds, each with a connection of every kind")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument(
        "--p99",
        type=float,
        metavar="MS",
        help="the most for the others' acks; for a machine that does nothing else",
    )
    asked = parser.parse_args()
    began = time.monotonic()
    with siege() as made:
        try:
            made.attack(asked.first, asked.count)
        except Fallen as fallen:
            print(f"BROKEN: {fallen}")
            return 1
        print(f"{'phase':<24}{'connections':>12}{'acks':>8}{'median ms':>11}{'p99 ms':>9}{'longest ms':>12}")
        for phase, waits in made.waits.items():
            told = "".join(
                f"{made.wait_of(phase, share):>{width}.1f}" for share, width in ((0.5, 11), (0.99, 9), (1, 12))
            )
            print(f"{phase:<24}{made.sent[phase]:>12}{len(waits):>8}{told}")
        print(f"answered with HTTP: {dict(sorted(made.statuses.items()))}")
        print(f"{time.monotonic() - began:.0f} s; the server lives, without a traceback")
        slow = [kind for kind in KINDS if made.wait_of(kind, 0.99) > asked.p99] if asked.p99 else []
        if slow:
            print(f"BROKEN: others' p99 is over {asked.p99:g} ms during: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
