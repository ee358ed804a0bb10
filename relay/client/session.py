"""One connection of a client: hello, ready, replay, live, and the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import trio

from relay.client.close import CONNECTION_LOST, RESYNC, Close, WebSocketClosed
from relay.client.errors import RelayError
from relay.client.events import Ack, Event, decode, encode
from relay.client.inbox import Inbox
from relay.client.outbox import Outbox
from relay.client.persistence import Identity
from relay.client.websocket import WebSocket
from relay.protocol.errors import CloseCode
from relay.protocol.session import Event as ConnectionEvent

State = Literal["connecting", "replaying", "live", "waiting", "closed"]
"""The states of a client; `waiting` is the time before the next try."""

_ACK_SECONDS: Final = 1.0
"""The shortest time between two acks."""


class SessionCallbacks(Protocol):
    """Called as a session makes progress."""

    def on_ready(self, ready: Event) -> None:
        """The server has answered the hello."""

    def on_live(self) -> None:
        """The replay is over."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The options of a session.

    Attributes:
        token: proves who the user is.
        heartbeats: whether the server's heartbeats are answered.
        ready_seconds: the longest wait for the answer to the hello.
    """

    token: str
    heartbeats: bool
    ready_seconds: float


class Session:
    """Speaks the protocol over one WebSocket, between the client's inbox and outbox."""

    def __init__(
        self,
        websocket: WebSocket,
        options: SessionOptions,
        identity: Identity,
        inbox: Inbox,
        outbox: Outbox,
        callbacks: SessionCallbacks,
    ) -> None:
        self._websocket = websocket
        self._options = options
        self._identity = identity
        self._inbox = inbox
        self._outbox = outbox
        self._callbacks = callbacks
        self._live = False
        self._heartbeat_seconds = 0.0
        self._acked: int | None = None
        self._leaving = False
        self._close: Close | None = None
        self._write_failure: Close | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> Close:
        """Run until the connection ends, and return why it did."""
        try:
            with trio.fail_after(self._options.ready_seconds):
                await self._greet()
        except WebSocketClosed as closed:
            return closed.close
        except trio.TooSlowError:
            return Close(CONNECTION_LOST, f"no answer to the hello within {self._options.ready_seconds:g} s")
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._read)
            for job in (self._write, self._acknowledge, self._watch_silence):
                nursery.start_soon(self._until_closed, job)
        return self._close or Close(CONNECTION_LOST)

    async def leave(self) -> None:
        """Acknowledge what is processed, say goodbye, and close with 1000."""
        self._leaving = True
        try:
            if self._inbox.cursor != self._acked:
                await self._send_ack()
            await self._send_event({"event": ConnectionEvent.GOODBYE})
            await self._websocket.close(CloseCode.NORMAL)
        except WebSocketClosed:
            pass  # it is closed already

    async def resync(self) -> None:
        """Close without a goodbye, so that the next connection brings everything after the cursor again."""
        self._leaving = True
        await self._websocket.close(RESYNC, "resync")

    # ---- the tasks of a connection

    async def _greet(self) -> None:
        hello: dict[str, Any] = {"event": ConnectionEvent.HELLO, "token": self._options.token}
        known = {
            "session_id": self._identity.session_id,
            "cursor": self._inbox.cursor,
            "epoch": self._identity.epoch,
        }
        hello |= {name: value for name, value in known.items() if value is not None}
        await self._send_event(hello)
        while True:
            frame = await self._websocket.receive()
            event = decode(frame)
            if event is not None and event.event == ConnectionEvent.READY:
                self._heartbeat_seconds = float(event.payload.get("heartbeat_seconds") or 0.0)
                self._callbacks.on_ready(event)
                self._inbox.announce(event, size=len(frame))
                return

    async def _until_closed(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except WebSocketClosed as closed:
            # The reader still has frames to hand over, perhaps acks, and then learns the close code.
            self._write_failure = closed.close

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._websocket.receive()
                event = decode(frame)
                if event is not None:
                    await self._handle(event, len(frame))
        except WebSocketClosed as closed:
            self._finish(closed.close)

    async def _write(self) -> None:
        while not self._leaving:
            message = await self._outbox.next_to_send()
            if not self._leaving:
                await self._websocket.send(message.frame)

    async def _acknowledge(self) -> None:
        while not self._leaving:
            if self._inbox.cursor is None or self._inbox.cursor == self._acked:
                await self._inbox.moved.park()
                continue
            await self._send_ack()
            await trio.sleep(_ACK_SECONDS)

    async def _watch_silence(self) -> None:
        longest = 2 * self._heartbeat_seconds
        while longest > 0:
            # An absolute time: what is left until it may be too little to be added to the clock's time.
            until = self._websocket.last_inbound + longest
            if trio.current_time() >= until:
                self._finish(Close(CONNECTION_LOST, f"the server was silent for {longest:g} s"))
                return
            await trio.sleep_until(until)

    # ---- frames

    async def _handle(self, event: Event, size: int) -> None:
        ref = event.meta.get("ref")
        if event.type == "ack":
            self._take_ack(event, ref)
        elif event.type == "error" and isinstance(ref, str):
            self._outbox.refused(ref, RelayError.from_payload(event.payload))
        elif event.event == ConnectionEvent.HEARTBEAT:
            if self._options.heartbeats:
                await self._send_event(self._with_cursor(ConnectionEvent.HEARTBEAT))
        elif event.event == ConnectionEvent.SYNCED:
            self._live = True
            self._callbacks.on_live()
            self._inbox.offer(event, size=size, position=event.cursor)
        else:
            moves = self._live and not event.replay
            self._inbox.offer(event, size=size, position=event.message_id if moves else None)

    def _take_ack(self, event: Event, ref: object) -> None:
        ack = Ack.from_payload(event.payload)
        if ack.message_id is not None:
            self._inbox.remember(ack.message_id)
            # Before `synced` the ack may be ahead of messages that the replay still brings, and so may that of a
            # duplicate, which was stored on an earlier connection.
            if self._live and not ack.duplicate:
                self._inbox.mark(ack.message_id)
        if isinstance(ref, str):
            self._outbox.acked(ref, ack)

    async def _send_ack(self) -> None:
        self._acked = self._inbox.cursor
        await self._send_event(self._with_cursor(ConnectionEvent.ACK))

    async def _send_event(self, payload: dict[str, Any]) -> None:
        await self._websocket.send(encode("connection_event", payload, {"client_id": self._identity.client_id}))

    def _with_cursor(self, event: ConnectionEvent) -> dict[str, Any]:
        cursor = self._inbox.cursor
        return {"event": event} if cursor is None else {"event": event, "cursor": cursor}

    def _finish(self, close: Close) -> None:
        if self._close is None:
            bare = close.code == CONNECTION_LOST and not close.reason
            self._close = self._write_failure if bare and self._write_failure is not None else close
        self._scope.cancel()
