"""Real NATS servers with JetStream for tests: each a process, which may be killed, stopped, continued and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.server import free_port
from tests.e2e.wire import PATIENCE

PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def nats_program() -> str:
    """Return the program; the test that asks is skipped where there is none."""
    program = shutil.which("nats-server", path=PATH)
    if program is None:
        pytest.skip("nats-server is not installed (apt-get install nats-server)")
    return program


class NatsServer:
    """One server: a folder that lasts, and a process that may be started and ended many times.

    Args:
        routes: the route ports of all servers of its cluster; its own is the one at `place`.
        config: more lines of its configuration.
        jetstream: whether it has JetStream.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        routes: Sequence[int] = (),
        place: int = 0,
        *,
        config: str = "",
        jetstream: bool = True,
    ) -> None:
        self._program = nats_program()
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.port = fresh_port()
        self.monitor = fresh_port()
        self.log = self.folder / "nats.log"
        self._config = self.folder / "nats.conf"
        self._config.write_text(self._text(routes, place, config, jetstream))
        self._process: subprocess.Popen[bytes] | None = None

    def _text(self, routes: Sequence[int], place: int, more: str, jetstream: bool) -> str:
        lines = [
            f"server_name: {self.name}",
            f"listen: 127.0.0.1:{self.port}",
            f"http: 127.0.0.1:{self.monitor}",
        ]
        if jetstream:
            store = self.folder / "data"
            lines.append(f'jetstream {{ store_dir: "{store}", max_memory_store: 64MB, max_file_store: 1GB }}')
        if routes:
            others = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
            lines.append(f"cluster {{ name: tests, listen: 127.0.0.1:{routes[place]}, routes: [{others}] }}")
        return "\n".join([*lines, more, ""])

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, stopped or not."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> None:
        """Start the process, without waiting for anything."""
        assert not self.is_running
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start(self) -> None:
        """Start the process, and wait until it is healthy: JetStream is there, and so are its streams."""
        self.begin()
        self.wait_healthy()

    def wait_healthy(self) -> None:
        """Wait until it says that it is healthy; with a cluster that takes more than half of the servers."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_healthy():
            assert self.is_running, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/healthz", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._signal(signal.SIGKILL)
        self._wait()

    def end(self) -> None:
        """End it as an administrator does."""
        self._signal(signal.SIGTERM)
        self._wait()

    def stop(self) -> None:
        """Have the process stand still: its connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it, and start it again with what it has on disk."""
        self.kill()
        self.start()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(PATIENCE)

    def close(self) -> None:
        """End it whatever it does."""
        if self.is_running:
            self.kill()


class NatsCluster:
    """Three servers, or as many as are asked for, that are one cluster."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        routes = [fresh_port() for _ in range(count)]
        self.servers = [NatsServer(folder, f"nats{place + 1}", routes, place) for place in range(count)]

    @property
    def urls(self) -> list[str]:
        """The URLs for clients, of all servers."""
        return [server.url for server in self.servers]

    def start(self) -> None:
        """Start those that do not run, and wait until all are healthy."""
        for server in self.servers:
            if not server.is_running:
                server.begin()
        for server in self.servers:
            server.wait_healthy()

    def close(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.close()


_given: set[int] = set()


def fresh_port() -> int:
    """Return a free port that none of this process's servers was given."""
    while (port := free_port()) in _given or not _is_free(port):
        time.sleep(0.0001)
    _given.add(port)
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
