"""Three NATS servers with JetStream, as processes of their own."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from tests.e2e.wire import PATIENCE

PROGRAM = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")


def free_ports(count: int) -> list[int]:
    """Find ports that are free, all at once, below those that the system gives out."""
    from tests.e2e.server import free_port

    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = free_port()
            with contextlib.suppress(OSError):
                held = stack.enter_context(socket.socket())
                held.bind(("127.0.0.1", port))
                found.append(port)
    return found


class Broker:
    """One NATS server: a folder that lasts, and a process that comes and goes."""

    def __init__(self, folder: Path, name: str, port: int, route: int, monitor: int, routes: list[int]) -> None:
        folder.mkdir(parents=True)
        self.url = f"nats://127.0.0.1:{port}"
        self.health = f"http://127.0.0.1:{monitor}/healthz"
        self.log = folder / "nats.log"
        self.config = folder / "nats.conf"
        others = ", ".join(f"nats-route://127.0.0.1:{one}" for one in routes)
        cluster = f'cluster {{ name: test, listen: "127.0.0.1:{route}", routes: [{others}] }}\n'
        self.config.write_text(
            f'server_name: {name}\nlisten: "127.0.0.1:{port}"\nhttp: "127.0.0.1:{monitor}"\n'
            f'jetstream {{ store_dir: "{folder}", max_file_store: 2GB, max_memory_store: 64MB }}\n'
            + (cluster if len(routes) > 1 else "")
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return at once."""
        assert PROGRAM is not None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "-c", str(self.config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def wait_ready(self) -> None:
        """Wait until it says that it is healthy."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.health, timeout=5, trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"{self.url} is not ready:\n{self.log.read_text()[-4000:]}")

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Brokers:
    """A cluster of NATS servers; of one, where `count` is 1."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        ports = free_ports(3 * count)
        clients, routes, monitors = (ports[at::3] for at in range(3))
        self.all = [
            Broker(folder / f"nats{at}", f"nats{at}", clients[at], routes[at], monitors[at], routes)
            for at in range(count)
        ]

    @property
    def urls(self) -> list[str]:
        return [one.url for one in self.all]

    def start(self) -> None:
        """Start all, and wait until they are ready."""
        for one in self.all:
            one.start()
        for one in self.all:
            one.wait_ready()

    def end(self) -> None:
        """Leave nothing running."""
        for one in self.all:
            one.kill()
