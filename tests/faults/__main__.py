"""`make faults`: all faults on a real server, and what came of them."""

from __future__ import annotations

import argparse
import sys
import time

import pytest

from tests.e2e.wire import Gone
from tests.faults.ledger import Broken
from tests.faults.scenarios import DISK, SCENARIOS
from tests.faults.stage import stage


def main() -> int:
    """Run, print a line for each, and return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="this one; may be given again")
    parser.add_argument("--short", action="store_true", help="the versions of a few seconds that the tests run")
    asked = parser.parse_args()
    line = "{:<22}{:>8}{:>10}{:>9}{:>9}{:>10}{:>9}  {}"
    print(line.format("fault", "faults", "restarts", "acked", "refused", "resent", "seconds", "end"))
    broken = 0
    for name in asked.only or SCENARIOS:
        began = time.monotonic()
        try:
            with stage(small_disk=name == DISK) as made:
                (SCENARIOS[name].short if asked.short else SCENARIOS[name].whole)(made)
        except pytest.skip.Exception as skipped:
            print(line.format(name, "", "", "", "", "", "", f"left out: {skipped}"), flush=True)
            continue
        except (Broken, AssertionError, Gone) as fault:
            broken += 1
            print(line.format(name, "", "", "", "", "", "", f"BROKEN: {fault}"), flush=True)
            continue
        ledger, seconds = made.ledger, f"{time.monotonic() - began:.1f}"
        figures = (made.faults, made.restarts, ledger.acked, ledger.refused, ledger.resent, seconds)
        print(line.format(name, *figures, "nothing lost"), flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
