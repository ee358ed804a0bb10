"""A client's session on one connection: hello, ready, the replay, synced, and then the live flow.

`relay.protocol.session` says what is welcome when; this does it. Frames arrive one by one in the
connection's reading task. What needs no wait, nearly everything, is done there and then. What does, a
plugin's handler or a conversation that is not in memory, goes to a worker task together with all that
follows it, so that a connection's messages keep their order and its pings are still answered.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import trio

from relay.engine.engine import Engine
from relay.plugin.registrations import Credentials
from relay.protocol import session as states
from relay.protocol.choices import with_choices
from relay.protocol.envelope import (
    Envelope,
    SentMeta,
    decode,
    encode_error,
    encode_event,
)
from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, ProtocolError, RelayError, not_saved
from relay.protocol.events import SERVER_EVENTS, Heartbeat
from relay.protocol.framing import PING_FRAME, text_frame
from relay.protocol.session import ConnectionEvent, Event, State
from relay.services.connections import Connection
from relay.services.offline_queue import Resumption
from relay.storage.errors import StorageError
from relay.transports import greeting
from relay.transports.link import PeerLink

_log: Final = logging.getLogger("relay.session")
_PACED_BYTES: Final = 16_384
"""A connection's bytes are counted towards its user's by so many at a time."""

_events: Final = msgspec.json.Decoder(ConnectionEvent)


def _nothing() -> None:
    """Do nothing, where nobody wants to know."""


class Session:
    """What happens on one WebSocket.

    Args:
        shown: what the upgrade's head says of who this is, a token in its Authorization header for one.
        version: what `ready` names as the server.
    """

    def __init__(
        self, engine: Engine, link: PeerLink, nursery: trio.Nursery, *, shown: Credentials, version: str
    ) -> None:
        self._engine = engine
        self._link = link
        self._nursery = nursery
        self._shown = shown
        self._version = version
        self._in_flight = engine.settings.limits.in_flight or 1 << 62
        self._hello: tuple[ConnectionEvent, str | None] | None = None
        self._greeted = trio.Event()
        self._inbox: list[Envelope] = []
        self._working = False
        self._settled = trio.Event()
        self._bad_frames = 0
        self._unpaced = 0
        self._beaten = 0
        self._answered: int | None = None
        self._caught_up_from: int | None = None
        self._registered: Connection | None = None
        self._came = False
        self.on_known: Callable[[], None] = _nothing
        self.state = State.GREETING
        self.connection: Connection | None = None

    # The reading task's side.

    async def on_text(self, text: str) -> None:
        """Take one text frame; raises nothing that a peer could cause."""
        try:
            envelope = decode(text)
            if envelope.type == "connection_event":
                self._on_event(envelope)
                await self._pace()
            else:
                states.check_may_send(self.state)
                self._check_client_id(envelope)
                self._on_message(envelope)
        except ProtocolError as error:
            self._answer_bad(error, error.ref)
            await self._pace()
        except RelayError as error:
            self._answer_bad(error, envelope.meta.id)
            await self._pace()
        connection = self.connection
        if len(self._inbox) >= 256 or (connection is not None and connection.in_flight >= self._in_flight):
            await self._wait_settled()
        self._unpaced += len(text) if text.isascii() else len(text.encode())
        if self._unpaced >= _PACED_BYTES and connection is not None:
            await self._wait_paced(connection)

    async def _pace(self) -> None:
        """Read no faster from who sends what is never a message: events, and messages that are refused.

        The messages themselves have rates of their own. Before the hello the address is who sends.
        """
        connection = self.connection
        payer = f" {self._shown.address}" if connection is None else connection.user_id  # no user id has a space
        if seconds := self._engine.rates.events.borrow(payer):
            with trio.move_on_after(seconds):
                await self._link.closed.wait()

    def _check_client_id(self, envelope: Envelope) -> None:
        said, connection = envelope.meta.client_id, self.connection
        if said is not None and connection is not None and said != connection.client_id:
            raise RelayError(
                ErrorCode.BAD_ENVELOPE, "meta.client_id is fixed at hello and never changes on a connection"
            )

    def _on_event(self, envelope: Envelope) -> None:
        try:
            event = _events.decode(envelope.payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RelayError(
                ErrorCode.INVALID_PAYLOAD, f"connection_event: {with_choices(error, ConnectionEvent)}"
            ) from None
        states.check_welcome(self.state, event.event)
        self.state = states.advance(self.state, event.event)
        if event.event is Event.HELLO:
            self._hello = (event, envelope.meta.client_id)
            self._greeted.set()
            return
        connection = self.connection
        if connection is None:
            return
        if event.event is Event.ACK:
            self._on_ack(connection, event.cursor)
        elif event.event is Event.GOODBYE:
            self._link.end(CloseCode.NORMAL)
        elif event.event is Event.HEARTBEAT:
            self._on_heartbeat(connection, event.cursor)
        else:
            connection.active = event.event is Event.ACTIVE
            self._engine.presence.activity(connection)
            self._engine.connections.flush()
        if envelope.meta.id is not None:
            done = {"timestamp": self._engine.now(), "duplicate": False}
            self._push(encode_event("ack", done, SentMeta(ref=envelope.meta.id)))

    def _check_cursor(self, cursor: int | None, what: str) -> None:
        """Refuse a cursor ahead of what there is."""
        newest = self._engine.router.position
        if cursor is None or cursor > newest:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{what} has a cursor of at most {newest}")

    def _on_ack(self, connection: Connection, cursor: int | None) -> None:
        """Take what a client says it has processed; it cannot be ahead of what there is."""
        self._check_cursor(cursor, "an ack")
        assert cursor is not None  # noqa: S101 - just checked
        self._engine.offline_queue.ack_nowait(connection.user_id, connection.client_id, cursor)

    def _on_heartbeat(self, connection: Connection, cursor: int | None) -> None:
        """Take a client's cursor; one that stands still behind what it was sent is told so, and caught up.

        A client that works through its messages slowly moves between two beats, and is left alone; so is
        one that was caught up from this very position and stays there: it counts in some way of its own.
        """
        if cursor is None:
            return
        self._check_cursor(cursor, "a heartbeat")
        stands_still, self._answered = cursor == self._answered, cursor
        if stands_still and cursor < self._beaten and cursor != self._caught_up_from:
            busy = self.state is not State.LIVE or len(connection.outbox) > 0
            if not busy:
                self._caught_up_from = cursor
                self._nursery.start_soon(self._catch_up, connection, cursor)

    def _on_message(self, envelope: Envelope) -> None:
        connection = self.connection
        if connection is None or self._working:
            self._inbox.append(envelope)
            return
        submission = self._engine.dispatcher.draft_nowait(connection, envelope)
        if submission is None:
            self._inbox.append(envelope)
            self._work_soon()
            return
        self._engine.router.submit_nowait(submission)
        connection.in_flight += 1

    def _work_soon(self) -> None:
        if self._inbox and not self._working:
            self._working = True
            self._nursery.start_soon(self._work)

    async def _work(self) -> None:
        async with self._link.owning_faults():
            await self._work_off()

    async def _work_off(self) -> None:
        """Do what had to wait, one after the other, until nothing does."""
        connection = self.connection
        assert connection is not None  # noqa: S101 - work starts after the hello
        while self._inbox:
            envelope = self._inbox[0]
            try:
                submission = await self._engine.dispatcher.draft(connection, envelope)
                connection.in_flight += 1
                try:
                    self._engine.router.submit_nowait(submission)
                except RelayError:
                    connection.in_flight -= 1
                    raise
            except RelayError as error:
                self._answer(error, envelope.meta.id)
                await self._pace()
            except StorageError:
                self._answer(not_saved(), envelope.meta.id)
            del self._inbox[0]
            self._settled.set()
        self._working = False

    async def _wait_settled(self) -> None:
        """Stop reading from this peer until some of its messages are answered."""
        while self._link.ending is None and not self._link.closed.is_set():
            connection = self.connection
            in_flight = connection.in_flight if connection is not None else 0
            if len(self._inbox) < 128 and in_flight < self._in_flight:
                return
            self._settled = trio.Event()
            await self._settled.wait()

    async def _wait_paced(self, connection: Connection) -> None:
        """Stop reading from this peer until its user's bytes are as many as they may be by now."""
        size, self._unpaced = self._unpaced, 0
        if wait := self._engine.rates.bytes.wait_for(connection.user_id, size):
            with trio.move_on_after(wait):
                await self._link.closed.wait()

    def _answer(self, error: RelayError, ref: str | None) -> None:
        self._push(encode_error(error, ref))

    def _answer_bad(self, error: RelayError, ref: str | None) -> None:
        """Answer a refused frame; one that keeps sending what is not the protocol is cut off."""
        self._answer(error, ref)
        if error.code in (ErrorCode.BAD_JSON, ErrorCode.BAD_ENVELOPE):
            self._bad_frames += 1
            limit = self._engine.settings.limits.bad_frames
            if limit and self._bad_frames >= limit:
                self._link.end(CloseCode.NOT_THE_PROTOCOL)

    def _push(self, text: bytes) -> None:
        """Answer this peer, in the order of its other answers once it is known."""
        if self.connection is None:
            self._link.direct(text_frame(text))
            return
        self.connection.push(text_frame(text))
        self._engine.connections.flush()

    # The connection's own task.

    async def run(self) -> None:
        """Live the connection's life until it is over."""
        with self._ending():
            with trio.move_on_after(self._engine.settings.timeouts.hello_seconds):
                await self._greeted.wait()
            if self._hello is None:
                raise Disconnect(CloseCode.NO_HELLO)
            await self._greet(*self._hello)
        await self._link.closed.wait()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the connection as what is raised says."""
        try:
            yield
        except Disconnect as end:
            self._link.end(end.code, end.reason)
        except StorageError as error:
            _log.debug("a connection could not go on without the disk: %s", error)  # the disk has its own line
            self._link.end(CloseCode.OVERLOADED)
        except trio.BrokenResourceError:
            if self._link.ending is None:
                self._link.cut()

    async def _greet(self, hello: ConnectionEvent, client_id: str | None) -> None:
        engine = self._engine
        shown = self._shown._replace(token=hello.token) if hello.token else self._shown
        identity = await greeting.authenticate(engine, shown)
        self.on_known()
        client_id = client_id or identity.client_id or f"c_{secrets.token_hex(8)}"
        connection = Connection(
            engine.connections, identity, client_id, self._link, self._link.outbox, self._link.peer.address
        )
        connection.on_settled = self._on_settled
        engine.connections.register(connection)
        self._registered = connection
        # From here on every commit pushes into the outbox, which is shut until the replay is over: what
        # the plan below must bring is what was committed before this line, and nothing else.
        until = engine.router.position
        device, plan = await greeting.look_up(engine, identity, client_id, hello, until)
        connection.session_id = await greeting.attach(engine, identity, client_id, device)
        self.connection = connection
        self.on_known()
        self.on_known = _nothing
        engine.hooks.came(connection.user_id, client_id, connection.address)
        self._came = True
        statuses = engine.presence.arrived(connection, await greeting.company(engine, connection.user_id))
        self._device_event(Event.DEVICE_CONNECTED, connection)
        await self._replay(plan, greeting.ready(engine, connection, plan, self._version), statuses)
        self._go_live(connection, plan)

    async def _catch_up(self, connection: Connection, cursor: int) -> None:
        """Tell a client that it is behind, and replay what it missed; what comes meanwhile waits."""
        engine = self._engine
        self.state = State.REPLAYING
        connection.live = self._link.open = False
        until = engine.router.position
        async with self._link.owning_faults():
            with self._ending():
                self._link.direct(greeting.behind(until))
                plan = await engine.runner.read(
                    lambda database: engine.offline_queue.plan(database, connection.user_id, cursor, None, until)
                )
                await self._replay(plan, b"", b"")
                self._go_live(connection, plan)

    def _go_live(self, connection: Connection, plan: Resumption) -> None:
        self.state = states.advance(self.state, Event.SYNCED)
        connection.sent_cursor = max(connection.sent_cursor, plan.until)
        connection.live = self._link.open = True
        self._link.flush()
        self._work_soon()

    async def _replay(self, plan: Resumption, ready: bytes, statuses: bytes) -> None:
        """Send ready, the replay, synced and the statuses; in one write where nothing was missed."""
        waiting = ready
        async for frames in self._engine.offline_queue.frames(plan.user_id, plan.message_ids):
            await self._link.send(waiting + frames)
            waiting = b""
        self._link.direct(waiting + greeting.synced(plan) + statuses)

    def _on_settled(self) -> None:
        self._settled.set()

    def _device_event(self, event: Event, connection: Connection) -> None:
        """Tell the user's other devices that this one came or went."""
        told = SERVER_EVENTS[event](client_id=connection.client_id)
        frame = text_frame(encode_event("connection_event", told, SentMeta(timestamp=self._engine.now())))
        self._engine.router.fan_out_transient(frame, [connection.user_id], connection)

    def over(self) -> None:
        """Leave the registry, as soon as the connection's end is decided.

        One that never got as far as `ready` may have taken over from one that did, so it leaves in the same way.
        """
        self.state = State.CLOSED
        gone = self._registered
        if gone is not None and self._engine.connections.unregister(gone):
            self._device_event(Event.DEVICE_DISCONNECTED, gone)
            self._engine.router.indicators.left(gone)
            self._engine.presence.left(gone, goodbye=self._link.said_goodbye)
        if gone is not None and self._came:
            self._came = False
            self._engine.hooks.went(gone.user_id, gone.client_id, gone.address)

    # The heartbeat supervisor's side.

    def beat(self) -> None:
        """Send a heartbeat for applications and a ping for whoever ignores those."""
        connection = self.connection
        if connection is None or not connection.live:
            self._link.direct(PING_FRAME)
            return
        self._beaten = connection.sent_cursor
        beat = Heartbeat(cursor=self._beaten)
        self._link.direct(text_frame(encode_event("connection_event", beat)) + PING_FRAME)

    def check(self) -> None:
        """Look again whether the token still stands.

        Raises:
            Disconnect: it does not.
        """
        if self.connection is not None:
            self._engine.accounts.check(self.connection.identity)

    def ends_at(self) -> float:
        """Return when the token expires, in monotonic seconds; infinity where it does not."""
        expires_at = None if self.connection is None else self.connection.identity.expires_at
        return float("inf") if expires_at is None else trio.current_time() + expires_at - self._engine.now()
