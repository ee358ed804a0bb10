"""A scripted server: each dial is a pair of memory streams, whose far end the test speaks for."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

import relay.client
from relay.client import Client, Event

HEARTBEAT = 30


class Far:
    """The server's side of one connection."""

    def __init__(self, socket: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self.socket = socket
        self.stream = stream

    async def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.socket.get_message())
        return frame

    async def receive_event(self, name: str) -> dict[str, Any]:
        """Skip to the next connection event of this name, and give its payload."""
        while True:
            payload: dict[str, Any] = (await self.receive())["payload"]
            if payload.get("event") == name:
                return payload

    async def receive_message(self) -> dict[str, Any]:
        """Skip to the next frame that is no connection event."""
        while True:
            frame = await self.receive()
            if frame["type"] != "connection_event":
                return frame

    async def send(self, type: str, payload: dict[str, Any], **meta: Any) -> None:
        await self.socket.send_message(json.dumps({"type": type, "payload": payload, "meta": meta}))

    async def event(self, name: str, **payload: Any) -> None:
        await self.send("connection_event", {"event": name, **payload})

    async def message(self, message_id: int, text: str = "hi", **meta: Any) -> None:
        stored = {"message_id": message_id, "seq": message_id, "sender_id": "bob", "target_id": "alice"}
        await self.send("chat_message", {"content": text}, **stored, **meta)

    async def ack(self, ref: str, message_id: int, duplicate: bool = False) -> None:
        answer = {"message_id": message_id, "seq": message_id, "timestamp": 1.5, "duplicate": duplicate}
        await self.send("ack", answer, ref=ref)

    async def error(self, ref: str, code: str, **payload: Any) -> None:
        await self.send("error", {"code": code, "message": "no", "retry": False, **payload}, ref=ref)

    async def ready(self, **payload: Any) -> dict[str, Any]:
        """Take the hello, answer it, and give its payload."""
        hello = await self.receive()
        assert hello["payload"]["event"] == "hello"
        answer = {
            "user_id": "alice",
            "session_id": "s1",
            "client_id": hello["meta"]["client_id"],
            "resumed": True,
            "cursor": 0,
            "epoch": "e1",
            "heartbeat_seconds": HEARTBEAT,
            "limits": {},
        }
        await self.event("ready", **(answer | payload))
        return {**hello["payload"], "client_id": hello["meta"]["client_id"]}

    async def synced(self, cursor: int, **payload: Any) -> None:
        whole = {"cursor": cursor, "replayed": 0, "limited": False, "gaps": []}
        await self.event("synced", **(whole | payload))

    async def welcome(self, cursor: int = 100, **payload: Any) -> dict[str, Any]:
        """Take the client through hello, ready and an empty replay."""
        hello = await self.ready(**payload)
        await self.synced(cursor)
        return hello

    async def close(self, code: int, reason: str = "") -> None:
        with trio.move_on_after(1):
            await self.socket.aclose(code, reason)

    async def closed(self) -> int:
        """Read on until the client closes, and give its code."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.get_message()
        reason = self.socket.closed
        return int(reason.code) if reason is not None else 1006

    async def quiet(self, seconds: float) -> None:
        """Make sure that nothing comes for so long."""
        with trio.move_on_after(seconds):
            raise AssertionError(f"unexpected: {await self.receive()}")


class Peer:
    """The server: hands out its side of each connection in the order they are dialled."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._dialled, self._accepted = trio.open_memory_channel[trio.abc.Stream](16)
        self.dials: list[float] = []
        self.down = False

    async def dial(self) -> trio.abc.Stream:
        self.dials.append(trio.current_time())
        if self.down:
            raise ConnectionRefusedError("nobody there")
        near, far = memory_stream_pair()
        self._dialled.send_nowait(far)
        return near

    async def accept_stream(self) -> trio.abc.Stream:
        return await self._accepted.receive()

    async def accept(self) -> Far:
        stream = await self._accepted.receive()
        request = await wrap_server_stream(self._nursery, stream)
        return Far(await request.accept(subprotocol="relay.v1"), stream)

    async def live(self, cursor: int = 100, **payload: Any) -> Far:
        far = await self.accept()
        await far.welcome(cursor, **payload)
        return far

    def connect(self, **options: Any) -> AbstractAsyncContextManager[Client]:
        options.setdefault("dial", self.dial)
        options.setdefault("rng", random.Random(7))
        options.setdefault("clock", lambda: 1_000.5)
        options.setdefault("run_in_thread", inline)
        return relay.client.connect("http://relay.test:8000", "the-token", **options)


async def inline(job: Callable[[], None]) -> None:
    """Do disk work in the test's own task: virtual time would run on while a thread works."""
    await trio.lowlevel.checkpoint()
    job()


@asynccontextmanager
async def scripted() -> AsyncIterator[Peer]:
    async with trio.open_nursery() as nursery:
        yield Peer(nursery)
        nursery.cancel_scope.cancel()


def waits(dials: list[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(dials)]


async def collect(client: Client, count: int) -> list[Event]:
    return [await anext(client) for _ in range(count)]


def ids(events: list[Event]) -> list[int]:
    return [event.message_id for event in events if event.message_id is not None]
