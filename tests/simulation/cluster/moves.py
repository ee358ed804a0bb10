"""What each step of a cluster's simulation does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from relay.storage.errors import StorageError
from tests.simulation.cluster.broker import FAULTS
from tests.simulation.cluster.node import LEASE, Node
from tests.simulation.moves import Moves
from tests.simulation.steps import Step

if TYPE_CHECKING:
    from tests.simulation.cluster.run import ClusterRun

_FOR = (0.3, 1.0, LEASE, 3 * LEASE, 3 * LEASE, 40.0)
"""Seconds for which something is cut off, stopped or away."""


class ClusterMoves(Moves):
    """The steps by their verbs; each returns what it did, in words."""

    _run: ClusterRun

    def __init__(self, run: ClusterRun) -> None:
        super().__init__(run)

    def _node(self, number: int) -> Node:
        """Return a node; the one that leads about as often as the others together."""
        cluster = self._run.server
        leader = cluster.leader
        if leader is not None and number % 2:
            return leader
        return cluster.nodes[number // 2 % len(cluster.nodes)]

    def _for_a_while(self, number: int, end: Callable[[], None]) -> float:
        """End something after a while; return after how many seconds."""
        seconds = _FOR[number % len(_FOR)]

        async def wait() -> None:
            await trio.sleep(seconds)
            end()

        self._run.nursery.start_soon(wait)
        return seconds

    # What happens to devices.

    async def move(self, step: Step) -> str:
        phone = self._phone(step)
        homes = self._run.network.homes
        homes[phone.client_id] = step.b
        if (wire := self._wire(step)) is not None:
            wire.cut()
        return f"{phone.client_id} moves to node {step.b % 3}"

    # What happens to nodes.

    async def die(self, step: Step) -> str:
        node = self._node(step.a)
        if step.b % 4 == 0:
            node.disk.crash_now()
            return f"{node.name} dies"
        manner = ("before", "before", "torn", "after")[step.c % 4]
        node.disk.crash_at(1 + step.b % 3, manner, step.c / 999)  # type: ignore[arg-type]
        return f"{node.name} dies at a commit: {manner}"

    async def freeze(self, step: Step) -> str:
        node = self._node(step.a)
        if step.c % 3 == 0:
            node.disk.freezes = seconds = _FOR[step.b % len(_FOR)]
            return f"{node.name} is stopped at its next commit, for {seconds:g} s"
        node.line.frozen = True
        seconds = self._for_a_while(step.b, node.line.thaw)
        return f"{node.name} is stopped, and goes on in {seconds:g} s"

    async def restart(self, step: Step) -> str:
        node = self._node(step.a)
        node.stop()
        return f"{node.name} is restarted"

    async def hand_over(self, step: Step) -> str:
        node = self._run.server.nodes[step.a % 3]
        self._run.nursery.start_soon(self._run.server.hand_over, node)
        return f"{node.name} is to lead"

    async def fail(self, step: Step) -> str:
        node, statements = self._node(step.a), 1 + step.b % 24
        node.disk.fail(statements, full=step.c % 2 > 0, undoes=step.c % 3 > 0)
        return f"the disk of {node.name} fails, {statements} statements from now"

    async def drag(self, step: Step) -> str:
        node = self._node(step.a)
        node.disk.slowness = (1.0, 10.0, 100.0)[step.b % 3]
        return f"the disk of {node.name} is {node.disk.slowness:g} times as slow from now on"

    async def skew(self, step: Step) -> str:
        node = self._node(step.a)
        node.skew = (-3600.0, -5.0, -0.5, 0.0, 0.5, 5.0, 3600.0)[step.b % 7]
        return f"the clock of {node.name} shows {node.skew:+g} s"

    async def tables(self, step: Step) -> str:
        def make(connection: sqlite3.Connection) -> None:
            connection.execute(f"CREATE TABLE IF NOT EXISTS made_{step.a} (id INTEGER PRIMARY KEY)")

        life = self._run.server.life
        if life is None:
            return "nobody leads who could make a table"
        try:
            await life.engine.runner.write(make)
        except StorageError as error:
            return f"no table is made: {error}"
        return f"the leader makes the table made_{step.a}"

    # What happens between them.

    async def part(self, step: Step) -> str:
        node, broker = self._node(step.a), self._run.server.broker
        node.line.cut = True

        def mend() -> None:
            node.line.cut = False
            broker.changed.unpark_all()

        return f"{node.name} is cut off from the stream for {self._for_a_while(step.b, mend):g} s"

    async def unlink(self, step: Step) -> str:
        network, nodes = self._run.network, self._run.server.nodes
        one, other = nodes[step.a % 3], nodes[(step.a + 1 + step.b % 2) % 3]
        network.unlink(one, other)
        seconds = self._for_a_while(step.c, lambda: network.link(one, other))
        return f"{one.name} and {other.name} do not reach each other for {seconds:g} s"

    async def outage(self, step: Step) -> str:
        broker = self._run.server.broker
        broker.away = True

        def back() -> None:
            broker.away = False
            broker.changed.unpark_all()

        return f"the stream and the bus are away for {self._for_a_while(step.a, back):g} s"

    async def unanswered(self, step: Step) -> str:
        node = self._node(step.a)
        faults = [FAULTS[(step.b + number * step.c) % len(FAULTS)] for number in range(1 + step.c % 3)]
        node.line.faults.extend(faults)
        return f"{node.name} is not told of its next appends: {', '.join(faults)}"

    async def bus(self, step: Step) -> str:
        broker = self._run.server.broker
        broker.lossy = (0.0, 0.3, 0.8, 1.0)[step.a % 4]
        broker.slowness = (1.0, 1.0, 5.0, 20.0)[step.b % 4]

        def calm() -> None:
            broker.lossy, broker.slowness = 0.0, 1.0

        seconds = self._for_a_while(step.c, calm)
        return (
            f"of the bus {broker.lossy:.0%} is lost, all is {broker.slowness:g} times as slow, for {seconds:g} s"
        )

    async def purge(self, step: Step) -> str:
        kept = (0, 1, 3, 10, 30)[step.a % 5]
        return f"the stream keeps {kept} entries and what no node has: {self._run.server.purge(kept)} are gone"
