"""`make attack`: thousands of hostile connections of each kind, then a user who spends all they may, and what came of both."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from tests.attack.bystanders import Bystanders, Fallen
from tests.attack.siege import siege
from tests.attack.spending import spending


def main() -> int:
    """Run, print what was sent and how the others fared, and return 1 when the server fell."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="seeds, each with a connection of every kind")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seconds", type=float, default=10, help="how long a user spends each thing")
    parser.add_argument(
        "--p99",
        type=float,
        metavar="MS",
        help="the most for the others' acks; for a machine that does nothing else",
    )
    asked = parser.parse_args()
    try:
        slow = [*attacked(asked), *spent(asked)]
    except Fallen as fallen:
        print(f"BROKEN: {fallen}")
        return 1
    if slow:
        print(f"BROKEN: others' p99 is over {asked.p99:g} ms during: {', '.join(slow)}")
    return 1 if slow else 0


def attacked(asked: argparse.Namespace) -> list[str]:
    """Attack, and print what came of it; return the phases in which others waited too long."""
    began = time.monotonic()
    with siege() as made:
        made.attack(asked.first, asked.count, tell=partial(print, flush=True))
        slow = tell(made.bystanders, made.sent, "connections", asked.p99)
        print(f"answered with HTTP: {dict(sorted(made.statuses.items()))}")
        print(f"{time.monotonic() - began:.0f} s; the server lives, without a traceback\n")
    return slow


def spent(asked: argparse.Namespace) -> list[str]:
    """Have a user spend, and print what came of it; return the phases in which others waited too long."""
    with spending() as made:
        made.spend(asked.seconds)
        calls = {kind: answers.total() for kind, answers in made.answers.items()}
        slow = tell(made.bystanders, calls, "calls", asked.p99)
        for kind, answers in made.answers.items():
            print(f"{kind}: answered with {dict(sorted(answers.items()))}")
    return slow


def tell(bystanders: Bystanders, sent: dict[str, int], what: str, most: float | None) -> list[str]:
    """Print how long the others waited in each phase; return the phases in which it was too long."""
    print(f"{'phase':<24}{what:>12}{'acks':>8}{'median ms':>11}{'p99 ms':>9}{'longest ms':>12}")
    for phase, waits in bystanders.waits.items():
        told = "".join(
            f"{bystanders.wait_of(phase, share):>{width}.1f}" for share, width in ((0.5, 11), (0.99, 9), (1, 12))
        )
        print(f"{phase:<24}{sent.get(phase, 0):>12}{len(waits):>8}{told}", flush=True)
    return [phase for phase in sent if most is not None and bystanders.wait_of(phase, 0.99) > most]


if __name__ == "__main__":
    sys.exit(main())
