"""The leader's role of a node: an engine whose commits go through the cluster's stream, until the term is over."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import trio

from relay.app.cluster_status import Office
from relay.app.server import NothingToServe, Serving, services
from relay.app.supervisor import Supervisor
from relay.cluster.beats import BEATS_PER_LEASE, LEADER, Beat, encode_beat
from relay.cluster.copies import Copies
from relay.cluster.door import Entrance
from relay.cluster.faults import ungrouped
from relay.cluster.lanes import LinkServer
from relay.cluster.leading import Leader
from relay.cluster.port import NodePort, Purpose
from relay.cluster.replication import LeaderLog
from relay.cluster.roles import Term
from relay.cluster.stream import Bus, Stream, Unreachable
from relay.engine.engine import Engine
from relay.engine.loader import no_types
from relay.engine.opening import open_engine
from relay.protocol.errors import CloseCode, said
from relay.settings import Settings
from relay.storage.errors import Deposed, StorageError
from relay.transports.front_door import FrontDoor
from relay.transports.rest.app import own_paths
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.cluster")

_PART_SECONDS: Final = 0.8
"""How long clients have to take the close frame of a term that is over; its watch ends all after a second."""

_IDLE_SECONDS: Final = 5.0
"""How long a leader that hands over waits for what it has taken to be stored."""

_PER_SECOND: Final = 500
"""Clients that are told to come back in the same second."""


class Fallen:
    """The end of a term: told on any thread, waited for by one task.

    Attributes:
        error: why it is over; None while it is not.
    """

    def __init__(self) -> None:
        self._told = Wakeup()
        self.error: Deposed | None = None

    def tell(self, error: Deposed) -> None:
        """Take note of why this node leads no more."""
        self.error = error
        self._told.set()

    async def wait(self) -> None:
        """Wait until the term is over."""
        while self.error is None:
            await self._told.wait()


class Leading(NamedTuple):
    """The engine of a term, with its log and what serves it."""

    engine: Engine
    log: LeaderLog
    serving: Serving
    fallen: Fallen
    key: str


class LeadersRole:
    """The leader's role of one node, taken once for each of its terms.

    Args:
        files: the limit on open files.
        background: whether plugins' background tasks run.
        stop: set when this node is told to stop.
        greet: tells how to begin, with an engine that has no users yet.

    Attributes:
        leading: what there is while this node leads; None otherwise.
    """

    def __init__(
        self,
        settings: Settings,
        stream: Stream,
        bus: Bus,
        port: NodePort,
        entrance: Entrance,
        office: Office,
        supervisor: Supervisor,
        *,
        files: int,
        background: bool,
        stop: trio.Event,
        greet: Callable[[Engine], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._bus = bus
        self._port = port
        self._entrance = entrance
        self._office = office
        self._supervisor = supervisor
        self._files = files
        self._background = background
        self._stop = stop
        self._greet = greet
        self.leading: Leading | None = None

    async def lead(self, term: Term, beat: Callable[[], Beat]) -> None:
        """Lead until told to stop.

        Raises:
            Deposed: another node leads.
            StorageError: the database cannot be used.
        """
        fallen, made = Fallen(), list[LeaderLog]()

        def replicate(handle: int) -> LeaderLog:
            node = self._settings.cluster.node
            made.append(LeaderLog(self._stream, term.position, term.schema, fallen.tell, handle, node))
            return made[0]

        settings = self._settings
        with _of_the_term(fallen):
            async with (
                self._beating(term, beat) as opening,
                open_engine(
                    settings, paths=own_paths(settings), background=self._background, replicate=replicate
                ) as engine,
            ):
                if not engine.registry.types:
                    raise NothingToServe(no_types())
                engine.cluster = self._office
                async with services(engine, self._files, self._supervisor) as serving:
                    self.leading = Leading(engine, made[0], serving, fallen, secrets.token_hex(16))
                    self._office.term = (engine.runner, made[0])
                    opening.cancel()
                    try:
                        await self._hold(self.leading, beat)
                    finally:
                        self.leading = self._office.term = None
                        if fallen.error is not None:
                            engine.runner.health.broken = fallen.error  # nothing is saved that would be refused
        if fallen.error is not None and not self._stop.is_set():
            raise fallen.error

    @asynccontextmanager
    async def _beating(self, term: Term, beat: Callable[[], Beat]) -> AsyncIterator[trio.CancelScope]:
        """Say that this node leads while its engine opens, which may take longer than a lease; until cancelled.

        These beats have no key, as nobody is let in yet.
        """
        own = msgspec.structs.replace(beat(), term=term.position.term, number=term.position.number, key="")

        async def say() -> None:
            with opening:
                while True:
                    await self._bus.publish(LEADER, encode_beat(own))
                    await trio.sleep(self._settings.cluster.lease_seconds / BEATS_PER_LEASE)

        opening = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            try:
                yield opening
            finally:
                opening.cancel()

    async def _hold(self, leading: Leading, beat: Callable[[], Beat]) -> None:
        """Serve clients and nodes until the term is over, or this node is told to stop."""
        engine, door, lease = leading.engine, leading.serving.door, self._settings.cluster.lease_seconds
        leader = Leader(leading.log, self._stream, self._bus, engine.runner, lease, beat)
        engine.leads = leader.leads
        links, copies = LinkServer(door.serve, lease), Copies(Path(self._settings.storage.path))

        async def send_copy(stream: trio.abc.Stream, node: str) -> None:
            async with stream:
                await copies.send(stream, node)

        handlers = {Purpose.LINK: links.serve, Purpose.COPY: send_copy}
        term = leading.log.position.term
        async with trio.open_nursery() as connections, self._port.admitting(term, leading.key, handlers):
            self._entrance.open(door.serve, connections)
            try:
                connections.start_soon(_until_deposed, leader, leading.fallen)
                connections.start_soon(_bring_to_settings, self._stream)
                await self._greet(engine)
                await _first(self._stop.wait, leading.fallen.wait)
            finally:
                self._entrance.close()
            if leading.fallen.error is None:
                await self._hand_over(leading)
            await _part(door, links)
            connections.cancel_scope.cancel()

    async def _hand_over(self, leading: Leading) -> None:
        """Store what was taken, and have the node lead that is furthest, where there is another one."""
        successor = self._office.successor()
        with trio.move_on_after(_IDLE_SECONDS):
            await leading.engine.router.wait_idle()
        if successor is None:
            return
        try:
            await leading.engine.runner.write(lambda _: leading.log.hand_over(successor))
        except StorageError as error:
            _log.warning("%s could not be made the leader: %s; a node stands after a lease", successor, error)


@contextmanager
def _of_the_term(fallen: Fallen) -> Iterator[None]:
    """Let nothing out that only says that the term is over, which `fallen` knows."""
    try:
        with ungrouped():
            yield
    except* Deposed as group:
        if fallen.error is None:
            raise
        _log.debug("the term ended: %s", said(group))


async def _until_deposed(leader: Leader, fallen: Fallen) -> None:
    """Beat and look until another node leads, and tell it."""
    try:
        with ungrouped():
            await leader.run()
    except Deposed as error:
        fallen.tell(error)


async def _bring_to_settings(stream: Stream) -> None:
    """Give a stream that is there already the copies and the time to keep that the settings say."""
    with suppress(Unreachable):  # then a later term does
        await stream.create()


async def _first(*waits: Callable[[], Awaitable[object]]) -> None:
    """Wait until one of several is over."""
    async with trio.open_nursery() as nursery:

        async def wait(one: Callable[[], Awaitable[object]]) -> None:
            await one()
            nursery.cancel_scope.cancel()

        for one in waits:
            nursery.start_soon(wait, one)


async def _part(door: FrontDoor, links: LinkServer) -> None:
    """Tell clients to come back at once, and cut those that are left a moment later."""
    for index, websocket in enumerate(list(door.websockets)):
        retry_after = 1 + index // _PER_SECOND
        websocket.end(CloseCode.DRAINING, f"another node leads; retry_after={retry_after}")
    with trio.move_on_after(_PART_SECONDS):
        await links.flush()
        await door.wait_empty()
    await door.abort_all()
