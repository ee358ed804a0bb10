"""The commands of the simulations, as tests run them: forks of a process that has imported what they need, or as people do."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryFile

from tests.e2e.forking import ROOT, forks
from tests.simulation.determinism import HASH_SEED

_LONGEST_SECONDS = 600
ENVIRON = {"PYTHONHASHSEED": HASH_SEED}
"""Without it a command would begin a second time, with it: the order of sets must be the seed's."""


def run_forked(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE` in one process, and return what it printed and how it ended."""
    words = [*map(str, arguments), "--jobs", "1"]
    with TemporaryFile() as out, TemporaryFile() as err:
        running = forks(module, **ENVIRON).start(
            words, cwd=ROOT, env=os.environ | ENVIRON, stdin=None, stdout=out, stderr=err
        )
        try:
            code = running.wait(_LONGEST_SECONDS)
        finally:
            running.kill()
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess([module, *words], code, *printed)


def run_started(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it as people do: it begins a second time with the PYTHONHASHSEED that it needs."""
    environ = {name: value for name, value in os.environ.items() if name not in ENVIRON}
    command = [sys.executable, "-m", module, *map(str, arguments), "--jobs", "1"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_SECONDS, env=environ)
