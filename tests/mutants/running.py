"""Running tests against a mutant, in a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tests.mutants.listing import TREE, Mutant

_PYTEST = ("-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0")
_KILLER = {
    "pytest": re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE),
    "node": re.compile(r"^ *not ok \d+ - (.*)$", re.MULTILINE),
}
_NODE_MODULES = "tests/js/node_modules"
_FAILED = 1  # pytest's exit code, and node's, where a test failed


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    WIDER = "killed wider"
    TIMEOUT = "timeout"
    LIVES = "lives"
    SURVIVED = "survived"
    REVIVED = "explained, but killed"


class Verdict(NamedTuple):
    """What became of one mutant.

    Attributes:
        by: the test that noticed it, or the reason why none does.
    """

    mutant: Mutant
    fate: Fate
    seconds: float
    by: str


class Broken(Exception):
    """Tests could not be run, or do not pass without a mutant."""


class Copy:
    """A copy of the tree, in which one file at a time is changed.

    Args:
        folder: an empty folder for it.
        limit: seconds that a run of tests may take.
    """

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self._limit = limit
        # A day back, and later with each mutant: Python tells a stale .pyc by the size and the second of its source.
        self._mtime = int(time.time()) - 86_400
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=TREE,
            capture_output=True,
            check=True,
        )
        for name in sorted(os.fsdecode(listed.stdout).strip("\0").split("\0")):
            if (TREE / name).is_file():  # and not deleted since the last commit
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TREE / name, folder / name)
        if (TREE / _NODE_MODULES).is_dir():
            (folder / _NODE_MODULES).symlink_to(TREE / _NODE_MODULES)

    def try_one(self, mutant: Mutant) -> Verdict:
        """Change the file, run the tests that should notice it, and put the file back."""
        began = time.monotonic()
        place = self.folder / mutant.file
        place.write_text(mutant.changed(TREE))
        self._mtime += 1
        os.utime(place, (self._mtime, self._mtime))
        try:
            fate, by = self._judge(mutant)
        finally:
            shutil.copy2(TREE / mutant.file, place)
        return Verdict(mutant, fate, time.monotonic() - began, by)

    def _judge(self, mutant: Mutant) -> tuple[Fate, str]:
        try:
            killer = self.run(mutant.tests)
            if killer is None and mutant.lives is not None:
                return Fate.LIVES, mutant.lives
            if killer is not None:
                return (Fate.KILLED if mutant.lives is None else Fate.REVIVED), killer
            killer = self.run(mutant.wider) if mutant.wider else None
            return (Fate.SURVIVED, "") if killer is None else (Fate.WIDER, killer)
        except subprocess.TimeoutExpired:
            return Fate.TIMEOUT, f"after {self._limit:.0f} s"

    def run(self, tests: Sequence[str]) -> str | None:
        """Run tests, and return the name of the first that fails; None where all pass.

        Raises:
            Broken: they could not be run.
            subprocess.TimeoutExpired: they took too long.
        """
        of_node = [str(self.folder / test) for test in tests if test.endswith(".js")]
        of_pytest = [test for test in tests if not test.endswith(".js")]
        killer = self._run("node", ["node", "--test", "--test-reporter=tap", *of_node]) if of_node else None
        if killer is None and of_pytest:
            killer = self._run("pytest", [sys.executable, *_PYTEST, *of_pytest])
        return killer

    def _run(self, tool: str, words: list[str]) -> str | None:
        # Programs that tests start must find the copy as well, and not the tree that is installed.
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": ""}
        child = subprocess.Popen(
            words,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = child.communicate(timeout=self._limit)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # with what its tests have started
            child.communicate()
            raise
        if child.returncode == 0:
            return None
        killer = _KILLER[tool].search(printed)
        if child.returncode != _FAILED or killer is None:
            raise Broken(f"{' '.join(words)} ended with {child.returncode}:\n{printed[-4000:]}")
        return killer[1]
