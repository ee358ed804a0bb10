"""Running tests against a mutant, in a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tests.mutants.listing import TREE, Mutant

_PYTEST = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"),
    *("-p", "tests.mutants.unshrunk", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what the warm process has imported
)
_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_NOT_OK = re.compile(r"^ *not ok \d+ - (.*)$", re.MULTILINE)
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
        narrow: whether the wider tests are left out.
    """

    def __init__(self, folder: Path, limit: float, *, narrow: bool = False) -> None:
        self.folder = folder
        self._limit = limit
        self._narrow = narrow
        self._warm: subprocess.Popen[str] | None = None
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
        original, times = place.read_bytes(), place.stat()
        place.write_text(mutant.changed(self.folder))
        self._mtime += 1
        os.utime(place, (self._mtime, self._mtime))
        try:
            fate, by = self._judge(mutant)
        finally:
            place.write_bytes(original)
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
        return Verdict(mutant, fate, time.monotonic() - began, by)

    def _judge(self, mutant: Mutant) -> tuple[Fate, str]:
        try:
            killer = self.run(mutant.tests)
        except TimeoutError:
            return Fate.TIMEOUT, f"after {self._limit:.0f} s"
        if killer is None and mutant.lives is not None:
            return Fate.LIVES, mutant.lives
        if killer is not None:
            return (Fate.KILLED if mutant.lives is None else Fate.REVIVED), killer
        try:
            killer = self.run(mutant.wider) if mutant.wider and not self._narrow else None
        except TimeoutError:
            # They may have been slow without the mutant's doing, so that is no proof.
            return Fate.SURVIVED, f"the wider tests took more than {self._limit:.0f} s"
        return (Fate.SURVIVED, "") if killer is None else (Fate.WIDER, killer)

    def run(self, tests: Sequence[str], limit: float | None = None) -> str | None:
        """Run tests, and return the name of the first that fails; None where all pass.

        Args:
            limit: seconds that they may take, where it is not the copy's own limit.

        Raises:
            Broken: they could not be run.
            TimeoutError: they took too long.
        """
        of_node = [str(self.folder / test) for test in tests if test.endswith(".js")]
        of_pytest = [test for test in tests if not test.endswith(".js")]
        seconds = self._limit if limit is None else limit
        killer = _run_node(of_node, self.folder, seconds) if of_node else None
        if killer is None and of_pytest:
            killer = self._run_pytest(of_pytest, seconds)
        return killer

    def _run_pytest(self, tests: list[str], seconds: float) -> str | None:
        if self._warm is None:
            # Programs that tests start must find the copy as well, and not the tree that is installed.
            environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": ""}
            self._warm = subprocess.Popen(
                [sys.executable, "-m", "tests.mutants.warm"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        output = self.folder.with_name(f"{self.folder.name}.txt")
        output.write_text("")
        asked = {"words": [*_PYTEST, *tests], "output": str(output), "seconds": seconds}
        self._warm.stdin.write(json.dumps(asked) + "\n")
        answer = self._warm.stdout.readline()
        if not answer:
            raise Broken("the process that runs the tests has ended")
        code = json.loads(answer)["code"]
        if code is None:
            raise TimeoutError
        return _killer(_FAILED_TEST, code, output.read_text(errors="replace"))

    def stop(self) -> None:
        """End the process that runs the tests, and what it runs."""
        if self._warm is not None:
            self._warm.terminate()
            with self._warm:  # which waits for it, and closes its pipes
                pass


def _run_node(files: list[str], folder: Path, seconds: float) -> str | None:
    try:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", *files],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return _killer(_NOT_OK, done.returncode, done.stdout)


def _killer(pattern: re.Pattern[str], code: int, printed: str) -> str | None:
    if code == 0:
        return None
    found = pattern.search(printed)
    if code != _FAILED or found is None:
        raise Broken(f"the tests ended with {code}:\n{printed[-4000:]}")
    return found[1]
