"""A device that speaks the protocol itself, frame by frame, and holds the server to it."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from relay.client.events import Event, from_object
from relay.protocol.errors import RelayError
from relay.testing import Closed
from relay.testing.frames import FrameSplitter
from relay.testing.world import UPGRADE
from tests.mirrors import Phone, load
from tests.simulation.promises import Witness

if TYPE_CHECKING:
    from tests.simulation.run import Run

_CLOSE, _PING, _PONG, _TEXT = 8, 9, 10, 1
_GONE = (Closed, OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
_SILENCE = 45.0
"""Seconds without a frame after which a connection counts as lost: twice the heartbeat's, and a delay."""


class RawDevice:
    """One connection, as frames; its masks are zero, so that nothing has to be computed."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._splitter = FrameSplitter()
        self._waiting: list[dict[str, Any]] = []
        self._writing = trio.Lock()
        self.reading = trio.CancelScope()

    async def upgrade(self) -> None:
        """Make the connection a WebSocket.

        Raises:
            Closed: the server refuses.
        """
        await self._stream.send_all(UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            data = await self._stream.receive_some(65536)
            if not data:
                raise Closed(None, "before the answer to the upgrade was whole")
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Closed(None, head.decode())
        self._take(rest)

    async def send(self, value: Any) -> None:
        """Send an envelope."""
        await self._send(_TEXT, json.dumps(value).encode())

    async def event(self, event: str, **payload: Any) -> None:
        """Send a connection event."""
        await self.send({"type": "connection_event", "payload": {"event": event, **payload}})

    async def _send(self, opcode: int, data: bytes) -> None:
        size = len(data)
        head = struct.pack("!BB", 128 | opcode, 128 | size) if size < 126 else b""
        head = head or struct.pack("!BBH", 128 | opcode, 128 | 126, size)
        async with self._writing:
            await self._stream.send_all(head + bytes(4) + data)

    async def next(self) -> dict[str, Any]:
        """Return the next envelope; answer pings.

        Raises:
            Closed: the server closed the connection.
        """
        while not self._waiting:
            data = await self._stream.receive_some(65536)
            if not data:
                raise Closed(None)
            for payload in self._take(data):
                await self._send(_PONG, payload)
        return self._waiting.pop(0)

    def _take(self, data: bytes) -> list[bytes]:
        """Take bytes of the server's; return the payloads of pings."""
        pings = []
        for frame in self._splitter.feed(data):
            if frame.opcode == _TEXT:
                self._waiting.append(json.loads(frame.payload))
            elif frame.opcode == _PING:
                pings.append(frame.payload)
            elif frame.opcode == _CLOSE:
                code = int.from_bytes(frame.payload[:2], "big")
                self._waiting.append({"type": "", "payload": {"event": "close", "code": code}, "meta": {}})
        return pings

    async def cut(self) -> None:
        """Cut the connection without a word."""
        await trio.aclose_forcefully(self._stream)


async def fill(run: Run, phone: Phone, gaps: list[dict[str, Any]]) -> None:
    """Fetch what a replay left out; there may be nothing to fetch, of a group that the user has left meanwhile."""
    for gap in gaps:
        with suppress(RelayError):
            await run.ask(lambda life, gap=gap: phone._fill(life, [gap]))


class Handset(Phone):
    """A device on raw frames: it keeps a mirror, a cursor, and what it has not had acked."""

    def __init__(self, run: Run, user: str, client_id: str) -> None:
        super().__init__(user, client_id)
        self._run = run
        self.epoch: str | None = None
        self.witness = Witness(user, client_id, run.broken)
        self._coming = trio.CancelScope()
        self.device: Any = None

    async def come(self, server: Any = None) -> None:
        """Connect, catch up, and send again what was not acked; give up where that does not work."""
        self._coming.cancel()
        self._coming = trio.CancelScope(deadline=trio.current_time() + 60)
        with self._coming:
            await self.go()
            with suppress(*_GONE):
                await self._come()

    async def _come(self) -> None:
        device = RawDevice(await self._run.network.dial(self.client_id))
        await device.upgrade()
        hello: dict[str, Any] = {"event": "hello", "token": self._run.tokens[self.user]}
        if self.cursor is not None:
            hello |= {"cursor": self.cursor, "epoch": self.epoch}
        meta = {"client_id": self.client_id}
        await device.send({"type": "connection_event", "payload": hello, "meta": meta})
        ready = (await self._until(device, "ready"))["payload"]
        self.witness.begins(ready["epoch"])
        self.epoch = ready["epoch"]
        if not ready["resumed"]:
            self.cursor = None
            self.mirror = await self._run.ask(lambda life: load(life, self.user, amid=True))
        synced = (await self._until(device, "synced"))["payload"]
        await fill(self._run, self, synced["gaps"])
        self.cursor = max(self.cursor or 0, synced["cursor"])
        self.witness.synced(synced["cursor"])
        self.device = device
        self._run.nursery.start_soon(self._receive, device)
        for envelope in list(self.pending.values()):
            await device.send(envelope)

    async def _until(self, device: RawDevice, event: str) -> dict[str, Any]:
        while True:
            frame = await device.next()
            if frame["payload"].get("event") == event:
                return frame
            self._take(frame)

    async def _receive(self, device: RawDevice) -> None:
        with device.reading:
            try:
                while True:
                    with trio.fail_after(_SILENCE):
                        frame = await device.next()
                    self._take(frame)
            except _GONE:
                await device.cut()
                if self.device is device:
                    self.device = None

    async def go(self, goodbye: bool = False) -> None:
        """Be cut off, or say goodbye."""
        device, self.device = self.device, None
        if device is not None:
            device.reading.cancel()
            with suppress(*_GONE):
                await (device.event("goodbye") if goodbye else device.cut())

    async def double(self) -> None:
        """Connect once more, while the connection of before is still open, and forgotten: the new one takes over."""
        device, self.device = self.device, None
        if device is not None:
            device.reading.cancel()
        await self.come()

    async def tell(self, event: str, **payload: Any) -> None:
        """Send a connection event, if it is connected."""
        if self.device is not None:
            with suppress(*_GONE):
                await self.device.event(event, **payload)

    async def say(self, type_: str, target: str | None, **payload: Any) -> None:
        """Send something, now or when it is connected again."""
        with suppress(*_GONE):
            await super().say(type_, target, **payload)

    async def say_again(self, number: int) -> None:
        """Send once more what was acked before: the answer must be the same, and nothing be stored.

        A database that was restored may not know of it; then it is a message like any other, and is stored.
        """
        if self.device is not None and (envelope := self.witness.acked_again(number)) is not None:
            if not self.witness.knows(own_id := envelope["meta"]["id"]):
                self.pending[own_id] = envelope
            with suppress(*_GONE):
                await self.device.send(envelope)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["payload"].get("event") == "close":
            raise Closed(frame["payload"]["code"])
        event = from_object(frame)
        self.witness.frame(event, self.cursor)
        super()._take(frame)

    def _answered(self, answer: Event) -> None:
        sent = self.pending.get(answer.meta.get("ref", ""))
        self.witness.answered(answer, sent)
        super()._answered(answer)
