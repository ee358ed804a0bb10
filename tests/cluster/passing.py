"""Two nodes in one process on real sockets: the one serves with an engine, the other passes everything on to it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from relay.app.server import VERSION, http_server
from relay.cluster.forwarding import Forwarder
from relay.cluster.lanes import LinkServer
from relay.cluster.port import NodePort, Purpose, connect
from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.storage import accounts
from relay.testing.world import make_database, settings_for
from relay.transports.accepting import accept
from relay.transports.front_door import FrontDoor
from relay.transports.head import Head
from relay.transports.lobby import Guest
from relay.transports.peer import PeerStream
from relay.transports.reception import Reception
from relay.transports.rest.app import own_paths
from relay.transports.tls import certificate_of

SILENCE = 60.0


class Passing(Reception):
    """The reception of a node that passes everything on."""

    def __init__(self, settings: Settings, forwarder: Forwarder) -> None:
        super().__init__(lambda: settings, lambda: False, certificate_of(settings), 0)
        self._forwarder = forwarder

    async def _route(self, peer: PeerStream, head: Head, guest: Guest) -> Head | None:
        self._lobby.known(guest)
        peer.unread(head.raw + head.rest)
        head.forget()
        await self._forwarder.serve(peer)
        return None


class Nodes:
    """The two nodes.

    Attributes:
        direct, passed: the ports that clients connect to, of the leader and of the other node.
        tokens: of the users.
    """

    def __init__(self, engine: Engine, door: FrontDoor, links: LinkServer, forwarder: Forwarder) -> None:
        self.engine = engine
        self.door = door
        self.links = links
        self.forwarder = forwarder
        self.direct = self.passed = 0
        self.tokens: dict[str, str] = {}


async def listen(reception: Reception, nursery: trio.Nursery) -> int:
    """Have connections to a free port served, and return it."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(accept, listener, reception.serve, nursery, reception.log)
    port: int = listener.socket.getsockname()[1]
    return port


@asynccontextmanager
async def lead(settings: Settings, term: int, key: str) -> AsyncIterator[tuple[FrontDoor, LinkServer, int]]:
    """Run an engine behind a node port; yield what serves it, and that port."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with open_engine(settings, paths=own_paths(settings), background=False) as engine:
        http = http_server(engine)
        heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds, engine.tally.lags.add)
        door = FrontDoor(engine, heartbeat, http.serve, VERSION)
        links, port = LinkServer(door.serve, SILENCE), NodePort()
        async with http.lifespan(), trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.run)
            nursery.start_soon(port.serve, [listener])
            async with port.admitting(term, key, {Purpose.LINK: links.serve}):
                yield door, links, listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def follow(settings: Settings, node: int, term: int, key: str) -> AsyncIterator[tuple[Forwarder, int]]:
    """Pass clients on to a leader at the port `node`; yield what does, and the port for them."""
    stream = await connect(f"127.0.0.1:{node}", term, key, Purpose.LINK, "second")
    forwarder = Forwarder(stream, SILENCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forwarder.run)
        yield forwarder, await listen(Passing(settings, forwarder), nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_nodes(path: Path, *users: str, **environ: str) -> AsyncIterator[Nodes]:
    """Run both, with users."""
    settings, key = settings_for(path, **environ), secrets.token_hex(32)
    make_database(Path(settings.storage.path))
    async with (
        lead(settings, 3, key) as (door, links, node),
        follow(settings, node, 3, key) as (forwarder, passed),
        trio.open_nursery() as nursery,
    ):
        nodes = Nodes(door._engine, door, links, forwarder)
        nodes.direct, nodes.passed = await listen(door, nursery), passed
        for user in users:
            nodes.tokens[user] = await nodes.engine.runner.write(
                partial(_make_user, name=user, now=nodes.engine.now())
            )
        yield nodes
        nursery.cancel_scope.cancel()


def _make_user(connection: object, name: str, now: float) -> str:
    accounts.create_user(connection, name, now)  # type: ignore[arg-type]
    return accounts.create_token(connection, name, now, origin="cli")  # type: ignore[arg-type]
