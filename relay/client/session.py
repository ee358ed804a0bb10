"""One connection's life: hello, ready, replay, live, and the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import trio

from relay.client.closing import RESYNC, Close, WireClosed
from relay.client.errors import RelayError
from relay.client.events import Ack, Event, decode, encode
from relay.client.inbox import Inbox
from relay.client.keeper import Identity
from relay.client.outbox import Outbox
from relay.client.wire import Wire

State = Literal["connecting", "replaying", "live", "waiting", "closed"]

_ACK_SECONDS = 1.0


class Watcher(Protocol):
    """Who is told how far a session has come."""

    def is_ready(self, ready: Event) -> None:
        """Take note of the server's answer to the hello."""

    def is_live(self) -> None:
        """Take note that the replay is over."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a session behaves; `ready_seconds` is the longest wait for the answer to the hello."""

    token: str
    heartbeats: bool
    ready_seconds: float


class Session:
    """Speaks the protocol over one wire, between the client's inbox and outbox."""

    def __init__(
        self,
        wire: Wire,
        manners: Manners,
        identity: Identity,
        inbox: Inbox,
        outbox: Outbox,
        watcher: Watcher,
    ) -> None:
        self._wire = wire
        self._manners = manners
        self._identity = identity
        self._inbox = inbox
        self._outbox = outbox
        self._watcher = watcher
        self._live = False
        self._heartbeat_seconds = 0.0
        self._acked: int | None = None
        self._leaving = False
        self._close: Close | None = None
        self._suspicion: Close | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> Close:
        """Live until the connection ends, and tell why it did."""
        try:
            with trio.fail_after(self._manners.ready_seconds):
                await self._greet()
        except WireClosed as lost:
            return lost.close
        except trio.TooSlowError:
            return Close(1006, f"no answer to the hello within {self._manners.ready_seconds:g} s")
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._read)
            for job in (self._pump, self._acknowledge, self._watch):
                nursery.start_soon(self._until_lost, job)
        return self._close or Close(1006)

    async def leave(self) -> None:
        """Acknowledge what is processed, say goodbye and close with 1000."""
        self._leaving = True
        try:
            if self._inbox.cursor != self._acked:
                await self._send_ack()
            await self._tell({"event": "goodbye"})
            await self._wire.close(1000)
        except WireClosed:
            pass  # gone is gone

    async def resync(self) -> None:
        """Close without leaving, to have everything after the cursor brought again."""
        self._leaving = True
        await self._wire.close(RESYNC, "resync")

    # ---- the tasks of a connection

    async def _greet(self) -> None:
        hello: dict[str, Any] = {"event": "hello", "token": self._manners.token}
        known = {
            "session_id": self._identity.session_id,
            "cursor": self._inbox.cursor,
            "epoch": self._identity.epoch,
        }
        hello |= {name: value for name, value in known.items() if value is not None}
        await self._tell(hello)
        while True:
            frame = await self._wire.receive()
            event = decode(frame)
            if event is not None and event.event == "ready":
                self._heartbeat_seconds = float(event.payload.get("heartbeat_seconds") or 0.0)
                self._watcher.is_ready(event)
                self._inbox.announce(event, size=len(frame))
                return

    async def _until_lost(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except WireClosed as lost:
            # The reader still has frames to hand over, acks maybe, and then learns the true close code.
            self._suspicion = lost.close

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._wire.receive()
                event = decode(frame)
                if event is not None:
                    await self._handle(event, len(frame))
        except WireClosed as lost:
            self._finish(lost.close)

    async def _pump(self) -> None:
        while not self._leaving:
            message = await self._outbox.next_to_send()
            if not self._leaving:
                await self._wire.send(message.frame)

    async def _acknowledge(self) -> None:
        while not self._leaving:
            if self._inbox.cursor is None or self._inbox.cursor == self._acked:
                await self._inbox.moved.park()
                continue
            await self._send_ack()
            await trio.sleep(_ACK_SECONDS)

    async def _watch(self) -> None:
        longest = 2 * self._heartbeat_seconds
        while longest > 0:
            quiet = trio.current_time() - self._wire.last_inbound
            if quiet >= longest:
                self._finish(Close(1006, f"the server was silent for {longest:g} s"))
                return
            await trio.sleep(longest - quiet)

    # ---- frames

    async def _handle(self, event: Event, size: int) -> None:
        ref = event.meta.get("ref")
        if event.type == "ack":
            self._take_ack(event, ref)
        elif event.type == "error" and isinstance(ref, str):
            self._outbox.refused(ref, RelayError.from_payload(event.payload))
        elif event.event == "heartbeat":
            if self._manners.heartbeats:
                await self._tell(self._with_cursor("heartbeat"))
        elif event.event == "synced":
            self._live = True
            self._watcher.is_live()
            self._inbox.offer(event, size=size, position=event.cursor)
        else:
            moves = self._live and not event.replay
            self._inbox.offer(event, size=size, position=event.message_id if moves else None)

    def _take_ack(self, event: Event, ref: object) -> None:
        ack = Ack.from_payload(event.payload)
        if ack.message_id is not None:
            self._inbox.remember(ack.message_id)
            # Before `synced`, and for a duplicate (stored on an earlier connection), the ack may be ahead of
            # messages this client has yet to be given.
            if self._live and not ack.duplicate:
                self._inbox.mark(ack.message_id)
        if isinstance(ref, str):
            self._outbox.acked(ref, ack)

    async def _send_ack(self) -> None:
        self._acked = self._inbox.cursor
        await self._tell(self._with_cursor("ack"))

    async def _tell(self, payload: dict[str, Any]) -> None:
        await self._wire.send(encode("connection_event", payload, {"client_id": self._identity.client_id}))

    def _with_cursor(self, event: str) -> dict[str, Any]:
        cursor = self._inbox.cursor
        return {"event": event} if cursor is None else {"event": event, "cursor": cursor}

    def _finish(self, close: Close) -> None:
        if self._close is None:
            bare = close.code == 1006 and not close.reason
            self._close = self._suspicion if bare and self._suspicion is not None else close
        self._scope.cancel()
