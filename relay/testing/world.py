"""A whole server in memory, on the test's clock: engine, front door and heartbeats, without sockets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import cache, cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import trio

from relay.engine.engine import Engine
from relay.engine.loader import load_plugins
from relay.engine.migrations import migrate_plugins
from relay.engine.opening import open_engine
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.heartbeat import HeartbeatSupervisor
from relay.services.router import Submission
from relay.settings import Settings, load
from relay.storage import accounts
from relay.storage.entry import Entry
from relay.storage.identity import make_epoch, read_epoch
from relay.storage.upgrading import migrate
from relay.testing.checking import Described, frames_of
from relay.testing.device import Closed, Device
from relay.testing.network import Network
from relay.testing.rest import Rest
from relay.transports.front_door import FrontDoor
from relay.transports.rest.app import own_paths

EPOCH = 1_700_000_000.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class World:
    """A running server and the ways to talk to it.

    Attributes:
        engine: the server's services.
        network: the network between devices and the server; a delay that is set holds for devices connected later.
        tokens: the users' tokens.
    """

    def __init__(self, engine: Engine, door: FrontDoor, nursery: trio.Nursery) -> None:
        self.engine = engine
        self.door = door
        self.nursery = nursery
        self.network = Network(nursery)
        self.tokens: dict[str, str] = {}
        self._rest: Rest | None = None
        engine.registry.when_changed(self._forget_described)

    def _forget_described(self) -> None:
        """Describe the server again to devices that connect from now on: its plugins have changed."""
        self.__dict__.pop("described", None)

    async def user(self, *names: str) -> None:
        """Create users, each with a token."""
        for name in names:
            self.tokens[name] = await self.engine.runner.write(
                partial(_make_user, name=name, now=self.engine.now())
            )

    @cached_property
    def described(self) -> Described:
        """The server's AsyncAPI document, which its frames are checked against."""
        return frames_of(self.engine)

    async def dial(self) -> trio.abc.Stream:
        """Open a connection to the server's front door."""
        ours, theirs = self.network.pair()
        self.nursery.start_soon(self.door.serve, theirs)
        return ours

    async def rest(self, method: str, path: str, user: str | None = None, **given: Any) -> Any:
        """Make a REST request as a user, or without a token; see `relay.testing.rest.Rest.request`."""
        if self._rest is None:
            self._rest = Rest(self.engine)
        return await self._rest.request(method, path, self.tokens.get(user, user) if user else None, **given)

    @asynccontextmanager
    async def after_crash(self, path: Path) -> AsyncIterator[World]:
        """Run a second server on a copy, in `path`, of the files that a `kill -9` at this moment would leave."""
        _copy(Path(self.engine.settings.storage.path), path)
        storage = msgspec.structs.replace(self.engine.settings.storage, path=str(path / "relay.db"))
        settings = msgspec.structs.replace(self.engine.settings, storage=storage)
        async with serving(settings) as again:
            again.tokens |= self.tokens
            yield again

    async def upgrade(self) -> Device:
        """Open a connection and make it a WebSocket, without a hello."""
        stream = await self.dial()
        await stream.send_all(UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            received = await stream.receive_some(1)
            if not received:
                raise Closed(None, "before the answer to the upgrade was whole")
            head += received
        if not head.startswith(b"HTTP/1.1 101"):
            raise Closed(None, head.decode())
        return Device(stream, self.described)

    async def hello(self, user: str, client_id: str | None = None, **payload: Any) -> Device:
        """Connect a device up to `ready`; later frames are unread."""
        device = await self.upgrade()
        hello = {"event": "hello", "token": self.tokens.get(user, user), **payload}
        await device.send(
            {"type": "connection_event", "payload": hello, "meta": {"client_id": client_id or f"{user}-1"}}
        )
        device.ready = (await device.next("ready"))["payload"]
        return device

    async def connect(self, user: str, client_id: str | None = None, **payload: Any) -> Device:
        """Connect a device up to `synced`; the replay is in `device.replayed`."""
        device = await self.hello(user, client_id, **payload)
        while True:
            frame = await device.next()
            if frame["payload"].get("event") == "synced":
                device.synced = frame["payload"]
                return device
            device.replayed.append(frame)

    async def talk(self, sender: str, target: str, count: int) -> None:
        """Store many messages at once, with ids of their own, through the router and not through a socket."""
        conversation = await self.engine.channels.find(sender, target)
        type_ = "group_message" if conversation.kind is ConversationKind.GROUP else "chat_message"
        for number in range(count):
            entry = Entry(
                channel_id=conversation.channel_id,
                type=type_,
                kind=Kind.STREAM,
                sender_id=sender,
                target_id=target,
                client_id=None,
                own_id=f"{target}-bulk-{number}",
                digest=b"",
                payload=f'{{"content":"message {number}"}}',
                sent_at=None,
            )
            self.engine.router.submit_nowait(Submission(entry, conversation))
        await self.engine.router.wait_idle()

    async def history(
        self, user: str, kind: str, target: str, limit: int = 200, **position: Any
    ) -> list[dict[str, Any]]:
        """Return a page of a conversation's history as a user sees it."""
        page = await self.engine.history.page(user, ConversationKind(kind), target, limit, **position)
        found: list[dict[str, Any]] = json.loads(msgspec.json.encode(page["messages"]))
        return found


def _copy(database: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        source = database.with_name(database.name + suffix)
        if source.exists():
            (folder / ("relay.db" + suffix)).write_bytes(source.read_bytes())


def _make_user(connection: Any, name: str, now: float) -> str:
    accounts.create_user(connection, name, now)
    return accounts.create_token(connection, name, now, origin="cli")


def settings_for(path: Path, **environ: str) -> Settings:
    """Return settings for a database in `path`; `environ` has variables such as RELAY_REPLAY__LIMIT="10".

    No figures are kept over time, unless they are asked for: days pass in no time.
    """
    names = {name.upper(): value for name, value in environ.items()}
    standing = {"RELAY_STORAGE__PATH": str(path / "relay.db"), "RELAY_METRICS__HISTORY": "false"}
    return load(None, standing | names)


@cache
def _empty_database(*, plugins: bool) -> list[bytes]:
    """Return what is before and after the epoch in the file of a new, empty database.

    It is made once, as every world of a run begins with the same one; each has an epoch of its own.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "relay.db"
        migrate(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            if plugins:
                migrate_plugins(connection, load_plugins(settings_for(Path(folder)), own_paths(Settings())), EPOCH)
            epoch = read_epoch(connection)
        parts = path.read_bytes().split(epoch.encode())
    assert len(parts) == 2, f"the epoch is {len(parts) - 1} times in a new database"  # noqa: S101
    return parts


def make_database(path: Path, *, plugins: bool = False) -> None:
    """Make a new, empty database, unless there is one: in a hundredth of the time that its migrations take.

    Args:
        plugins: with the tables of the plugins that are on by default.
    """
    if path.exists() or not path.parent.is_dir():
        return
    path.write_bytes(make_epoch().encode().join(_empty_database(plugins=plugins)))


def _make_folder(path: Path) -> None:
    # Not on a thread: a clock that jumps goes round and round while a thread is waited for.
    path.mkdir(parents=True, exist_ok=True)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[World]:
    """Run a server in memory with any settings."""
    make_database(Path(settings.storage.path), plugins=True)

    async def no_http(_peer: Any) -> None:
        return None

    def now() -> float:
        return EPOCH + trio.current_time()

    async with open_engine(settings, now=now, inline=True, paths=own_paths(settings)) as engine:
        heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds, engine.tally.lags.add)
        door = FrontDoor(engine, heartbeat, no_http, "relay/test")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.run)
            yield World(engine, door, nursery)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def world(path: Path, *users: str, **environ: str) -> AsyncIterator[World]:
    """Run a server on the database in the folder `path`, which is made if it is not there.

    Args:
        environ: variables of the settings, such as RELAY_REPLAY__LIMIT="10".
    """
    _make_folder(path)
    async with serving(settings_for(path, **environ)) as running:
        await running.user(*users)
        yield running
