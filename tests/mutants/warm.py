"""A warm process: it has imported what relay stands on, and forks for each run of tests, which saves half of most.

It reads requests from its standard input and answers each on its standard output, one JSON object a line.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence

import hypothesis  # noqa: F401 - before anything that it hooks into
import pytest

import relay.engine.engine  # noqa: F401 - for what it imports

_OWN = ("relay", "plugins", "tests")
_LOOK_SECONDS = 0.01


def forget_own() -> None:
    """Forget the modules that a mutant may change; those of other libraries stay."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
        del sys.modules[name]


def serve() -> None:
    """Answer requests until there are no more: `code` is the exit code, or null where `seconds` were not enough."""
    forget_own()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"code": run(asked["words"], asked["output"], asked["seconds"])}), flush=True)


def run(words: Sequence[str], output: str, seconds: float) -> int | None:
    """Run pytest in a fork, with what it prints in a file."""
    child = os.fork()
    if not child:
        os.setsid()
        for number in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        try:
            code = int(pytest.main(list(words)))
        except BaseException:
            traceback.print_exc()
            code = int(pytest.ExitCode.INTERNAL_ERROR)
        sys.stdout.flush()
        os._exit(code)

    def end(*_signal: object) -> None:
        _kill(child)
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(_LOOK_SECONDS)
        _kill(child)  # with what its tests have started
        os.waitpid(child, 0)
        return None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _kill(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # it has not come as far as to have a group
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    serve()
