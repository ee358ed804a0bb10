"""A cluster of relay processes beside NATS servers, all on loopback, each to be killed, stopped and started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from relay.app.control_client import ControlError, NoServer, call, control_path
from relay.protocol.errors import RelayError
from tests.cluster.promises import copy
from tests.cluster.servers import NatsCluster, NatsServer, fresh_port
from tests.e2e.server import NO_TLS, RELAY, Server, Tables, merged, to_toml
from tests.e2e.wire import PATIENCE

NAME: Final = "team"
LEASE: Final = 1.0
SETTINGS: Final[Tables] = {
    "replay": {"limit": 100_000},
    "heartbeat": {"interval_seconds": 1},
    "log": {"level": "info"},
}


class Node(Server):
    """One node: a folder with its own database and settings, and a process that comes and goes."""

    def __init__(self, number: int, folder: Path, ports: Sequence[int], settings: Tables) -> None:
        folder.mkdir(parents=True)
        port, self.link = ports
        self.number = number
        self.name = f"node{number}"
        self._settings = merged(SETTINGS, settings, {"server": {"host": "127.0.0.1", "port": port}})
        super().__init__(folder, self._settings, command=RELAY)
        self.port = port

    def join(self, section: dict[str, Any]) -> None:
        """Write the settings of a cluster into its file."""
        own = {"node": self.name, "address": f"127.0.0.1:{self.link}"}
        self.config.write_text(self.config.read_text() + to_toml({"cluster": {**section, **own}}))

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def is_ready(self) -> bool:
        """Tell whether it says that it does its work."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10, trust_env=False, verify=NO_TLS).is_success
        except httpx.HTTPError:
            return False

    def ask(self, op: str, **arguments: Any) -> Any:
        """Have its control socket do something; None where the process does not answer, or refuses.

        A process that is stopped must not be asked: it would answer much later.
        """
        try:
            return call(control_path(self.database), op, arguments)
        except (NoServer, ControlError, RelayError, OSError):
            return None


class Cluster:
    """The nodes and their NATS servers.

    Args:
        alone: one process without a cluster: what the checks and the figures are compared with.
    """

    def __init__(
        self,
        folder: Path,
        settings: Tables | None = None,
        *,
        count: int = 3,
        brokers: int = 3,
        alone: bool = False,
    ) -> None:
        self.folder = folder
        self.settings = settings or {}
        self.lease = LEASE
        self.brokers: list[NatsServer] = []
        if not alone:
            self.brokers = NatsCluster(folder, brokers).servers if brokers > 1 else [NatsServer(folder, "nats1")]
        self.nodes: list[Node] = []
        self.tokens: dict[str, str] = {}
        self.replicas = brokers
        for _ in range(1 if alone else count):
            self.add()
        self._copies = 0

    def add(self) -> Node:
        """Make one more node, which is not started."""
        number = len(self.nodes)
        node = Node(number, self.folder / f"node{number}", (fresh_port(), fresh_port()), self.settings)
        self.nodes.append(node)
        return node

    def begin(self, users: Iterable[str], fill: Callable[[Node, str], None] | None = None) -> None:
        """Make the users, begin the cluster at the first node, and start all.

        Args:
            fill: called with the first node, while it is one by itself, and the token of the first user.
        """
        first = self.nodes[0]
        self.tokens = first.import_users(users)
        if fill is not None:
            first.start()
            fill(first, next(iter(self.tokens.values())))
            first.stop()
        if self.brokers:
            self.start_brokers()
            for node in self.nodes:
                self.enter(node)
            first.relay("cluster", "begin")
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_ready()
        self.wait_settled()

    def start_brokers(self) -> None:
        """Start the NATS servers, and wait until they are ready."""
        for one in self.brokers:
            one.begin()
        for one in self.brokers:
            one.wait_healthy()

    @property
    def urls(self) -> list[str]:
        """The URLs of the NATS servers."""
        return [one.url for one in self.brokers]

    def enter(self, node: Node) -> None:
        """Write the cluster into the settings of a node."""
        section = {"name": NAME, "servers": self.urls, "lease_seconds": self.lease}
        node.join({**section, "replicas": self.replicas})

    def leaders(self) -> dict[str, str | None]:
        """Return whom each node that answers takes for the leader, by the node's name."""
        found = {}
        for node in self.nodes:
            if node.alive and (answer := node.ask("cluster.status")) is not None:
                found[node.name] = answer["leader"]
        return found

    def leader(self) -> Node | None:
        """Return the node that leads, as it says itself; None while there is none."""
        if not self.brokers:
            return self.nodes[0] if self.nodes[0].alive else None
        leaders = self.leaders()
        return next((node for node in self.nodes if leaders.get(node.name) == node.name), None)

    def wait_leader(self, other_than: Node | None = None) -> Node:
        """Wait until a node leads."""

        def found() -> Node | None:
            leader = self.leader()
            return None if leader is other_than else leader

        return self.wait(found, "nobody leads")

    def wait_settled(self) -> Node:
        """Wait until one node leads, and all that run follow it and are ready; return who leads."""

        def found() -> Node | None:
            leader, leaders = self.leader(), self.leaders()
            running = [node for node in self.nodes if node.alive]
            if self.brokers and (len(leaders) < len(running) or len(set(leaders.values())) > 1):
                return None
            return leader if all(node.is_ready() for node in running) else None

        return self.wait(found, "the nodes do not settle")

    def wait(self, found: Callable[[], Node | None], otherwise: str) -> Node:
        """Wait until something is found."""
        deadline = time.monotonic() + PATIENCE
        while (node := found()) is None:
            assert time.monotonic() < deadline, f"{otherwise}: {self.leaders()}\n{self.diagnosis()}"
            time.sleep(0.05)
        return node

    def copies(self) -> list[Path]:
        """Return copies of all nodes' databases at one and the same record; nobody must be writing much."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._copies += 1
            made = [self.folder / f"{node.name}-{self._copies}.db" for node in self.nodes]
            places = [copy(node.database, file) for node, file in zip(self.nodes, made, strict=True)]
            if len(set(places)) == 1:
                return made
            for file in made:
                file.unlink()
            assert time.monotonic() < deadline, f"the nodes stay apart: {places}\n{self.diagnosis()}"
            time.sleep(0.2)

    @contextlib.contextmanager
    def stopped(self, node: Node) -> Iterator[None]:
        """Have a node stand still in the block, as if its machine did."""
        node.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            node.send_signal(signal.SIGCONT)

    def diagnosis(self) -> str:
        """Return the ends of all logs."""
        told = [
            f"--- {node.name}, alive: {node.alive}\n{node.diagnosis()}" for node in self.nodes if node.log.exists()
        ]
        told += [f"--- {one.name}\n{one.log.read_text()[-1500:]}" for one in self.brokers if one.log.exists()]
        return "\n".join(told)

    def end(self) -> None:
        """Leave nothing running."""
        for node in self.nodes:
            if node.alive:
                node.kill()
        for one in self.brokers:
            one.close()
