"""`make conformance`: play all cases against an echo server, and print how each group ended."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.conformance.cases import Verdict
from tests.conformance.groups import GROUPS, cases
from tests.conformance.running import Outcome, echo_server, play_all

MOST_NON_STRICT = 3


def main() -> int:
    """Run, print a table, and return 1 when a case failed or too many are not strict."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--group", type=int, choices=GROUPS, help="only the cases of this group")
    parser.add_argument("--quick", action="store_true", help="leave out the cases that take seconds")
    parser.add_argument("--port", type=int, help="of an echo server that runs already")
    asked = parser.parse_args()
    wanted = [case for case in cases(slow=not asked.quick) if asked.group in (None, case.group)]
    if asked.port is None:
        with echo_server() as address:
            outcomes = play_all(wanted, address)
    else:
        outcomes = play_all(wanted, ("127.0.0.1", asked.port))
    _print_table(outcomes)
    found = Counter(one.verdict for one in outcomes)
    return 1 if found[Verdict.FAILED] or found[Verdict.NON_STRICT] > MOST_NON_STRICT else 0


def _print_table(outcomes: list[Outcome]) -> None:
    line = "{:<30}{:>6}{:>6}{:>12}{:>8}{:>10}"
    print(line.format("group", "cases", "OK", "non-strict", "failed", "seconds"))
    groups = {number: [one for one in outcomes if one.case.group == number] for number in GROUPS}
    for number, members in groups.items():
        if members:
            _print_row(line, f"{number}  {GROUPS[number]}", members)
    _print_row(line, "all", outcomes)
    for one in outcomes:
        if one.verdict is not Verdict.OK:
            print(
                f"{one.verdict.value}: {one.case.number} {one.case.title}{': ' if one.reason else ''}{one.reason}"
            )


def _print_row(line: str, name: str, members: list[Outcome]) -> None:
    found = Counter(one.verdict for one in members)
    seconds = f"{sum(one.seconds for one in members):.1f}"
    print(line.format(name, len(members), *(found[verdict] for verdict in Verdict), seconds))


if __name__ == "__main__":
    sys.exit(main())
