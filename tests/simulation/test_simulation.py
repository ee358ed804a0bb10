"""The simulation finds nothing, replays exactly, finds what is planted, and makes what fails smaller."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.forked import run_forked, run_started
from tests.simulation.planted import BUGS
from tests.simulation.shrinking import shrink
from tests.simulation.steps import Step, draw, read, write

pytestmark = pytest.mark.long

AT_ONCE = 20
SEEDS = range(0, 160, AT_ONCE)

FOUND_BY = {
    "ack-before-commit": 0,
    "replay-off-by-one": 2,
    "pointer-back": 11,
    "erased-stays": 15,
    "hole-of-returning-members": 34,
    "leak-to-returning-members": 34,
    "lost-to-search": 0,
}
"""Where the search for each planted bug begins here, so that it is short; `--planted all` begins at 0."""


simulation = partial(run_forked, "tests.simulation")
started = partial(run_started, "tests.simulation")


@pytest.mark.parametrize("first", SEEDS)
def test_no_promise_is_broken(first: int) -> None:
    done = simulation("--first", first, "--seeds", AT_ONCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{AT_ONCE} seeds, 0 failed" in done.stdout


def test_a_second_copy_that_is_told_of_the_changes_alone_stays_equal() -> None:
    done = simulation("--replicated", "--seeds", AT_ONCE)
    assert done.returncode == 0, done.stdout + done.stderr


def digests(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    lines = [
        line.removeprefix("seed ").split(": ") for line in done.stdout.splitlines() if line.startswith("seed ")
    ]
    return dict(lines)


def test_a_seed_does_the_same_in_every_process_and_after_whatever_other_seeds() -> None:
    alone = digests(started("--digests", "--first", 5, "--seeds", 1))
    among = digests(simulation("--digests", "--first", 2, "--seeds", 5))
    assert len(set(among.values())) == 5
    assert alone["5"] == among["5"]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    done = simulation("--planted", bug, "--first", FOUND_BY[bug], "--seeds", 200, "--no-shrink")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{bug}: found by seed" in done.stdout


def test_a_script_of_a_seeds_steps_replays_it_exactly(tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text(write(5, draw(5), ["a remark"]))
    replayed = simulation("--replay", file)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    once = digests(simulation("--digests", "--first", 5, "--seeds", 1))
    assert f"trace {once['5']} of " in replayed.stdout


FAULTS_OF_THE_MODEL = {
    "a server dies as it opens a restored database": """
        seed 11898
        backup 0 0 0 0
        member 0 0 841 657
        come 0 0 0 0
        crash 0 0 0 736
        say 0 0 0 587
        restore 0 0 0 0
        notify 0 0 0 77
        drag 20 0 0 0
        edit 0 0 0 808
        status 0 0 0 438
        crash 392 0 0 0
        restore 0 0 0 0
        say 0 0 0 798""",
    "a device learns only after the last step that its server has ended": """
        seed 10238
        crash 93 0 0 0
        cut 278 0 0 269
        sweep 0 0 0 39
        crash 84 0 0 0
        come 0 0 0 303
        slow 0 668 0 779
        come 22 0 0 935
        regroup 338 727 207 0
        provoke 0 0 0 748
        status 542 794 0 0
        delete 0 0 0 288
        say 961 0 173 0
        say 0 0 0 68
        restart 0 0 0 0""",
    "a device dials while a fault of the disk ends the server": """
        seed 16994
        say 334 0 0 0
        say 574 0 0 929
        kill 422 0 0 0
        crash 877 0 0 0
        say 453 0 0 659
        read 199 0 0 0
        import 0 0 909 113
        come 784 0 0 0
        delete 0 0 0 968
        clock 0 0 0 0
        fail 105 0 0 829
        provoke 955 605 180 0
        say 0 0 0 644""",
}
"""Stories in which the simulation once saw promises broken that were kept."""


@pytest.mark.parametrize("story", FAULTS_OF_THE_MODEL)
def test_what_was_kept_is_not_called_broken(story: str, tmp_path: Path) -> None:
    file = tmp_path / "script.txt"
    file.write_text(FAULTS_OF_THE_MODEL[story])
    done = simulation("--replay", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_steps_that_do_not_matter_are_left_out_and_numbers_become_plain() -> None:
    steps = draw(1, 56)
    needed = [steps[3], steps[20], steps[50]]
    assert shrink(steps, lambda candidate: set(needed) <= set(candidate)) == needed
    assert shrink(steps, lambda candidate: any(step.verb == "say" for step in candidate)) == [
        Step("say", 0, 0, 0, 0)
    ]


def test_a_script_is_read_back_and_a_wrong_line_is_named() -> None:
    steps = draw(7)
    assert read(write(7, steps, ["a remark"])) == (7, steps)
    with pytest.raises(ValueError, match="line 2, 'sya 1 2 3 4'"):
        read("seed 1\nsya 1 2 3 4")
    with pytest.raises(ValueError, match="no line says the seed"):
        read("say 1 2 3 4")
