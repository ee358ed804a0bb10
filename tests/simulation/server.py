"""The simulated server: real engines, one after the other, on one database that crashes, restarts and is restored."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import msgspec
import trio

import relay.storage.database
from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings, load
from relay.storage import runners
from relay.storage.copying import Progress, copy
from relay.storage.errors import StorageError
from relay.storage.identity import new_epoch, read_epoch
from relay.storage.restoring import restore
from relay.testing.world import world as open_world
from relay.transports.front_door import FrontDoor
from tests.plugins.search.asking import progress as search_progress
from tests.simulation.determinism import run, seeded
from tests.simulation.disk import Disk, FaultyWriter
from tests.simulation.network import End
from tests.simulation.promises import Pointers, Tell, read_log

if TYPE_CHECKING:
    from tests.simulation.network import Network

T = TypeVar("T")
progress = search_progress()
USERS = ("ann", "ben", "cat", "dan")
GROUPS = {"team": "join", "family": "start"}
"""Groups and what a new member of each sees: what comes from then on, or everything."""

ENOUGH = 6
"""Messages that search indexes together: few, so that some are indexed and some wait when something happens."""

PLUGINS = [
    "connection_event", "chat_message", "group_message", "group_event", "message_edit", "message_delete", "reaction",
    "read_receipt", "status_update", "follow", "typing_indicator", "notification", "search", "retention",
]  # fmt: skip

_SETTINGS = """
[plugins]
enabled = {plugins}
directories = ["{misbehaving}"]

[plugins.retention.rules.few]
types = ["chat_message"]
keep_messages = 12
"""
_ENVIRONMENT = {
    "RELAY_METRICS__HISTORY": "false",
    "RELAY_REPLAY__LIMIT": "10",
    "RELAY_LIMITS__MESSAGES_PER_SECOND": "0",
    "RELAY_LIMITS__HELLOS_PER_MINUTE": "0",
    "RELAY_HEARTBEAT__INTERVAL_SECONDS": "20",
    "RELAY_STORAGE__PURGE_SECONDS": "2",
    "RELAY_TIMEOUTS__HANDLER_SECONDS": "1",
    "RELAY_BACKUP__AT": "",
}


@cache
def _settings() -> Settings:
    with TemporaryDirectory() as folder:
        config = Path(folder) / "relay.toml"
        misbehaving = Path(__file__).parent / "misbehaving"
        config.write_text(_SETTINGS.format(plugins=msgspec.json.encode(PLUGINS).decode(), misbehaving=misbehaving))
        return load(config, _ENVIRONMENT)


def settings_for(database: Path) -> Settings:
    """Return the settings of a server on a database."""
    found = _settings()
    return msgspec.structs.replace(found, storage=msgspec.structs.replace(found.storage, path=str(database)))


@cache
def template() -> tuple[bytes, dict[str, str]]:
    """Return a database with the users and groups, and the users' tokens: every simulation begins with them."""
    tokens: dict[str, str] = {}

    async def make() -> None:
        async with open_world(Path(folder), "root", *USERS) as world:
            tokens.update(world.tokens)
            for group, history in GROUPS.items():
                await world.engine.groups.create("ann", group, ["ben", "cat"], group, history)

    with TemporaryDirectory() as folder, seeded("template"):
        run(make)
        return (Path(folder) / "relay.db").read_bytes(), tokens


class Life:
    """One run of a server.

    Attributes:
        scope: ends it, as a `kill -9` does where its disk is dead.
        over: asks it to end in good order.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        self.callers: dict[trio.CancelScope, None] = {}
        self.engine: Engine
        self.nursery: trio.Nursery
        self.door: FrontDoor

    def accept(self, end: End) -> None:
        """Serve a connection."""
        self.nursery.start_soon(self.door.serve, end)


class Server:
    """The server of a simulation, over all of its lives.

    Attributes:
        life: the present one; None while nothing runs.
        running: whether another life is to come, or runs.
        tokens: of the users.
        logs: the log of each epoch that is over, at its end.
    """

    def __init__(
        self,
        disk: Disk,
        network: Network,
        rng: random.Random,
        now: Callable[[], float],
        pointers: Pointers,
        tell: Tell,
    ) -> None:
        self._disk = disk
        self._network = network
        self._rng = rng
        self._now = now
        self._pointers = pointers
        self._tell = tell
        self._changed = trio.lowlevel.ParkingLot()
        self._backup: Path | None = None
        self._restoring = False
        self._stopping = False
        self.running = True
        self.life: Life | None = None
        self._opening: Life | None = None
        self.epoch = ""
        self.logs: dict[str, Any] = {}
        data, self.tokens = template()
        disk.database.write_bytes(data)
        with closing(sqlite3.connect(disk.database)) as connection, connection:
            new_epoch(connection)

    async def run(self) -> None:
        """Run one life after the other, until the last one is over."""
        try:
            await self._run()
        finally:
            self.running = False

    async def _run(self) -> None:
        while not self._stopping:
            life = self._opening = Life()
            try:
                with life.scope:  # outside of it no Cancelled is among what a dying process raises
                    await self._live(life)
            except StorageError:
                if not self._disk.faults:
                    raise
            except Exception:
                runner = self._disk.runner
                if runner is None or not runner.dead:
                    raise
            finally:
                self.life = None
                for scope in list(life.callers):
                    scope.cancel()
            if not self._stopping:
                await trio.sleep(self._rng.choice([0, 0.05, 1, 7]))
            if self._restoring and not self._stopping:
                self._restore()

    async def _live(self, life: Life) -> None:
        settings = settings_for(self._disk.database)
        async with open_engine(settings, now=self._now, inline=True) as engine, trio.open_nursery() as nursery:
            life.engine, life.nursery, self.epoch = engine, nursery, engine.epoch
            await engine.runner.read(self._pointers.look, inline=True)
            heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds, engine.tally.lags.add)
            life.door = FrontDoor(engine, heartbeat, no_http, "relay/simulated")
            nursery.start_soon(heartbeat.run)
            self.life = life
            self._network.listen(life.accept)
            self._changed.unpark_all()
            try:
                await life.over.wait()
            finally:  # also where it ends by a fault of the disk
                self._network.server_stops(at_once=False)
                self.life = None
            nursery.cancel_scope.cancel()

    def crashed(self) -> None:
        """End the present life at once: its disk is dead."""
        self._network.server_stops(at_once=True)
        life, self.life = self._opening, None
        if life is not None:
            life.scope.cancel()
            for scope in list(life.callers):
                scope.cancel()

    def stop(self, *, for_good: bool = False) -> None:
        """Have the present life end in good order."""
        self._stopping = self._stopping or for_good
        if self._opening is not None:
            self._opening.over.set()

    async def ask(self, call: Callable[[Life], Awaitable[T]]) -> T:
        """Ask the server something, and ask again where it dies of it."""
        while True:
            while (life := self.life) is None:
                await self._changed.park()
            with trio.CancelScope() as scope:
                life.callers[scope] = None
                try:
                    return await call(life)
                finally:
                    life.callers.pop(scope, None)

    def back_up(self, path: Path) -> None:
        """Make a backup of the database as it is now."""
        copy(self._disk.database, path, Progress(), alone=False, finish=lambda _part: None)
        self._backup = path

    def restore(self) -> bool:
        """Have the backup put back between two lives; return False if there is none."""
        self._restoring = self._backup is not None
        if self._restoring:
            self.stop()
        return self._restoring

    def _restore(self) -> None:
        self._restoring = False
        assert self._backup is not None
        with closing(sqlite3.connect(self._disk.database)) as connection:
            # Not the last life's epoch: one that died while it opened has told none.
            before = self.logs[read_epoch(connection)] = read_log(connection)
        restore(self._backup, self._disk.database, Progress(), uid=0)
        self._pointers.forget()
        with closing(sqlite3.connect(self._disk.database)) as connection:
            restored = read_log(connection)
        lost = [
            id
            for id, row in before.items()
            if id <= max(restored, default=0) and restored.get(id, row).seq != row.seq
        ]
        if lost:
            self._tell("restored", f"the backup has other messages than the log had: {lost}")


async def no_http(_peer: Any) -> None:
    """Serve no HTTP: devices of a simulation ask the engine."""
    await trio.lowlevel.checkpoint()


@contextmanager
def on_disk(disk: Disk) -> Iterator[None]:
    """Have relay open its databases on a simulated disk."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(relay.storage.database, "InlineRunner", disk.open))
        stack.enter_context(mock.patch.object(runners, "Writer", FaultyWriter))
        stack.enter_context(mock.patch.object(progress, "ENOUGH", ENOUGH))
        yield
