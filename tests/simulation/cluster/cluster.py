"""The simulated cluster: three nodes and what is between them, in the place of a simulation's one server."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import trio

from relay.cluster.records import START
from relay.engine.opening import open_engine
from relay.storage.cluster import Position, read_position, write_position
from relay.storage.errors import StorageError
from relay.storage.identity import new_epoch, read_epoch
from tests.simulation.cluster.broker import Broker
from tests.simulation.cluster.node import NAME, Node
from tests.simulation.cluster.watch import StreamWatch
from tests.simulation.cluster.wires import ClusterNetwork
from tests.simulation.determinism import WallClock, run, seeded
from tests.simulation.network import Trace
from tests.simulation.promises import Pointers, Tell
from tests.simulation.replica import differences
from tests.simulation.server import Life, settings_for, template

T = TypeVar("T")
NODES = ("one", "two", "three")
_CATCHES_UP = 120
"""Seconds until every node has all that is in the stream, once nothing fails any more."""


@cache
def prepared() -> bytes:
    """Return the template's database with the tables of all plugins, as a cluster begins with it."""

    async def make() -> None:
        async with open_engine(settings_for(path), inline=True, background=False):
            await trio.lowlevel.checkpoint()

    with TemporaryDirectory() as folder, seeded("cluster template"):
        path = Path(folder) / "relay.db"
        path.write_bytes(template()[0])
        run(make)
        return path.read_bytes()


class Cluster:
    """Three nodes over all of their lives; to devices and steps it is a server.

    Attributes:
        ending: whether nobody is to lead any more, as all is about to be compared.
        healed: whether nothing fails any more.
        copies: how many copies nodes have taken.
        epoch: the database's, which no failure of a node changes.
    """

    def __init__(self, folder: Path, rng: random.Random, trace: Trace, clock: WallClock, tell: Tell) -> None:
        self.trace, self.clock = trace, clock
        self._tell = tell
        self._changed = trio.lowlevel.ParkingLot()
        self.pointers = Pointers(tell)
        self.watch = StreamWatch(tell)
        self.broker = Broker(rng, trace, self.watch)
        self.nodes: list[Node] = []
        self.network = ClusterNetwork(rng, trace, self.nodes)
        self.nodes += [Node(name, folder / name, random.Random(rng.random()), self) for name in NODES]
        self.by_name = {node.name: node for node in self.nodes}
        self.tokens = template()[1]
        self.logs: dict[str, Any] = {}
        self.ending = self.healed = self.running = False
        self.copies = 0
        self._newest: Life | None = None
        self._term = 0
        self.epoch = self._begin()

    def _begin(self) -> str:
        """Put the same database at every node; return its epoch."""
        first = self.nodes[0].disk.database
        first.write_bytes(prepared())
        with closing(sqlite3.connect(first)) as connection, connection:
            new_epoch(connection)
            write_position(connection, Position(NAME, 0, 0, START, 0))
            epoch = read_epoch(connection)
        for node in self.nodes[1:]:
            node.disk.database.write_bytes(first.read_bytes())
        return epoch

    @property
    def life(self) -> Life | None:
        """The engine of the newest leader; None while that has none."""
        return next((self._newest for node in self.nodes if node.life is self._newest is not None), None)

    @property
    def leader(self) -> Node | None:
        """The node of that engine."""
        return next((node for node in self.nodes if node.life is self._newest is not None), None)

    def begins(self, life: Life, term: int) -> None:
        """Take note of a leader whose engine runs now."""
        if term > self._term:
            self._newest, self._term = life, term
        self._changed.unpark_all()

    def expect(self, holds: bool, text: str) -> None:
        """Tell of a node that needs a copy of the database without a cause."""
        if not holds:
            self._tell("fits", text)

    async def run(self) -> None:
        """Run all nodes until the simulation ends."""
        self.running = True
        try:
            async with trio.open_nursery() as nursery:
                for node in self.nodes:
                    node.disk.nursery = self.broker.nursery
                    nursery.start_soon(node.run)
        finally:
            self.running = False

    async def ask(self, call: Callable[[Life], Awaitable[T]]) -> T:
        """Ask the leader something, and ask the next one where it ends meanwhile."""
        while True:
            while (life := self.life) is None:
                await self._changed.park()
            with trio.CancelScope() as scope:
                life.callers[scope] = None
                try:
                    return await call(life)
                finally:
                    life.callers.pop(scope, None)

    async def hand_over(self, to: Node) -> None:
        """Have another node lead, as an operator asks for it."""
        leader = self.leader
        if leader is None or leader is to or (log := leader.log) is None or leader.life is None:
            return
        try:
            await leader.life.engine.runner.write(lambda _connection: log.hand_over(to.name))
        except StorageError:
            return

    def heal(self) -> None:
        """Have everything work from now on."""
        self.healed = True
        self.broker.heal()
        for node in self.nodes:
            node.disk.heal()
            node.line.cut = False
            node.line.faults.clear()
            node.line.thaw()
        self.broker.changed.unpark_all()

    async def end(self) -> Path:
        """Have the leader end, and the others once they have all that is in the stream; compare their databases."""
        await self._catch_up()
        self.ending = True
        for node in self.nodes:
            if node.life is not None:
                node.stop()
        await self._catch_up()
        for node in self.nodes:
            node.stop()
        while self.running:
            await trio.sleep(0.1)
        return self._compare()

    async def _catch_up(self) -> None:
        """Wait until every node has all that is in the stream."""
        for _ in range(_CATCHES_UP):
            await trio.sleep(1)
            if self.ending and self.life is not None:
                continue
            if all(self._position(node) == self.watch.end for node in self.nodes):
                return
        found = {node.name: self._position(node) for node in self.nodes}
        self._tell("catches up", f"the newest record ends at {self.watch.end}, and the nodes are at {found}")

    def purge(self, kept: int) -> int:
        """Keep the stream's newest entries, and those that no node has, as a stream is kept longer than outages last.

        Returns how many are gone by now.
        """
        has = max(self._position(node) for node in self.nodes)
        return self.broker.purge(max(kept, len(self.broker.entries) - has))

    def _position(self, node: Node) -> int:
        with closing(sqlite3.connect(f"file:{node.disk.database}?mode=ro", uri=True)) as connection:
            position = read_position(connection)
        return -1 if position is None else position.sequence

    def _compare(self) -> Path:
        """Hold the nodes' databases against each other, row by row; return the first one's."""
        first, *others = (node.disk.database for node in self.nodes)
        for node, other in zip(self.nodes[1:], others, strict=True):
            for difference in differences(first, other):
                self._tell("the same everywhere", f"{self.nodes[0].name} and {node.name} differ: {difference}")
            with closing(sqlite3.connect(other)) as connection:
                for (problem,) in connection.execute("PRAGMA integrity_check").fetchall():
                    if problem != "ok":
                        self._tell("sound", f"{node.name}: {problem}")
                for problem in connection.execute("PRAGMA foreign_key_check").fetchall():
                    self._tell("sound", f"{node.name}: a foreign key leads nowhere: {problem}")
        return first
