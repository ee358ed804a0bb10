"""A simulated node: processes of the real code, one after the other, on one database that crashes and is copied."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from relay.cluster.beats import Beat, Heard
from relay.cluster.copies import Copies
from relay.cluster.fetching import fetch_copy
from relay.cluster.following import Follower
from relay.cluster.leading import Leader
from relay.cluster.records import Kind
from relay.cluster.replica import Diverged, SchemaChanged
from relay.cluster.replication import LeaderLog
from relay.cluster.roles import CannotCopy, Roles, Term
from relay.cluster.stream import Missing
from relay.engine.opening import open_engine
from relay.services.heartbeat import HeartbeatSupervisor
from relay.storage.copying import Progress
from relay.storage.errors import BackupFailed, Deposed, StorageError
from relay.transports.front_door import FrontDoor
from tests.simulation.cluster.broker import Line, ModelBus, ModelStream
from tests.simulation.cluster.disk import NodeDisk
from tests.simulation.server import Life, no_http, settings_for

if TYPE_CHECKING:
    from tests.simulation.cluster.cluster import Cluster

NAME: Final = "team"
LEASE: Final = 4.0
_AWAY: Final = (0.0, 0.05, 1.0, 7.0, 25.0)
"""Seconds that a process which ended is away."""


class _Watched(Follower):
    """A follower that may need a copy of the database only where something was made to be missing."""

    def __init__(self, cluster: Cluster, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._cluster = cluster

    async def follow(self) -> None:
        """Follow, and tell of what must not happen."""
        try:
            await super().follow()
        except SchemaChanged:
            self._cluster.expect(self._cluster.watch.kinds[Kind.SCHEMA] > 0, f"{self._name}: other tables")
            raise
        except Diverged as error:
            self._cluster.expect(False, f"{self._name}: {error}")
            raise
        except Missing:
            self._cluster.expect(self._cluster.broker.first > 0, f"{self._name}: entries are missing")
            raise


class Node:
    """One node over all of its lives.

    Attributes:
        up: whether its process runs.
        life: its engine while it leads.
        skew: what its clock shows more than the others' do.
        heard: what its process hears of the others.
        roles: its process's.
    """

    def __init__(self, name: str, folder: Path, rng: random.Random, cluster: Cluster) -> None:
        self.name = name
        self.line = Line(name)
        self._rng = rng
        self._cluster = cluster
        self.stream = ModelStream(cluster.broker, self.line)
        self._bus = ModelBus(cluster.broker, self.line)
        self.disk = NodeDisk(
            folder, rng, cluster.trace, self.line, self._committed, self._applied, self._crashed
        )  # fmt: skip
        self.up = False
        self.skew = 0.0
        self.life: Life | None = None
        self.log: LeaderLog | None = None
        self.heard: Heard
        self.roles: Roles | None = None
        self._copies: Copies
        self._opening: Life | None = None
        self._process = trio.CancelScope()
        self._ends = False

    def now(self) -> float:
        """Return Unix seconds, as this node's clock has them."""
        return self._cluster.clock.shown(self.skew)

    # What its disk tells.

    def _committed(self, connection: sqlite3.Connection) -> None:
        if self._cluster.watch.led(self.name, connection):
            self._cluster.pointers.look(connection)

    def _applied(self, connection: sqlite3.Connection) -> None:
        self._cluster.watch.applied(self.name, connection)

    def _crashed(self) -> None:
        """End the process at once: its disk is dead."""
        self._cluster.network.process_ends(self, at_once=True)
        self.up, self.life = False, None
        self._process.cancel()
        if self._opening is not None:
            _end_callers(self._opening)
        self.line.thaw()

    # Its processes.

    async def run(self) -> None:
        """Run one process after the other, until the simulation is about to end."""
        while not self._cluster.ending:
            self.disk.begin()
            self._ends = False
            try:
                with trio.CancelScope() as self._process:
                    await self._live()
            except Exception as error:
                if not self.disk.dead and not self._is_the_disks(error):
                    raise
                self._cluster.trace.note(f"{self.name} ends: {type(error).__name__}")
            finally:
                self.up, self.life, self.roles = False, None, None
            self._cluster.network.process_ends(self, at_once=False)
            if not self._cluster.ending:
                await trio.sleep(0 if self._cluster.healed else self._rng.choice(_AWAY))

    def _is_the_disks(self, error: Exception) -> bool:
        return self.disk.faults > 0 and all(isinstance(one, StorageError | sqlite3.Error) for one in leaves(error))

    async def _live(self) -> None:
        self.up = True
        self.heard = Heard(self.name, self._bus, LEASE)
        self.roles = Roles(
            self.name, NAME, self.disk.database, self.stream, self.heard, LEASE,
            durability="normal", copy=self._copy, lead=self._lead, beside=nullcontext,
        )  # fmt: skip
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.heard.run)
                nursery.start_soon(self._turn)
                await self.roles.run()
                nursery.cancel_scope.cancel()
        finally:
            self.up = False

    async def _turn(self) -> None:
        """Break the connections that this node passes on to another leader than the one that it has heard of."""
        while True:
            await self.heard.another()
            self._cluster.network.turns(self)

    def stop(self) -> None:
        """Have the process end in good order."""
        self._ends = True
        if self._opening is not None:
            self._opening.over.set()
        elif not self.line.frozen:
            self._process.cancel()

    def follower(self, *args: Any, **named: Any) -> Follower:
        """Make what follows, on this node's disk and by its dice."""
        may_lead = named["may_lead"]

        def may() -> bool:
            return may_lead() and not self._cluster.ending

        own = {"may_lead": may, "run": self.disk.run, "chance": self._rng.random}
        return _Watched(self._cluster, *args, **(named | own))

    async def _copy(self, beat: Beat) -> None:
        """Take the leader's database in place of the own one.

        Raises:
            CannotCopy: the leader is not reached.
        """
        leader = self._cluster.by_name[beat.node]
        if leader.life is None or not self._cluster.network.linked(self, leader):
            raise CannotCopy("the simulated leader does not answer")
        wire = self._cluster.network.wire_for_copy(self, leader)
        leader.life.nursery.start_soon(leader.send_copy, wire.server, self.name)
        try:
            async with wire.device:
                await fetch_copy(wire.device, self.disk.database, NAME, Progress())
        except (BackupFailed, trio.BrokenResourceError) as error:
            raise CannotCopy(str(error)) from None
        self._cluster.trace.note(f"{self.name} has a copy of {leader.name}'s")
        self._cluster.copies += 1

    async def send_copy(self, stream: trio.abc.Stream, node: str) -> None:
        """Send the own database to another node."""
        async with stream:
            await self._copies.send(stream, node)

    # Its terms.

    async def _lead(self, term: Term) -> None:
        """Lead until told to end.

        Raises:
            Deposed: another does.
            StorageError: the database cannot be opened.
        """
        if self._ends or self._cluster.ending:
            return
        life = self._opening = Life()
        self._cluster.trace.note(f"{self.name} leads in term {term.position.term}")
        try:
            await self._serve(term, life)
        except BaseExceptionGroup as group:
            found = list(leaves(group))
            for kind in (Deposed, StorageError):
                for one in found:
                    if isinstance(one, kind) and all(isinstance(each, StorageError) for each in found):
                        raise one from None
            raise
        finally:
            self.life = self._opening = self.log = None
            _end_callers(life)
            self._cluster.network.term_ends(self)
            if self._ends:
                self._process.cancel()

    async def _serve(self, term: Term, life: Life) -> None:
        logs: list[LeaderLog] = []
        fallen: list[Deposed] = []
        over = trio.Event()

        def deposed(error: Deposed) -> None:
            fallen.append(error)
            over.set()

        def made(handle: int) -> LeaderLog:
            logs.append(LeaderLog(self.stream, term.position, term.schema, deposed, handle, self.name))
            return logs[-1]

        settings = settings_for(self.disk.database)
        async with (
            open_engine(settings, now=self.now, inline=True, replicate=made) as engine,
            trio.open_nursery() as nursery,
        ):
            self.log = log = logs[-1]
            self._copies = Copies(self.disk.database)
            life.engine, life.nursery = engine, nursery
            heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds, engine.tally.lags.add)
            life.door = FrontDoor(engine, heartbeat, no_http, "relay/simulated")
            nursery.start_soon(heartbeat.run)

            def about() -> Beat:
                return Beat(self.name, term.position.term, log.position.number)

            leader = Leader(log, self.stream, self._bus, engine.runner, LEASE, about)
            engine.leads = leader.leads
            nursery.start_soon(leader.run)
            self.life = life
            self._cluster.begins(life, term.position.term)
            try:
                async with trio.open_nursery() as waiting:
                    waiting.start_soon(_either, life.over, waiting.cancel_scope)
                    waiting.start_soon(_either, over, waiting.cancel_scope)
            finally:
                self.life = None
            if fallen:
                raise fallen[0]
            nursery.cancel_scope.cancel()


async def _either(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _end_callers(life: Life) -> None:
    for scope in list(life.callers):
        scope.cancel()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the single faults of a group, or a fault that is none."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error
