"""A minimal client for tests: it hides nothing of what the server sends."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import Any

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from relay.testing.checking import Described, Frames


class Closed(Exception):
    """The server closed the connection."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Device:
    """A minimal client: frames in, frames out, and nothing by itself but pongs.

    Whatever the server sends is held to its AsyncAPI document, and so is what it takes; see `Frames`.

    Attributes:
        waiting: frames that came and were not asked for yet.
        ready, synced: the payloads of those frames.
        replayed: the frames between the two.
        answer_pings: set to False for a peer that has died.
    """

    def __init__(self, stream: trio.abc.Stream, described: Described) -> None:
        self.stream = stream
        self._checks = Frames(described)
        self.frames = Connection(ConnectionType.CLIENT)
        self.waiting: list[dict[str, Any]] = []
        self.ready: dict[str, Any] = {}
        self.synced: dict[str, Any] = {}
        self.replayed: list[dict[str, Any]] = []
        self.parts = ""
        self.pings = 0
        self.answer_pings = True
        self.end: Closed | None = None
        self._sent = 0
        self._prefix = secrets.token_hex(4)

    async def send(self, value: Any) -> None:
        """Send a frame: an envelope, or text as it is."""
        text = value if isinstance(value, str) else json.dumps(value)
        self._checks.sent(text)
        await self.stream.send_all(self.frames.send(TextMessage(data=text)))

    async def request(
        self,
        type: str,
        payload: dict[str, Any],
        target: str | None = None,
        *,
        id: str | None = None,
        copies: int = 1,
    ) -> dict[str, Any]:
        """Send a message and return its answer, `ack` or `error`; other frames wait for `next`.

        Args:
            id: its idempotency key; None for a new one.
            copies: how often it is sent, as a client does whose acks are lost; the last answer is returned.
        """
        self._sent += 1
        own_id = id or f"{self._prefix}-{self._sent}"
        meta = {"id": own_id} | ({"target_id": target} if target is not None else {})
        for _copy in range(copies):
            await self.send({"type": type, "payload": payload, "meta": meta})
        passed: list[dict[str, Any]] = []
        answer: dict[str, Any] = {}
        for _copy in range(copies):
            answer = await self.next()
            while answer["type"] not in ("ack", "error") or answer.get("meta", {}).get("ref") != own_id:
                passed.append(answer)
                answer = await self.next()
        self.waiting[:0] = passed
        return answer

    async def event(self, event: str, **payload: Any) -> None:
        """Send a connection event."""
        await self.send({"type": "connection_event", "payload": {"event": event, **payload}})

    async def say(self, target: str, content: str, id: str | None = None, type: str = "chat_message") -> None:
        """Send text, and do not wait for the answer."""
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
        self.frames.receive_data(bytes(data))
        for event in self.frames.events():
            if isinstance(event, TextMessage):
                self.parts += event.data
                if event.message_finished:
                    frame, self.parts = json.loads(self.parts), ""
                    self._checks.received(frame)
                    self.waiting.append(frame)
            elif isinstance(event, Ping):
                self.pings += 1
                if self.answer_pings:
                    # Where the server is gone already, what it said before is still to be read.
                    with suppress(trio.BrokenResourceError):
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
        """Read until the server closes the connection, and return how."""
        try:
            while True:
                await self._receive()
        except Closed as closed:
            return closed

    async def cut(self) -> None:
        """Cut the connection without a word, as a dead network does."""
        await trio.aclose_forcefully(self.stream)
