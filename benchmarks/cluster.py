"""What a cluster costs beside one process: `python -m benchmarks.cluster`, under three minutes.

One process, then three nodes beside one NATS server, then three nodes beside three of them, one after the other in
one run, with the same load: acks at a gentle pace, as many messages as are taken, a large group, and connections
that stay silent. Clients are spread over the nodes. All of it runs on this machine, which real nodes would not
share: what is told is the processor time of each process, and not how much more three machines do.
"""

from __future__ import annotations

import gc
import resource
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import click

from benchmarks.frames import Frame, SharedDecoder
from benchmarks.load import Client, connect_all
from benchmarks.loop import Loop
from benchmarks.machine import describe, memory_kib, process_seconds
from benchmarks.report import percentile
from benchmarks.server import end_cleanly, scratch
from benchmarks.traffic import Conversation, pace, settle
from tests.cluster.nodes import Cluster, Node

PAIRS, PACE, IN_FLIGHT = 24, 100, 8
GROUP, MEMBERS, GROUP_SENDERS, GROUP_IN_FLIGHT = "benchmark-group", 2000, 5, 4
SILENT, FIRST = 900, 30
TALKERS = [f"talker{n:02d}" for n in range(2 * PAIRS)]
USERS = [f"user{n:04d}" for n in range(MEMBERS)]
WARM_UP_SECONDS = 1.0
LEASE_SECONDS = 5.0
FILES = 16_384
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "heartbeat": {"interval_seconds": 25},
    "replay": {"limit": 2000},
    "log": {"level": "warning"},
    "limits": {"connections": 0, "message_bytes_per_second": 0, "group_members": 0},
}


class Setup(NamedTuple):
    """A way to run relay."""

    name: str
    nodes: int
    brokers: int
    whole: bool


SETUPS = (
    Setup("one process", 1, 0, True),
    Setup("three nodes, one NATS server", 3, 1, False),
    Setup("three nodes, three NATS servers", 3, 3, True),
)


class Talk(Conversation):
    """A conversation that also keeps how long each ack took, in seconds."""

    def __init__(
        self, kind: str, target: str, senders: Sequence[Client], members: Sequence[Client], base: int = 0
    ):
        self.acks: list[float] = []
        super().__init__(kind, target, senders, members, base)

    def _ack(self, client: Client, frame: Frame) -> None:
        super()._ack(client, frame)
        self.acks.append(perf_counter() - self._sent[frame.meta.ref])


@dataclass
class Cost:
    """What processes have used between two moments, in seconds."""

    cluster: Cluster
    leader: Node
    _before: dict[int, float] = field(default_factory=dict)
    _begun: float = 0.0
    wall: float = 0.0

    def _take(self) -> dict[int, float]:
        pids = [node.pid for node in self.cluster.nodes]
        pids += [one.pid for one in self.cluster.brokers]
        return {pid: process_seconds(pid) for pid in pids}

    def __enter__(self) -> Cost:
        self._begun, self._before = perf_counter(), self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self.used = {pid: now - self._before[pid] for pid, now in self._take().items()}
        self.wall = perf_counter() - self._begun

    def each(self, count: int) -> str:
        """Return the microseconds for each of so many things: of the leader, a follower, and a NATS server."""
        followers = [self.used.pop(node.pid) for node in self.cluster.nodes if node is not self.leader]
        leader, brokers = self.used.pop(self.leader.pid), list(self.used.values())
        parts = {"leader": [leader], "follower": followers, "NATS": brokers}
        told = [f"{name} {sum(used) / len(used) / count * 1e6:.1f} µs" for name, used in parts.items() if used]
        return ", ".join(told)


class Bench:
    """One setup under load; clients go round the nodes, the leader's first."""

    def __init__(self, cluster: Cluster, seconds: float) -> None:
        self.cluster = cluster
        self.seconds = seconds
        self.leader = cluster.wait_settled()
        followers = [node for node in cluster.nodes if node is not self.leader]
        self.nodes = [self.leader, *followers]

    def connect(self, loop: Loop, devices: Sequence[tuple[str, str]]) -> list[Client]:
        """Connect devices, each at the node behind the one of the device before it."""
        clients = [Client(loop, user, self.cluster.tokens[user], name) for user, name in devices]
        for at, node in enumerate(self.nodes):
            connect_all(loop, clients[at :: len(self.nodes)], node.port)
        return clients

    def talks(self, loop: Loop) -> list[Talk]:
        """Connect pairs, whose two sides are at two nodes."""
        names = [(user, "talks") for user in TALKERS]
        clients = self.connect(loop, names)
        pairs = zip(clients[::2], clients[1::2], strict=True)
        return [Talk("chat_message", reader.user, [sender], [sender, reader]) for sender, reader in pairs]

    def paced(self, talks: Sequence[Talk], loop: Loop) -> str:
        """Send at a gentle pace, and tell how long acks took."""
        pace(loop, talks, PACE, WARM_UP_SECONDS)
        seen = {talk: len(talk.acks) for talk in talks}
        with Cost(self.cluster, self.leader) as cost:
            pace(loop, talks, PACE, self.seconds)
        settle(loop, talks)
        acks = sorted(took for talk in talks for took in talk.acks[seen[talk] :])
        middle, late = (percentile(acks, share) * 1000 for share in (0.5, 0.99))
        return f"ack p50 {middle:.2f} ms, p99 {late:.2f} ms; a message: {cost.each(len(acks))}"

    def full(self, talks: Sequence[Talk], loop: Loop) -> str:
        """Send as many as are taken."""
        for talk in talks:
            talk.start(IN_FLIGHT)
        loop.run_for(WARM_UP_SECONDS)
        before = sum(talk.acked for talk in talks)
        with Cost(self.cluster, self.leader) as cost:
            loop.run_for(self.seconds)
        count = sum(talk.acked for talk in talks) - before
        settle(loop, talks)
        return f"{count / cost.wall:,.0f} messages/s; a message: {cost.each(count)}"

    def group(self, loop: Loop) -> str:
        """Send to a group whose members are spread over the nodes."""
        with self.leader.rest(self.cluster.tokens[USERS[0]]) as rest:
            body = {"name": "Benchmark", "group_id": GROUP, "members": USERS[1:]}
            answer = rest.post("/api/groups", json=body)
            assert answer.status_code == 201, answer.text
            found = rest.get("/api/conversations").json()["conversations"]
        [base] = [int(one["last_seq"]) for one in found if one["target_id"] == GROUP]
        clients, decode = self.connect(loop, [(user, "member") for user in USERS]), SharedDecoder()
        for client in clients:
            client.decode = decode
        talk = Talk("group_message", GROUP, clients[:GROUP_SENDERS], clients, base)
        talk.start(GROUP_IN_FLIGHT)
        loop.run_for(2 * WARM_UP_SECONDS)
        before = talk.delivered
        with Cost(self.cluster, self.leader) as cost:
            loop.run_for(self.seconds)
        count = talk.delivered - before
        settle(loop, [talk])
        return f"{count / cost.wall:,.0f} deliveries/s; a delivery: {cost.each(count)}"

    def silent(self, loop: Loop) -> str:
        """Open connections that stay silent, and tell what each takes: the leader has all of them."""
        self.connect(loop, [(user, "first") for user in USERS[:FIRST]])
        before = {node.name: memory_kib(node.pid) for node in self.nodes}
        self.connect(loop, [(user, "silent") for user in USERS[:SILENT]])
        loop.run_for(WARM_UP_SECONDS)
        grown = {node.name: memory_kib(node.pid) - before[node.name] for node in self.nodes}
        share = SILENT / len(self.nodes)
        told = [f"leader {grown[self.leader.name] / SILENT:.1f} KiB for each of all {SILENT}"]
        told += [f"{node.name} {grown[node.name] / share:.1f} KiB for each of its own" for node in self.nodes[1:]]
        return ", ".join(told)


@contextmanager
def running(setup: Setup, folder: Path) -> Iterator[Cluster]:
    """Run a setup with its users."""
    cluster = Cluster(folder, SETTINGS, count=setup.nodes, brokers=setup.brokers, alone=setup.brokers == 0)
    cluster.lease = LEASE_SECONDS
    try:
        cluster.begin([*TALKERS, *USERS])
        yield cluster
    finally:
        cluster.end()


def measure(setup: Setup, folder: Path, seconds: float) -> Iterator[str]:
    """Yield the lines of one setup."""
    with running(setup, folder) as cluster:
        bench, loop = Bench(cluster, seconds), Loop()
        talks = bench.talks(loop)
        yield f"{PACE} messages/s: {bench.paced(talks, loop)}"
        yield f"as many as it takes: {bench.full(talks, loop)}"
        loop.close()
        if setup.whole:
            loop = Loop()
            yield f"silent connections: {bench.silent(loop)}"
            loop.close()
            loop = Loop()
            yield f"group of {MEMBERS:,}: {bench.group(loop)}"
            loop.close()


@click.command()
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=6, help="Length of each measured window.")
def main(seconds: float) -> None:
    """Measure what a cluster costs beside one process, on this machine's disk and over loopback."""
    end_cleanly()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    with scratch() as folder:
        click.echo(describe(folder))
        gc.collect()
        gc.disable()
        for setup in SETUPS:
            click.echo(f"\n{setup.name}")
            with tempfile.TemporaryDirectory(dir=folder) as place:
                for line in measure(setup, Path(place), seconds):
                    click.echo(f"    {line}")


if __name__ == "__main__":
    main()
