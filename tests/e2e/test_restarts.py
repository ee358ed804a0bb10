"""A restart of each kind by `python -m tests.restarts`; the long run is the command itself."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.e2e.server import ROOT

pytestmark = pytest.mark.e2e


def test_a_restart_under_a_crowd_loses_nothing_and_refuses_nobody_where_the_port_is_held() -> None:
    # How long clients are away is for the long run on a machine that does nothing else.
    options = ["--restarts", "1", "--clients", "24", "--pause", "0.5", "--longer", "30"]
    command = [sys.executable, "-m", "tests.restarts", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    bound, held = re.findall(r"(\d+) messages, all acked and received once", done.stdout)
    assert int(bound) > 24
    assert int(held) > 24
    assert "done: 2 restarts, none lost, none doubled" in done.stdout
