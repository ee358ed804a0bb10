"""One simulation of a cluster: three nodes, their devices and a list of steps, and a look at all that was promised."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

import relay.storage.database
from relay.cluster.following import Follower
from relay.storage import runners
from tests.simulation import final
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.cluster.disk import on_disks
from tests.simulation.cluster.moves import ClusterMoves
from tests.simulation.cluster.wires import ClusterNetwork
from tests.simulation.disk import FaultyWriter
from tests.simulation.run import Outcome, Run, play
from tests.simulation.steps import Step

_EXPECTED = (
    "does not take what is written",
    "does not take the cluster's changes",
    "no copy from",
    "this node cannot lead",
)


class ClusterRun(Run):
    """A simulation of a cluster while it runs."""

    expected = (*final.EXPECTED_ERRORS, *_EXPECTED)
    network: ClusterNetwork
    server: Cluster

    def _build(self, seed: int) -> None:
        self.server = Cluster(
            self._folder, random.Random(f"cluster {seed}"), self.trace, self.clock, self.broken
        )  # fmt: skip
        self.network = self.server.network

    @contextmanager
    def on_disk(self) -> Iterator[None]:
        """Have relay open each node's database on that node's disk."""
        by_name = self.server.by_name

        def follower(name: str, *args: Any, **named: Any) -> Follower:
            return by_name[name].follower(name, *args, **named)

        with (
            on_disks([node.disk for node in self.server.nodes], follower) as open_runner,
            mock.patch.object(relay.storage.database, "InlineRunner", open_runner),
            mock.patch.object(runners, "Writer", FaultyWriter),
        ):
            yield

    def _begin(self) -> ClusterMoves:
        self.server.broker.nursery = self.nursery
        self.nursery.start_soon(self.server.run)
        return ClusterMoves(self)

    async def _finish(self) -> None:
        self.server.heal()
        self.network.calm()
        await final.gather(self)
        await final.compare_devices(self)
        database = await self.server.end()
        with closing(sqlite3.connect(database)) as connection:
            final.check_database(self, connection)
        for node in self.server.nodes:
            final.check_bytes(self, node.disk.database)
        for phone in self.phones:
            if strange := {epoch for epoch, _ in phone.witness.seen} - {self.server.epoch}:
                self.broken("one epoch", f"{phone.client_id} was told of the epochs {strange}")


def simulate(seed: int, steps: Iterable[Step]) -> Outcome:
    """Run the steps of a simulation on a new cluster, and return what became of it."""
    return play(seed, lambda folder: ClusterRun(seed, list(steps), folder))
