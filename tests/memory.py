"""A whole server in memory, on whatever clock the test runs: engine, front door and heartbeats, no sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio.testing
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from relay.plugin.engine import Engine, open_engine
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.heartbeat import HeartbeatSupervisor
from relay.services.router import Submission
from relay.settings import Settings, load
from relay.storage import accounts
from relay.storage.log import Entry
from relay.transports.front_door import FrontDoor

EPOCH = 1_700_000_000.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Closed(Exception):
    """The server closed the connection."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Device:
    """A client as small as can be: frames in, frames out, nothing by itself but pongs."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.frames = Connection(ConnectionType.CLIENT)
        self.waiting: list[dict[str, Any]] = []
        self.ready: dict[str, Any] = {}
        self.synced: dict[str, Any] = {}
        self.replayed: list[dict[str, Any]] = []
        self.parts = ""
        self.pings = 0
        self.answer_pings = True
        self.end: Closed | None = None

    async def send(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        await self.stream.send_all(self.frames.send(TextMessage(data=text)))

    async def event(self, event: str, **payload: Any) -> None:
        await self.send({"type": "connection_event", "payload": {"event": event, **payload}})

    async def say(self, target: str, content: str, id: str | None = None, type: str = "chat_message") -> None:
        meta = {"target_id": target} | ({"id": id} if id else {})
        await self.send({"type": type, "payload": {"content": content}, "meta": meta})

    async def next(self, *types: str) -> dict[str, Any]:
        """Return the next frame, of these types where any are named; others are passed over."""
        while True:
            while not self.waiting:
                await self._receive()
            frame = self.waiting.pop(0)
            if not types or frame["type"] in types or frame["payload"].get("event") in types:
                return frame

    async def _receive(self) -> None:
        if self.end is not None:
            raise self.end
        data = await self.stream.receive_some(65536)
        if not data:
            raise Closed(None)
        self.frames.receive_data(data)
        for event in self.frames.events():
            if isinstance(event, TextMessage):
                self.parts += event.data
                if event.message_finished:
                    self.waiting.append(json.loads(self.parts))
                    self.parts = ""
            elif isinstance(event, Ping):
                self.pings += 1
                if self.answer_pings:
                    await self.stream.send_all(self.frames.send(event.response()))
            elif isinstance(event, CloseConnection):
                self.end = Closed(event.code, event.reason or "")

    async def drain(self) -> list[dict[str, Any]]:
        """Return what has arrived by now, in virtual time."""
        with trio.move_on_after(0.01):
            while True:
                await self._receive()
        frames, self.waiting = self.waiting, []
        return frames

    async def closed(self) -> Closed:
        try:
            while True:
                await self._receive()
        except Closed as closed:
            return closed

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.stream)


class World:
    """A running server and the way to it."""

    def __init__(self, engine: Engine, door: FrontDoor, nursery: trio.Nursery) -> None:
        self.engine = engine
        self.door = door
        self.nursery = nursery
        self.tokens: dict[str, str] = {}

    async def user(self, *names: str) -> None:
        for name in names:
            self.tokens[name] = await self.engine.runner.write(
                partial(_make_user, name=name, now=self.engine.now())
            )

    async def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.door.serve, theirs)
        return ours

    async def upgrade(self) -> Device:
        stream = await self.dial()
        await stream.send_all(UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(1)
        assert head.startswith(b"HTTP/1.1 101")
        return Device(stream)

    async def hello(self, user: str, client_id: str | None = None, **payload: Any) -> Device:
        """Connect a device up to `ready`; what follows has not been read."""
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
        """Have much said at once: past the socket, through the router, with own ids of their own."""
        conversation = await self.engine.channels.find(sender, target)
        type_ = "group_message" if conversation.kind is ConversationKind.GROUP else "chat_message"
        for number in range(count):
            entry = Entry(
                conversation.channel_id, type_, Kind.STREAM, sender, target, None, f"{target}-bulk-{number}", b"",
                f'{{"content":"message {number}"}}', None,
            )  # fmt: skip
            self.engine.router.submit_nowait(Submission(entry, conversation))
        await self.engine.router.wait_idle()

    async def history(
        self, user: str, kind: str, target: str, limit: int = 200, **position: Any
    ) -> list[dict[str, Any]]:
        page = await self.engine.history.page(user, ConversationKind(kind), target, limit, **position)
        return json.loads(msgspec.json.encode(page["messages"]))


def _make_user(connection: Any, name: str, now: float) -> str:
    accounts.create_user(connection, name, now)
    return accounts.create_token(connection, name, now, origin="cli")


def settings_for(path: Path, **environ: str) -> Settings:
    names = {name.upper(): value for name, value in environ.items()}
    return load(None, {"RELAY_STORAGE__PATH": str(path / "relay.db"), **names})


@asynccontextmanager
async def world(path: Path, *users: str, **environ: str) -> AsyncIterator[World]:
    """Run a server on the database in `path`; `environ` is as in the environment: RELAY_REPLAY__LIMIT="10"."""

    async def no_http(_peer: Any) -> None:
        return None

    def now() -> float:
        return EPOCH + trio.current_time()

    async with open_engine(settings_for(path, **environ), now=now, inline=True) as engine:
        heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds)
        door = FrontDoor(engine, heartbeat, no_http, "relay/test")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.run)
            running = World(engine, door, nursery)
            await running.user(*users)
            yield running
            nursery.cancel_scope.cancel()
