"""The playing of cases: an echo server as a process, a connection for each case, and how it ended."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.conformance.cases import Case, Verdict
from tests.conformance.peer import Fault, Peer
from tests.e2e.server import ROOT, environment

AT_ONCE = 32
_ADDRESS = re.compile(r"ws://([0-9.]+):(\d+)/ws")


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        reason: why it failed.
    """

    case: Case
    verdict: Verdict
    seconds: float
    reason: str = ""


@contextmanager
def echo_server() -> Iterator[tuple[str, int]]:
    """Run `relay.testing.echo` in a process of its own, and give its address."""
    command = [sys.executable, "-m", "relay.testing.echo", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = _ADDRESS.search(said)
        assert found is not None, f"the echo server said {said!r}"
        yield found[1], int(found[2])
        assert process.poll() is None, f"the echo server ended with {process.returncode}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def play_all(cases: Iterable[Case], address: tuple[str, int]) -> list[Outcome]:
    """Play cases: many at a time, as most of their time is waiting, and those of group 9 one after the other."""
    wanted = list(cases)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(partial(play, address=address), (one for one in wanted if one.group != 9)))
    outcomes += [play(case, address) for case in wanted if case.group == 9]
    return outcomes


def play(case: Case, address: tuple[str, int]) -> Outcome:
    """Play a case on a connection of its own."""
    began = time.monotonic()
    try:
        peer = Peer(address)
        try:
            verdict, reason = case.play(peer), ""
        finally:
            peer.end()
    except (Fault, OSError, UnicodeDecodeError, AssertionError) as fault:
        verdict, reason = Verdict.FAILED, str(fault)
    return Outcome(case, verdict, time.monotonic() - began, reason)
