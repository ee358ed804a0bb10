"""`make attack`: thousands of hostile connections of each kind, and what came of them."""

from __future__ import annotations

import argparse
import sys
import time

from tests.attack.siege import Fallen, siege


def main() -> int:
    """Run, print what was sent and how the others fared, and return 1 when the server fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="seeds, each with a connection of every kind")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    began = time.monotonic()
    with siege() as made:
        try:
            made.attack(asked.first, asked.count)
        except Fallen as fallen:
            print(f"BROKEN: {fallen}")
            return 1
        for kind, count in made.sent.items():
            print(f"{kind:<24}{count:>8}")
        print(f"answered with HTTP: {dict(sorted(made.statuses.items()))}")
        print(
            f"others' acks: {len(made.waits)}, median {made.wait_of(0.5):.1f} ms, p99 {made.wait_of(0.99):.1f} ms, "
            f"longest {made.wait_of(1):.1f} ms; {time.monotonic() - began:.0f} s; the server lives, without a traceback"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
