"""Run simulations of a cluster, each by its seed, and make one that fails smaller.

    python -m tests.simulation.cluster --seeds 300 [--first N] [--jobs 2]
    python -m tests.simulation.cluster --replay FILE [--planted NAME]
    python -m tests.simulation.cluster --planted all [--seeds 200]

Three nodes of the real code, each with a file of its own, and devices at each of them; the stream and the bus
between the nodes are models. What a seed decides is the same in every run.
"""

from __future__ import annotations

import sys

from tests.simulation.cluster.planted import BUGS
from tests.simulation.cluster.run import simulate
from tests.simulation.cluster.steps import USUAL, WEIGHTS
from tests.simulation.command import Subject, main

SUBJECT = Subject("tests.simulation.cluster", __doc__ or "", simulate, WEIGHTS, USUAL, BUGS)

if __name__ == "__main__":
    sys.exit(main(SUBJECT))
