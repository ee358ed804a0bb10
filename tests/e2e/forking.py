"""The program as a fork of a process that has imported it already, which takes a quarter of what a start takes.

One such process serves one process of pytest. It does nothing else: it has no threads and has run nothing of relay's,
so that a fork of it is what `python -m relay` is after its imports. The simulations are forked in the same way.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    "relay": ("relay.app.server", "relay.cli.serving", "relay.cli.users", "relay.cli.plugin_commands", "httpx"),
    "tests.simulation": ("tests.simulation.command", "tests.simulation.run"),
    "tests.simulation.cluster": ("tests.simulation.command", "tests.simulation.cluster.run"),
}
"""What a start of each program imports: the rest is little, and is imported where it is used."""

MOST_BYTES = 1 << 20
DESCRIPTORS = 4
"""What goes with a request: standard input, output and error, and a pipe for the exit status."""


class Forked:
    """A process that was forked, with those methods of a `Popen` that tests use."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it runs longer than `timeout` seconds.
        """
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()  # a descriptor may be larger than what select takes
            poll.register(self._status, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                self._take_status()
        return self.returncode

    def _take_status(self) -> None:
        with self._lock:  # another thread may wait as well
            if self.returncode is None:
                told = os.read(self._status, 16)
                os.close(self._status)
                self.returncode = int(told)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, as the tests see it.

    Args:
        program: one of `MODULES`.
        environ: what its environment has besides; of what it is forked for, as of PYTHONHASHSEED.
    """

    def __init__(self, program: str, **environ: str) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.e2e.forking", program, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environ, pass_fds=[theirs.fileno()]
            )

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: IO[Any] | None,
        stdout: IO[Any],
        stderr: IO[Any],
    ) -> Forked:
        """Run the program with these arguments in a process of its own, and return at once; no `stdin` is an empty one."""
        request = json.dumps([list(arguments), str(cwd), dict(env)]).encode()
        with open(os.devnull, "rb") as nothing, self._lock:
            streams = [one.fileno() for one in (stdin or nothing, stdout, stderr)]
            status, theirs = os.pipe()
            try:
                socket.send_fds(self._socket, [request], [*streams, theirs])
            finally:
                os.close(theirs)
            return Forked(int(self._socket.recv(16)), status)

    def close(self) -> None:
        """End it; what it has forked lives on."""
        self._socket.close()
        self._process.wait()


@cache
def forks(program: str = "relay", **environ: str) -> Forks:
    """Return the one of this process for a program, which is started when it is first asked for."""
    started = Forks(program, **environ)
    atexit.register(started.close)
    return started


def fork_for(asked: socket.socket) -> bool:
    """Fork for each request, until nobody can ask any more; return whether this is a fork, which is to run the program."""
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                reap(descriptor, *running.pop(descriptor))
                continue
            request, given, _, _ = socket.recv_fds(asked, MOST_BYTES, DESCRIPTORS)
            if not request:
                return False
            pid = os.fork()
            if pid == 0:
                asked.detach()
                become(json.loads(request), given)
                return True
            *streams, status = given
            for one in streams:
                os.close(one)
            ended = os.pidfd_open(pid)
            running[ended] = pid, status
            poll.register(ended, select.POLLIN)
            asked.send(str(pid).encode())


def reap(ended: int, pid: int, status: int) -> None:
    """Tell whoever asked for a process how it ended."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)
    os.close(ended)


def become(request: tuple[list[str], str, dict[str, str]], given: Sequence[int]) -> None:
    """Make this fork what the program is at its start: its arguments, folder, environment and open files."""
    arguments, folder, environ = request
    for number, descriptor in enumerate(given[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["", *arguments]


if __name__ == "__main__":
    asked_for = sys.argv[1]
    for name in MODULES[asked_for]:
        import_module(name)
    gc.freeze()
    if fork_for(socket.socket(fileno=int(sys.argv[2]))):
        runpy.run_module(asked_for, run_name="__main__", alter_sys=True)
