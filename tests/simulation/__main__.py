"""Run simulations, each by its seed, and make one that fails smaller.

    python -m tests.simulation --seeds 10000 [--first N] [--jobs 2] [--steps 56]
    python -m tests.simulation --replay FILE
    python -m tests.simulation --planted all [--seeds 200]

A seed that breaks a promise is run again with ever fewer steps; what is left is printed as a script, which
`--replay` runs. The same seed does the same in every run, on every machine with the same versions.
"""

from __future__ import annotations

import sys

from tests.simulation.command import Subject, main
from tests.simulation.planted import BUGS
from tests.simulation.run import simulate
from tests.simulation.steps import WEIGHTS

SUBJECT = Subject("tests.simulation", __doc__ or "", simulate, WEIGHTS, None, BUGS, copies=True)

if __name__ == "__main__":
    sys.exit(main(SUBJECT))
