"""A few faults of `python -m tests.cluster.crash`; the long run is the command itself."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cluster.servers import nats_program
from tests.e2e.server import ROOT

pytestmark = [pytest.mark.real_time, pytest.mark.long]


def test_no_acked_message_is_lost_or_doubled_by_what_befalls_the_leader() -> None:
    nats_program()
    options = ["--kills", "3", "--also", "leader stopped", "--seed", "1"]
    command = [sys.executable, "-m", "tests.cluster.crash", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done: 3 x leader killed, 1 x leader stopped" in done.stdout
    assert re.search(r"[1-9]\d\d messages acked, .*; lost 0, doubled 0", done.stdout)
    assert "rows compared at 3 nodes: equal" in done.stdout
