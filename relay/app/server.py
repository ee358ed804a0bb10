"""A running server: its nursery tree, its start and its drain.

serve
└─ open_engine              the database, opened first and closed last
   ├─ router                a failure here ends the process: a server that cannot store must not ack
   ├─ offline_queue         the same
   └─ services              the nursery of everything but connections
      ├─ _watch_file        ends the process when the database is damaged or replaced
      ├─ heartbeat          one task for all connections
      ├─ prepare            makes ready to check passwords
      ├─ serve_control      the command line's way in
      ├─ _signals           the first SIGTERM or SIGINT drains, the second ends at once
      └─ connections        the nursery of the connections, which outlives accepting
         ├─ accept_all      cancelled first at a drain
         ├─ serve           FrontDoor's: one task a connection, with a guard of its own
         └─ drain           started by the first signal
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

import relay
from relay.app.control import serve_control
from relay.engine.engine import Engine, open_engine
from relay.engine.loader import NO_TYPES
from relay.protocol.errors import CloseCode, said
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.storage.errors import StorageBroken
from relay.storage.jobs import Runner
from relay.transports.accepting import accept, raise_file_limit, room_for_peers
from relay.transports.front_door import FrontDoor
from relay.transports.rest.app import RestApp, own_paths
from relay.transports.rest.serving import HttpServer
from relay.transports.urls import in_url, reachable

_log: Final = logging.getLogger("relay")
VERSION: Final = f"relay/{relay.__version__}"
_WATCH_SECONDS: Final = 1.0


class NothingToServe(Exception):
    """No plugin adds a message type; the text says what to do."""


class CannotListen(Exception):
    """The server cannot listen on the port; the text says which, and why."""


async def serve(settings: Settings, tell: Callable[[str], None] = print, *, first_steps: str = "") -> None:
    """Run a server until it is told to stop.

    Args:
        tell: called with one line once connections are accepted.
        first_steps: printed on standard error after that line if there are no users yet.

    Raises:
        StorageError: the database cannot be opened.
        NothingToServe: no message type is loaded.
        CannotListen: the port cannot be had.
        TlsProblem: the certificate or its key cannot be used.
    """
    database = await trio.Path(settings.storage.path).absolute()
    is_new = not await database.exists()
    files = raise_file_limit()
    async with open_engine(settings, paths=own_paths(settings)) as engine:
        if is_new:  # after a typing error in the path, everybody would find an empty server
            _log.info("made a new, empty database: %s", database)
        if not engine.registry.types:
            raise NothingToServe(f"[plugins] enabled: {NO_TYPES}")
        listeners = await open_listeners(settings)
        heartbeat = HeartbeatSupervisor(settings.heartbeat.interval_seconds)
        http = http_server(engine)
        door = FrontDoor(engine, heartbeat, http.serve, VERSION, room_for_peers(files))
        async with http.lifespan(), trio.open_nursery() as services:
            services.start_soon(_watch_file, engine.runner, settings.storage.path)
            services.start_soon(heartbeat.run)
            services.start_soon(engine.logins.passwords.prepare)
            control = Path(settings.storage.path + ".sock")
            await services.start(partial(serve_control, engine, control))
            _tune_collector()
            async with trio.open_nursery() as connections:
                accepting = trio.CancelScope()
                services.start_soon(_signals, engine, door, http, accepting, connections)

                async def accept_all() -> None:
                    with accepting:
                        async with trio.open_nursery() as nursery:
                            for listener in listeners:
                                nursery.start_soon(accept, listener, door.serve, connections, door.log)

                connections.start_soon(accept_all)
                await announce(engine, listeners[0].socket.getsockname(), tell, first_steps)
            services.cancel_scope.cancel()


async def _watch_file(runner: Runner, path: str) -> None:
    """End the server when its database is damaged or replaced; it would ack messages that are in no file.

    Raises:
        StorageBroken: a commit met damage, or the file was replaced, moved or deleted.
    """
    while True:
        if runner.health.broken is not None:
            raise runner.health.broken
        if runner.moved():
            raise StorageBroken(
                f"the database {path} was replaced, moved or deleted while this server ran; it ends, so that"
                " nothing is acknowledged that is in no file. Stop a server before its database is changed"
            )
        await trio.sleep(_WATCH_SECONDS)


def _tune_collector() -> None:
    """Make the garbage collector run less often, and never again over the objects that were made at the start.

    A connection is some two hundred objects that live for hours. With the default thresholds the collector walks
    all of them again and again: a quarter of the CPU time of 5,000 connecting clients.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def http_server(engine: Engine) -> HttpServer:
    """Return the REST side of an engine."""
    timeouts, limits = engine.settings.timeouts, engine.settings.limits
    return HttpServer(
        RestApp(engine),
        head_bytes=limits.head_bytes or 1 << 20,
        head_seconds=timeouts.head_seconds,
        body_seconds=timeouts.body_seconds,
        keep_alive_seconds=timeouts.keep_alive_seconds,
    )


async def open_listeners(settings: Settings) -> list[trio.SocketListener]:
    """Bind the port.

    Raises:
        CannotListen: the port is taken, or not allowed.
    """
    server = settings.server
    try:
        return await trio.open_tcp_listeners(server.port, host=server.host or None, backlog=server.backlog)
    except OSError as error:
        reason = error.strerror or said(error)
        raise CannotListen(f"cannot listen on {server.host}:{server.port}: {reason}") from error


async def announce(engine: Engine, name: tuple[str, int], tell: Callable[[str], None], first_steps: str) -> None:
    """Print the server's address and, on standard error while there are no users, how to begin."""
    scheme = "https" if engine.settings.server.tls_certificate else "http"
    address, port = name[:2]
    with _spoken("standard output"):
        tell(f"{VERSION} listens on {scheme}://{in_url(address)}:{port} (WebSocket at /ws)")
    if first_steps and (code := await engine.registration.invite_first()) is not None:
        origin = f"{scheme}://{reachable(address)}:{port}"
        with _spoken("standard error"):
            print(_welcome(engine, origin, code) + first_steps, file=sys.stderr, flush=True)


@contextmanager
def _spoken(where: str) -> Iterator[None]:
    """Log an output error instead of raising it: a server whose output goes to a full disk still serves."""
    try:
        yield
    except OSError as error:
        _log.warning("%s cannot be written to: %s", where, error.strerror or said(error))


def _welcome(engine: Engine, origin: str, code: str) -> str:
    """Return the message to an operator who starts a server without users."""
    if not engine.settings.web.page:
        return "There are no users yet. "
    # After the #, so that the code is in no log of this server or of a proxy.
    return (
        "There are no users yet. Who opens this within a day, once, becomes the first one, an admin:\n"
        f"    {origin}/#setup={code}\n"
    )


async def _signals(
    engine: Engine, door: FrontDoor, http: HttpServer, accepting: trio.CancelScope, connections: trio.Nursery
) -> None:
    """Drain at the first signal, end at once at the second."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        count = 0
        async for number in signals:
            count += 1
            if count == 1:
                _log.info("%s: draining", signal.Signals(number).name)
                connections.start_soon(drain, engine, door, http, accepting, connections)
            else:
                engine.drain.begin(trio.current_time())
                await door.abort_all()
                connections.cancel_scope.cancel()


async def drain(
    engine: Engine, door: FrontDoor, http: HttpServer, accepting: trio.CancelScope, connections: trio.Nursery
) -> None:
    """Stop accepting, close all connections in waves, and cut those that are left at the deadline."""
    seconds = engine.settings.timeouts.drain_seconds
    engine.drain.begin(trio.current_time() + seconds)
    accepting.cancel()
    connections.cancel_scope.deadline = trio.current_time() + seconds + 0.5
    with trio.move_on_after(seconds):
        door.turn_away()
        await http.stop()
        await engine.router.wait_idle()
        websockets = list(door.websockets)
        for index, websocket in enumerate(websockets):
            # Spread the reconnects: a second for every 500 clients, so that they do not all come at once.
            retry_after = 1 + (index * 7919 % len(websockets)) // 500
            websocket.end(CloseCode.DRAINING, f"server is draining; retry_after={retry_after}")
            if index % 128 == 127:
                await trio.sleep(0.01)
        await door.wait_empty()
    await door.abort_all()
    connections.cancel_scope.cancel()
