"""A running server: its nursery tree, its start and its drain.

serve
└─ open_engine              the database, opened first and closed last
   ├─ router                a failure here ends the process: a server that cannot store must not ack
   ├─ offline_queue         the same
   └─ services              the nursery of everything but connections
      ├─ watch_file         ends the process when the database is damaged or replaced
      ├─ watch_clock        says when the clock was set
      ├─ heartbeat          one task for all connections
      ├─ prepare            makes ready to check passwords
      ├─ serve_control      the command line's way in
      ├─ watch_certificate  says when the certificate is about to expire
      ├─ keep_watchdog      tells systemd that the event loop goes round
      ├─ receive_signals    SIGHUP: reads the settings again; the first SIGTERM or SIGINT drains, the second cuts
      └─ connections        the nursery of the connections, which outlives accepting
         ├─ accept_all      cancelled first at a drain
         ├─ serve           FrontDoor's: one task a connection, with a guard of its own
         └─ drain           started by the first signal
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import trio

import relay
from relay.app.control import serve_control
from relay.app.logs import follow_level
from relay.app.output import discard
from relay.app.supervisor import Supervisor
from relay.app.watching import watch_certificate, watch_clock, watch_file
from relay.engine.engine import Engine
from relay.engine.loader import no_types
from relay.engine.opening import open_engine
from relay.protocol.errors import CloseCode, RelayError, said
from relay.services.audit import Actor
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.storage.errors import StorageError
from relay.transports.accepting import accept, raise_file_limit, room_for_peers
from relay.transports.front_door import FrontDoor
from relay.transports.listening import open_listeners
from relay.transports.rest.app import RestApp, own_paths
from relay.transports.rest.serving import HttpServer
from relay.transports.tls import tls_context, tls_warning
from relay.transports.urls import in_url, reachable

_log: Final = logging.getLogger("relay")
VERSION: Final = f"relay/{relay.__version__}"
HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that end no server, though each of them ends a process that knows nothing of it."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, *HARMLESS)
_SAME_SIGNAL_SECONDS: Final = 0.1


class NothingToServe(Exception):
    """No plugin adds a message type; the text says what to do."""


async def serve(
    settings: Settings, tell: Callable[[str], None] = print, *, background: bool = True, first_steps: str = ""
) -> None:
    """Run a server until it is told to stop. The process is expected to end then: it ignores those signals.

    Args:
        tell: called with one line once connections are accepted.
        background: whether plugins' background tasks and schedules run, and backups are made.
        first_steps: printed on standard error after that line if there are no users yet.

    Raises:
        StorageError: the database cannot be opened.
        NothingToServe: no message type is loaded.
        CannotListen: the port cannot be had.
        TlsProblem: the certificate or its key cannot be used.
    """
    ignore_signals(HARMLESS)  # the upgrade of a large database takes minutes, and is not to end halfway
    database = await trio.Path(settings.storage.path).absolute()
    is_new = not await database.exists()
    if is_new:  # where the server cannot serve, it leaves no database behind
        tls_context(settings)
        for listener in await open_listeners(settings):
            await listener.aclose()
    files = raise_file_limit()
    with ExitStack() as to_the_end:
        async with open_engine(settings, paths=own_paths(settings), background=background) as engine:
            if is_new:  # after a typing error in the path, everybody would find an empty server
                _log.info("made a new, empty database: %s", database)
            if not engine.registry.types:
                raise NothingToServe(no_types())
            try:
                await _serve(engine, to_the_end.enter_context(received()), files, tell, first_steps)
            finally:
                ignore_signals(SIGNALS)  # many at once, with no event loop to take them, would fill the stack
    _log.info("stopped; everything is stored, and the database is closed")


@contextmanager
def received() -> Iterator[AsyncIterator[int]]:
    """Receive the signals that end a server, the one that has it read its settings again, and those without a use.

    From the end on they are ignored, as the process ends anyway.
    One that comes while the database is closed, or later, must not interrupt that nor change the exit code.
    """
    ignore_signals(SIGNALS)  # what trio puts back at the end, and has late ones delivered to
    with trio.open_signal_receiver(*SIGNALS) as signals:
        yield signals


def ignore_signals(numbers: Iterable[signal.Signals]) -> None:
    """Have signals do nothing."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


class Serving(NamedTuple):
    """The door and the REST side of an engine, and the nursery of the tasks beside them."""

    door: FrontDoor
    http: HttpServer
    tasks: trio.Nursery


@asynccontextmanager
async def services(engine: Engine, files: int, supervisor: Supervisor) -> AsyncIterator[Serving]:
    """Run everything but connections until the block ends.

    Args:
        files: the limit on open files.
    """
    settings = engine.settings
    if warning := tls_warning(settings):
        _log.warning("%s", warning)
    heartbeat = HeartbeatSupervisor(settings.heartbeat.interval_seconds, engine.tally.lags.add)
    http = http_server(engine)
    door = FrontDoor(engine, heartbeat, http.serve, VERSION, room_for_peers(files))
    engine.live.watch(follow_level)
    engine.live.on_reload = supervisor.reloading
    async with http.lifespan(), trio.open_nursery() as nursery:
        nursery.start_soon(watch_file, engine.runner.health)
        nursery.start_soon(watch_clock, engine.now)
        nursery.start_soon(watch_certificate, engine)
        nursery.start_soon(heartbeat.run)
        nursery.start_soon(engine.logins.passwords.prepare)
        control = Path(settings.storage.path + ".sock")
        await nursery.start(partial(serve_control, engine, control))
        _tune_collector()
        yield Serving(door, http, nursery)
        nursery.cancel_scope.cancel()


async def _serve(
    engine: Engine, signals: AsyncIterator[int], files: int, tell: Callable[[str], None], first_steps: str
) -> None:
    """Serve with an engine until a signal has ended it."""
    listeners = await open_listeners(engine.settings)
    supervisor = Supervisor(os.environ)
    async with services(engine, files, supervisor) as (door, http, tasks):
        tasks.start_soon(supervisor.keep_watchdog)
        async with trio.open_nursery() as connections:
            accepting = trio.CancelScope()

            def end() -> None:
                supervisor.stopping()
                connections.start_soon(drain, engine, door, http, accepting, connections)

            async def cut() -> None:
                engine.drain.begin(trio.current_time())
                await door.abort_all()
                connections.cancel_scope.cancel()

            reload = partial(tasks.start_soon, reload_settings, engine)
            tasks.start_soon(receive_signals, signals, reload, end, cut)

            async def accept_all() -> None:
                with accepting:
                    async with trio.open_nursery() as nursery:
                        for listener in listeners:
                            nursery.start_soon(accept, listener, door.serve, connections, door.log)

            connections.start_soon(accept_all)
            await announce(engine, listeners[0].socket.getsockname(), tell, first_steps)
            supervisor.ready()


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


async def announce(engine: Engine, name: tuple[str, int], tell: Callable[[str], None], first_steps: str) -> None:
    """Print the server's address and, on standard error while there are no users, how to begin."""
    announce_address(engine.settings, name, tell)
    path = await trio.Path(engine.settings.storage.path).absolute()
    where = origin(engine.settings, in_url(name[0]), name[1])
    _log.info("%s started: %s, database %s, process %d", VERSION, where, path, os.getpid())
    await welcome(engine, name, first_steps)


def origin(settings: Settings, host: str, port: int) -> str:
    """Return the URL of a listener, whose host is in the form that it has in one."""
    scheme = "https" if settings.server.tls_certificate else "http"
    return f"{scheme}://{host}:{port}"


def announce_address(settings: Settings, name: tuple[str, int], tell: Callable[[str], None]) -> None:
    """Print where the server listens."""
    with _spoken(sys.stdout):
        tell(f"{VERSION} listens on {origin(settings, in_url(name[0]), name[1])} (WebSocket at /ws)")


async def welcome(engine: Engine, name: tuple[str, int], first_steps: str) -> None:
    """Print on standard error how to begin while there are no users; never in the log: it has a secret in it."""
    if first_steps and (code := await engine.registration.invite_first()) is not None:
        url = origin(engine.settings, reachable(name[0]), name[1])
        output = sys.stdout if engine.settings.log.format == "json" else sys.stderr  # which has JSON only
        with _spoken(output):
            print(_welcome(engine, url, code) + first_steps, file=output, flush=True)


@contextmanager
def _spoken(output: TextIO) -> Iterator[None]:
    """Log an output error instead of raising it: a server whose output goes to a full disk still serves."""
    try:
        yield
    except OSError as error:
        where = "standard output" if output is sys.stdout else "standard error"
        _log.warning("%s cannot be written to: %s", where, error.strerror or said(error))
        discard(output)


def _welcome(engine: Engine, origin: str, code: str) -> str:
    """Return the message to an operator who starts a server without users."""
    if not engine.settings.web.page:
        return "There are no users yet. "
    # After the #, so that the code is in no log of this server or of a proxy.
    return (
        "There are no users yet. Who opens this within a day, once, becomes the first one, the owner:\n"
        f"    {origin}/#setup={code}\n"
    )


async def receive_signals(
    signals: AsyncIterator[int],
    reload: Callable[[], object],
    end: Callable[[], object],
    cut: Callable[[], Awaitable[object]],
) -> None:
    """Read the settings again at SIGHUP; drain at the first SIGTERM or SIGINT, end at once at the second.

    Log rotators and habit send SIGUSR1 and SIGUSR2, which other servers have a use for. Ctrl-C reaches all
    processes of a terminal, and one of them may pass it on to this one, as the program in one file does: what
    comes that soon after the first is the same signal.
    """
    first: float | None = None
    async for number in signals:
        if number == signal.SIGHUP:
            _log.info("SIGHUP: the settings are read again")
            reload()
        elif number in HARMLESS:
            _log.info("%s has no use here; SIGHUP has the settings read again", signal.Signals(number).name)
        elif first is None:
            first = trio.current_time()
            _log.info("%s: draining", signal.Signals(number).name)
            end()
        elif trio.current_time() - first >= _SAME_SIGNAL_SECONDS:
            await cut()


async def reload_settings(engine: Engine) -> None:
    """Read the settings again for the operator; what is refused is in the log."""
    try:
        await engine.live.reload(Actor(None, None, "command line", client="SIGHUP"))
    except RelayError:
        pass  # the log has it
    except StorageError as error:
        _log.error("the reload of the settings is in force, but not in the audit log: %s", error)
    except Exception:
        _log.exception("the reload of the settings failed with a fault of our own")


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
