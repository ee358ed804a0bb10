"""A few rounds of `python -m tests.crash`; the long run is the command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.server import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROUNDS = 8


@pytest.mark.parametrize("seed", [1, 2])
def test_no_acked_message_is_lost_or_doubled_by_kill_9(seed: int) -> None:
    command = [sys.executable, "-m", "tests.crash", "--rounds", str(ROUNDS // 2), "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"done: {ROUNDS // 2} kills" in done.stdout
