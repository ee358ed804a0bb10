"""The nursery tree, on one screen.

serve
└─ engine                   the database, opened first and closed last
└─ services nursery      a fault of our own here ends the process: who cannot save must not ack
├─ router, offline queue                  (the engine's)
├─ heartbeat supervisor, control socket
├─ signals            the first SIGTERM or SIGINT drains, the second ends at once
└─ connections nursery                    outlives accepting
├─ accepting       cancelled first at a drain
└─ one guard per connection: FrontDoor.serve
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
from relay.engine.assembling import NO_TYPES
from relay.engine.engine import Engine, open_engine
from relay.protocol.errors import CloseCode, said
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.settings.addresses import in_url, reachable
from relay.storage.errors import StorageBroken
from relay.storage.jobs import Runner
from relay.transports.accepting import accept, raise_file_limit, room_for_peers
from relay.transports.front_door import FrontDoor
from relay.transports.rest.app import make_app, own_paths
from relay.transports.rest.serving import HttpServer

_log: Final = logging.getLogger("relay")
VERSION: Final = f"relay/{relay.__version__}"
_WATCH_SECONDS: Final = 1.0


class NothingToServe(Exception):
    """No plugin adds a message type; the text says how that is mended."""


class CannotListen(Exception):
    """The port cannot be had; the text says which, and why."""


async def serve(settings: Settings, tell: Callable[[str], None] = print, *, first_steps: str = "") -> None:
    """Run a server until it is told to stop.

    Args:
        tell: told one line once connections are accepted.
        first_steps: said on standard error after that line when there are no users yet.

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
        if is_new:  # a slip in the path is an empty server for everybody
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
            services.start_soon(engine.accounts.passwords.prepare)
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
    """End the server when its database is damaged, or replaced under it: what is acknowledged then is in no file.

    Raises:
        StorageBroken: a commit met damage, a backup was put in the file's place, or it was moved or deleted.
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
    """Let the garbage collector look less often, and never again at what was loaded at the start.

    A connection is some two hundred objects that live for hours; at the default thresholds the collector
    walks all of them again and again, a quarter of the CPU that 5,000 connecting clients cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def http_server(engine: Engine) -> HttpServer:
    """Return the REST side of an engine."""
    timeouts, limits = engine.settings.timeouts, engine.settings.limits
    return HttpServer(
        make_app(engine),
        head_bytes=limits.head_bytes or 1 << 20,
        head_seconds=timeouts.head_seconds,
        body_seconds=timeouts.body_seconds,
        keep_alive_seconds=timeouts.keep_alive_seconds,
    )


async def open_listeners(settings: Settings) -> list[trio.SocketListener]:
    """Bind the port.

    Raises:
        CannotListen: it cannot be had.
    """
    server = settings.server
    try:
        return await trio.open_tcp_listeners(server.port, host=server.host or None, backlog=server.backlog)
    except OSError as error:
        reason = error.strerror or said(error)
        raise CannotListen(f"cannot listen on {server.host}:{server.port}: {reason}") from error


async def announce(engine: Engine, name: tuple[str, int], tell: Callable[[str], None], first_steps: str) -> None:
    """Tell where the server listens; and as long as there are no users, on standard error, how to begin."""
    scheme = "https" if engine.settings.server.tls_certificate else "http"
    address, port = name[:2]
    with _spoken("standard output"):
        tell(f"{VERSION} listens on {scheme}://{in_url(address)}:{port} (WebSocket at /ws)")
    if first_steps and (code := await engine.accounts.invite_first()) is not None:
        origin = f"{scheme}://{reachable(address)}:{port}"
        with _spoken("standard error"):
            print(_welcome(engine, origin, code) + first_steps, file=sys.stderr, flush=True)


@contextmanager
def _spoken(where: str) -> Iterator[None]:
    """Go on where nobody can be told: a server whose output goes to a full disk still serves."""
    try:
        yield
    except OSError as error:
        _log.warning("%s cannot be written to: %s", where, error.strerror or said(error))


def _welcome(engine: Engine, origin: str, code: str) -> str:
    """Return what is said to whoever starts a server without users."""
    if not engine.settings.web.page:
        return "There are no users yet. "
    # After the #, so that it is in no log of this server or of a proxy.
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
                engine.end_at(trio.current_time())
                await door.abort_all()
                connections.cancel_scope.cancel()


async def drain(
    engine: Engine, door: FrontDoor, http: HttpServer, accepting: trio.CancelScope, connections: trio.Nursery
) -> None:
    """Stop accepting, send everybody away in waves, and cut whoever is left at the deadline."""
    engine.draining = engine.presence.leaving = True
    accepting.cancel()
    seconds = engine.settings.timeouts.drain_seconds
    engine.end_at(trio.current_time() + seconds)
    connections.cancel_scope.deadline = trio.current_time() + seconds + 0.5
    with trio.move_on_after(seconds):
        door.turn_away()
        await http.stop()
        await engine.router.wait_idle()
        links = list(door.sessions)
        for index, link in enumerate(links):
            # Spread the comeback out: a second for every 500 clients, so that they do not all come at once.
            retry_after = 1 + (index * 7919 % len(links)) // 500
            link.end(CloseCode.DRAINING, f"server is draining; retry_after={retry_after}")
            if index % 128 == 127:
                await trio.sleep(0.01)
        await door.wait_empty()
    await door.abort_all()
    connections.cancel_scope.cancel()
