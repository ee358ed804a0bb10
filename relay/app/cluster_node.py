"""A node of a cluster: one process that follows or leads, behind the same listeners.

serve_node
└─ connect                  the stream and the bus
   └─ run                   the nursery of what every role needs
      ├─ heard              the beats of the other nodes
      ├─ serve              the node port: the other nodes' way in
      ├─ accept             hands connections to the entrance
      ├─ keep_watchdog      tells systemd that the event loop goes round
      ├─ receive_signals    the first SIGTERM or SIGINT ends the node: a leader hands its term over first
      └─ roles              one after the other
         ├─ following       replica, link to the leader, control socket
         └─ lead            an engine with its services, and the watch over its term
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

import relay
from relay.app.cluster_leader import LeadersRole
from relay.app.cluster_status import FollowersOffice, Office
from relay.app.follower_control import serve_follower_control
from relay.app.server import (
    HARMLESS,
    SIGNALS,
    announce_address,
    ignore_signals,
    receive_signals,
    received,
    reload_settings,
    welcome,
)
from relay.app.supervisor import Supervisor
from relay.cluster.beats import BEATS_PER_LEASE, NODES, Beat, Heard, encode_beat
from relay.cluster.door import Entrance, FollowersDoor
from relay.cluster.faults import ungrouped
from relay.cluster.fetching import copy_from
from relay.cluster.joining import keep_link
from relay.cluster.nats import connect
from relay.cluster.port import NodePort, NodeRefused
from relay.cluster.ports import node_contexts, open_node_listeners
from relay.cluster.roles import CannotCopy, Roles, Term
from relay.cluster.stream import Bus, Stream
from relay.engine.engine import Engine
from relay.protocol.errors import said
from relay.settings import Settings
from relay.storage.changesets import check_supported
from relay.storage.cluster import Position
from relay.storage.copying import Progress
from relay.storage.errors import BackupFailed, StorageError
from relay.transports.accepting import accept, raise_file_limit, room_for_peers
from relay.transports.listening import open_listeners
from relay.transports.lobby import ThrottledLog
from relay.transports.tls import certificate_of

_log: Final = logging.getLogger("relay.cluster")

_MOST_BEHIND: Final = 10_000
"""Records that a node may lack of what the leader has, and count as ready."""


class NodeServer:
    """One node, until it is told to stop.

    Args:
        files: the limit on open files.
        tell: called with one line once connections are accepted.
        background: whether plugins' background tasks run while this node leads.
        first_steps: printed while there are no users.
    """

    def __init__(
        self,
        settings: Settings,
        stream: Stream,
        bus: Bus,
        files: int,
        tell: Callable[[str], None],
        *,
        background: bool,
        first_steps: str,
    ) -> None:
        cluster = settings.cluster
        self._settings = settings
        self._path = Path(settings.storage.path)
        self._bus = bus
        self._room = room_for_peers(files)
        self._tell = tell
        self._first_steps = first_steps
        self._name = ("", 0)
        self._supervisor = Supervisor(os.environ)
        self._stop = trio.Event()
        self._hurry = trio.CancelScope()
        self._tls = node_contexts(cluster)
        self._port = NodePort(self._tls[0])
        self._door: FollowersDoor | None = None
        self._entrance = Entrance()
        self._heard = Heard(cluster.node, bus, cluster.lease_seconds)
        self._office = Office(cluster.name, self._heard, self._beat)
        self._role = LeadersRole(
            settings,
            stream,
            bus,
            self._port,
            self._entrance,
            self._office,
            self._supervisor,
            files=files,
            background=background,
            stop=self._stop,
            greet=self._greet,
        )
        self._roles = self._make_roles(stream)

    def _make_roles(self, stream: Stream) -> Roles:
        settings, cluster = self._settings, self._settings.cluster
        return Roles(
            cluster.node,
            cluster.name,
            self._path,
            stream,
            self._heard,
            cluster.lease_seconds,
            durability=settings.storage.durability,
            copy=self._copy,
            lead=self._lead,
            beside=self._following,
        )

    async def run(self, listeners: list[trio.SocketListener], signals: AsyncIterator[int]) -> None:
        """Serve until a signal has ended this node.

        Raises:
            StorageError: the database cannot be used.
            CannotListen: other nodes' port cannot be had.
        """
        self._name = listeners[0].socket.getsockname()[:2]
        nodes, log = await open_node_listeners(self._settings.cluster), ThrottledLog(_log)
        with ungrouped():
            async with trio.open_nursery() as tasks:
                tasks.start_soon(self._heard.run)
                tasks.start_soon(self._port.serve, nodes)
                tasks.start_soon(self._supervisor.keep_watchdog)
                tasks.start_soon(receive_signals, signals, self._reload, self._stop.set, self._cut)
                for listener in listeners:
                    tasks.start_soon(accept, listener, self._entrance.serve, tasks, log)
                announce_address(self._settings, self._name, self._tell)
                self._supervisor.ready()
                with self._hurry:
                    await self._take_roles()
                self._supervisor.stopping()
                tasks.cancel_scope.cancel()

    async def _take_roles(self) -> None:
        """Take roles until this node is told to stop; a leader's ends by itself then."""
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                await self._stop.wait()
                if self._role.leading is None:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            await self._roles.run()
            nursery.cancel_scope.cancel()

    async def _lead(self, term: Term) -> None:
        """Lead; what goes wrong at the end of a node that is told to stop is in the log, and no reason to go on.

        Raises:
            Deposed, StorageError: as `LeadersRole.lead` says.
        """
        try:
            await self._role.lead(term, self._beat)
        except StorageError as error:
            if not self._stop.is_set():
                raise
            _log.warning("this node ends, and not all went well: %s", error)

    def _reload(self) -> None:
        if (leading := self._role.leading) is not None:
            leading.serving.tasks.start_soon(reload_settings, leading.engine)
        else:
            _log.warning("a node that follows reads its settings anew when it is started")

    async def _cut(self) -> None:
        """End at the second signal, without a word."""
        self._hurry.cancel()
        await trio.lowlevel.checkpoint()

    async def _greet(self, engine: Engine) -> None:
        await welcome(engine, self._name, self._first_steps)

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        """Pass clients on to whoever leads, and say how this node does."""
        settings, cluster = self._settings, self._settings.cluster
        door = FollowersDoor(lambda: settings, certificate_of(settings), self._room, self._condition)
        control = Path(settings.storage.path + ".sock")
        async with trio.open_nursery() as connections:
            await connections.start(partial(serve_follower_control, FollowersOffice(self._office), control))
            connections.start_soon(self._beat_for_ever)
            link = (cluster.node, self._heard, cluster.lease_seconds, self._tls[1], door.take)
            connections.start_soon(keep_link, *link)
            self._entrance.open(door.serve, connections)
            self._door = door
            try:
                yield
            finally:
                self._door = None
                self._entrance.close()
                connections.cancel_scope.cancel()

    async def _beat_for_ever(self) -> None:
        while True:
            await self._bus.publish(NODES, encode_beat(self._beat()))
            await trio.sleep(self._settings.cluster.lease_seconds / BEATS_PER_LEASE)

    async def _copy(self, beat: Beat) -> None:
        """Fetch a copy of the database from the leader.

        Raises:
            CannotCopy: it was not had.
        """
        cluster = self._settings.cluster
        try:
            await copy_from(beat, cluster.node, self._path, cluster.name, Progress(), self._tls[1])
        except (NodeRefused, OSError, ValueError, BackupFailed) as error:
            raise CannotCopy(said(error)) from error

    def _condition(self) -> tuple[bool, dict[str, object]]:
        """Return whether this node does its work while it follows, and what it says of that."""
        replica, leader = self._roles.replica, self._heard.leader
        lacks = None
        if replica is not None and leader is not None:
            lacks = max(0, leader.number - replica.position.number)
        checks = {
            "database": replica is not None,
            "leader": self._door is not None and self._door.has_way,
            "near": lacks is not None and lacks <= _MOST_BEHIND,
        }
        told: dict[str, object] = {"role": "follower", "behind": lacks, "checks": checks}
        if all(checks.values()):
            return True, {"status": "ready"} | told
        failing = ", ".join(name for name, stands in checks.items() if not stands)
        problem = {"title": "Service Unavailable", "status": 503, "detail": f"not ready: {failing} failed"}
        return False, problem | told

    def _beat(self) -> Beat:
        """Return what this node says of itself now."""
        cluster, leading, replica = self._settings.cluster, self._role.leading, self._roles.replica
        position: Position | None
        if leading is not None:
            position, connections = leading.log.position, leading.engine.connections.statistics().connections
            key, ready = leading.key, True
        else:
            position, connections = None if replica is None else replica.position, self._passed_on()
            key, ready = "", replica is not None and self._roles.may_lead()
        own = Beat(cluster.node, 0, 0, relay.__version__, cluster.address, key, connections, ready)
        if position is None:
            return own
        return msgspec.structs.replace(own, term=position.term, number=position.number)

    def _passed_on(self) -> int:
        """Return how many clients this node passes on."""
        return 0 if self._door is None else len(self._door.streams)


async def serve_node(
    settings: Settings, tell: Callable[[str], None] = print, *, background: bool = True, first_steps: str = ""
) -> None:
    """Run a node of a cluster until it is told to stop.

    Args:
        tell: called with one line once connections are accepted.
        background: whether plugins' background tasks and schedules run while this node leads.
        first_steps: printed on standard error if there are no users yet when this node leads.

    Raises:
        StorageError: the database cannot be used, or this Python's SQLite has no session extension.
        CannotListen: a port cannot be had.
        TlsProblem: a certificate or its key cannot be used.
    """
    ignore_signals(HARMLESS)
    check_supported()
    files = raise_file_limit()
    with received() as signals:
        try:
            async with connect(settings.cluster) as (stream, bus):
                node = NodeServer(
                    settings, stream, bus, files, tell, background=background, first_steps=first_steps
                )
                await node.run(await open_listeners(settings), signals)
        finally:
            ignore_signals(SIGNALS)
    _log.info("stopped; everything is stored, and the database is closed")
