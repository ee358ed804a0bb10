"""A simulated cluster keeps its promises, replays exactly, and finds what is planted in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.simulation.cluster.planted import BUGS
from tests.simulation.cluster.steps import USUAL, WEIGHTS
from tests.simulation.forked import run_forked, run_started
from tests.simulation.steps import draw, write

pytestmark = pytest.mark.long

AT_ONCE = 10
SEEDS = range(0, 20, AT_ONCE)


simulation = partial(run_forked, "tests.simulation.cluster")
started = partial(run_started, "tests.simulation.cluster")


@pytest.mark.parametrize("first", SEEDS)
def test_no_promise_is_broken(first: int) -> None:
    done = simulation("--first", first, "--seeds", AT_ONCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{AT_ONCE} seeds, 0 failed" in done.stdout


def test_a_follower_far_behind_whose_disk_fails_tries_again() -> None:
    done = simulation("--first", 25, "--seeds", 1)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    done = simulation("--planted", bug, "--seeds", 200, "--no-shrink")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{bug}: found by seed" in done.stdout


def test_a_script_of_a_seeds_steps_replays_it_exactly(tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text(write(1, draw(1, USUAL, WEIGHTS)))
    replayed = started("--replay", file)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    among = simulation("--digests", "--seeds", 2)
    digest = among.stdout.partition("seed 1: ")[2].partition("\n")[0]
    assert digest
    assert f"trace {digest} of " in replayed.stdout
