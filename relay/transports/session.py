"""A client's session on one connection: hello, ready, the replay, synced, and then the live flow.

`relay.protocol.session` says what is welcome when; this does it. Texts arrive one by one in the connection's
reading task: events are done there and then, messages go to the inbox. A task of the session's own takes the
hello and sends the replay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Final

import msgspec
import trio

from relay.engine.engine import Engine
from relay.protocol import session as states
from relay.protocol.choices import with_choices
from relay.protocol.envelope import Envelope, SentMeta, decode, encode_error, encode_event
from relay.protocol.errors import CloseCode, Disconnect, ErrorCode, ProtocolError, RelayError
from relay.protocol.events import SERVER_EVENTS, Heartbeat
from relay.protocol.framing import PING_FRAME, text_frame
from relay.protocol.outbox import Outbox
from relay.protocol.session import ConnectionEvent, Event, Progress, State, Step
from relay.services.connections import Connection
from relay.services.heartbeat import HeartbeatSupervisor
from relay.services.offline_queue import Resumption
from relay.services.visibility import read_snapshot
from relay.storage.errors import StorageError
from relay.transports.greeting import Greeting, behind_frame, synced_frame
from relay.transports.inbox import Inbox
from relay.transports.peer import PeerStream
from relay.transports.websocket import WebSocket

_log: Final = logging.getLogger("relay.session")
_PACED_BYTES: Final = 16_384
"""A connection's bytes are counted towards its user's by so many at a time."""

_events: Final = msgspec.json.Decoder(ConnectionEvent)


class Session:
    """One client on one WebSocket.

    Args:
        peer: the stream, once the upgrade was judged.
        nursery: the connection's own; the reader and what must wait run there.

    Attributes:
        state: where it stands; see `relay.protocol.session`.
        socket: its WebSocket.
    """

    __slots__ = (
        "_bad_frames", "_engine", "_greeting", "_heartbeat", "_inbox", "_nursery", "_progress", "_registered",
        "_unpaced", "socket", "state",
    )  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        heartbeat: HeartbeatSupervisor,
        peer: PeerStream,
        nursery: trio.Nursery,
        greeting: Greeting,
    ) -> None:
        limits = engine.settings.limits
        self.state = State.GREETING
        self.socket = WebSocket(
            peer,
            nursery,
            Outbox(limits.queue_bytes, limits.queue_messages),
            self,
            max_bytes=limits.frame_bytes or 1 << 30,
            small_per_second=limits.small_frames_per_second,
            close_seconds=engine.settings.timeouts.close_seconds,
        )
        self._engine = engine
        self._heartbeat = heartbeat
        self._nursery = nursery
        self._greeting: Greeting | None = greeting
        self._registered: Connection | None = None
        self._inbox = Inbox(engine, self.socket, nursery, self._push, self._pace)
        self._bad_frames = 0
        self._unpaced = 0
        self._progress = Progress()

    def _advance(self, step: Step) -> State:
        """Take a step of the table, and return the state that it leads to."""
        self.state = states.advance(self.state, step)
        return self.state

    @property
    def _connection(self) -> Connection | None:
        """The connection in the registry, while its client speaks for its user."""
        return self._registered if self.state in states.READY else None

    # The reading task.

    async def on_text(self, text: str) -> None:
        """Take one text message; raises nothing that a peer could cause."""
        try:
            envelope = decode(text)
            if envelope.type == "connection_event":
                greets = self.state is State.GREETING
                self._on_event(envelope)
                if not greets:  # hellos have a rate of their own
                    await self._pace()
            else:
                # Nearly all messages name no device, so that this is the whole check of them.
                if envelope.meta.client_id is not None or self.state is State.GREETING:
                    self._check_message(envelope)
                if self._inbox.put(envelope):
                    await self._inbox.wait_for_room()
        except ProtocolError as error:
            await self._refuse(error, error.ref)
        except RelayError as error:
            await self._refuse(error, envelope.meta.id)
        self._unpaced += len(text) if text.isascii() else len(text.encode())
        if self._unpaced >= _PACED_BYTES and (connection := self._connection) is not None:
            size, self._unpaced = self._unpaced, 0
            await self._pause(self._engine.rates.bytes.wait_for(connection.user_id, size))

    def _check_message(self, envelope: Envelope) -> None:
        """Refuse a message before the hello, or one that names another device than the hello did."""
        states.check_may_send(self.state)
        connection, client_id = self._connection, envelope.meta.client_id
        if connection is not None and client_id is not None and client_id != connection.client_id:
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
        if event.event is Event.HELLO and self._greeting is not None:
            self._advance(Step.HELLO)
            self._greeting.hear(event, envelope.meta.client_id)
        elif event.event is Event.GOODBYE:
            self.socket.end(CloseCode.NORMAL)
        elif (connection := self._connection) is not None:
            self._on_news(connection, event)
            if envelope.meta.id is not None:
                done = {"timestamp": self._engine.now(), "duplicate": False}
                self._push(encode_event("ack", done, SentMeta(ref=envelope.meta.id)))

    def _on_news(self, connection: Connection, event: ConnectionEvent) -> None:
        """Take what a client says of itself: how far it has come, and whether somebody looks at it."""
        if event.event is Event.ACK:
            cursor = self._checked_cursor(event.cursor, "an ack")
            self._engine.offline_queue.ack_nowait(connection.user_id, connection.client_id, cursor)
        elif event.event is not Event.HEARTBEAT:
            connection.active = event.event is Event.ACTIVE
            self._engine.presence.activity_changed(connection)
            self._tell_live(connection)
            self._engine.connections.flush()
        elif event.cursor is not None:
            cursor = self._checked_cursor(event.cursor, "a heartbeat")
            idle = self.state is State.LIVE and not len(connection.outbox)
            if self._progress.is_stuck(cursor) and idle:
                self._progress.replay_from(cursor)
                self._advance(Step.BEHIND)
                self.socket.hold_outbox()
                # The outbox is empty: what comes into it from now on is after the position where the replay ends.
                self._nursery.start_soon(self._catch_up, connection, cursor, self._engine.router.position)

    def _checked_cursor(self, cursor: int | None, what: str) -> int:
        """Refuse a cursor ahead of what there is."""
        newest = self._engine.router.position
        if cursor is None or cursor > newest:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{what} has a cursor of at most {newest}")
        return cursor

    async def _pace(self) -> None:
        """Read no faster from who sends what is never a message: events, and messages that are refused.

        The messages themselves have rates of their own. Before the hello the address is who sends.
        """
        connection = self._connection
        # No user's id has a space in it.
        payer = f" {self.socket.peer.address}" if connection is None else connection.user_id
        await self._pause(self._engine.rates.events.borrow(payer))

    async def _pause(self, seconds: float) -> None:
        if seconds:
            with trio.move_on_after(seconds):
                await self.socket.closed.wait()

    async def _refuse(self, error: RelayError, ref: str | None) -> None:
        """Refuse a frame; one that keeps sending what is not the protocol is cut off."""
        self._engine.tally.refuse(error.code)
        self._push(encode_error(error, ref))
        if error.code in (ErrorCode.BAD_JSON, ErrorCode.BAD_ENVELOPE):
            self._bad_frames += 1
            limit = self._engine.settings.limits.bad_frames
            if limit and self._bad_frames >= limit:
                self.socket.end(CloseCode.NOT_THE_PROTOCOL)
        await self._pace()

    def _push(self, text: bytes) -> None:
        """Answer this peer, in the order of its other answers once it is known."""
        connection = self._connection
        if connection is None:
            self.socket.direct(text_frame(text))
            return
        connection.push(text_frame(text))
        self._engine.connections.flush()

    # The connection's own task.

    async def run(self) -> None:
        """Serve the client until the connection is over."""
        try:
            self._nursery.start_soon(self.socket.run)
            self._heartbeat.watch(self)
            async with self.socket.closing_on_faults():
                with self._ending():
                    await self._greet()
                await self.socket.closed.wait()
        finally:
            self.on_end()
            self.socket.cut()
            ending = self.socket.ending
            self._engine.tally.closed(None if ending is None else ending[0], self.socket.peer_closed)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End the connection as what is raised says."""
        try:
            yield
        except Disconnect as end:
            self.socket.end(end.code, end.reason)
        except StorageError as error:
            _log.debug("a connection could not go on without the disk: %s", error)  # the disk has its own line
            self.socket.end(CloseCode.OVERLOADED)
        except trio.BrokenResourceError:
            if self.socket.ending is None:
                self.socket.cut()

    async def _greet(self) -> None:
        """Take the hello; send ready, what the device missed, and synced."""
        engine, greeting = self._engine, self._greeting
        assert greeting is not None  # noqa: S101 - it is dropped below
        identity, client_id = await greeting.identify()
        if self.state is State.CLOSED:
            return
        connection = Connection(
            engine.connections, identity, client_id, self.socket, self.socket.peer.address, self._inbox.on_settled
        )
        engine.connections.register(connection)
        self._registered = connection
        # From here on every commit pushes into the outbox, which is held back until the replay is over: what
        # the plan below must bring is what was committed before this line, and nothing else.
        until = engine.router.position
        session_id, plan = await greeting.attach(identity, client_id, until)
        if self._advance(Step.READY) is State.CLOSED:
            return
        engine.tally.starts[greeting.start(plan)] += 1
        self._greeting = None
        connection.since, connection.start = engine.now(), plan.start
        self._heartbeat.check_soon(self)
        engine.hooks.connected(connection.user_id, client_id, connection.address)
        # Read inline: no change of presence can fall between this read and the arrival.
        user_id = connection.user_id
        snapshot = await engine.runner.read(lambda database: read_snapshot(database, user_id), inline=True)
        statuses = engine.presence.connected(connection, snapshot)
        self._device_event(Event.DEVICE_CONNECTED, connection)
        self._inbox.open(connection)
        await self._replay(connection, plan, greeting.ready(connection, session_id, plan), statuses)

    async def _catch_up(self, connection: Connection, cursor: int, until: int) -> None:
        """Tell a client that it is behind, and replay what it lost; what is new waits meanwhile."""
        engine = self._engine
        async with self.socket.closing_on_faults():
            with self._ending():
                self.socket.direct(behind_frame(until))
                plan = await engine.runner.read(
                    lambda database: engine.offline_queue.plan(database, connection.user_id, cursor, None, until)
                )
                await self._replay(connection, plan)

    async def _replay(
        self, connection: Connection, plan: Resumption, ready: bytes = b"", statuses: bytes = b""
    ) -> None:
        """Send ready, the replay, synced and the statuses, in one write where nothing was missed; then go live."""
        waiting, connection.left_out, connection.until = ready, plan.gaps, plan.until
        if plan.message_ids:
            async with aclosing(self._engine.offline_queue.frames(plan.user_id, plan.message_ids)) as slices:
                async for frames in slices:
                    await self.socket.send(waiting + frames)
                    waiting = b""
        self.socket.direct(waiting + synced_frame(plan) + statuses)
        if self._advance(Step.SYNCED) is State.LIVE:
            connection.sent_cursor = max(connection.sent_cursor, plan.until)
            self.socket.release_outbox()
            self._tell_live(connection)

    def _tell_live(self, connection: Connection) -> None:
        """Tell plugins of a device that can be sent transient messages, now that it is caught up and active."""
        if self.state is State.LIVE and connection.active:
            self._engine.hooks.live(connection.user_id, connection.client_id, connection.address)

    def _device_event(self, event: Event, connection: Connection) -> None:
        """Tell the user's other devices that this one came or went."""
        told = SERVER_EVENTS[event](client_id=connection.client_id)
        frame = text_frame(encode_event("connection_event", told, SentMeta(timestamp=self._engine.now())))
        self._engine.router.fan_out_transient(frame, [connection.user_id], connection)
        self._engine.connections.flush_soon()

    def on_end(self) -> None:
        """Leave the registry, as soon as the connection's end is decided.

        One that never got as far as `ready` may have taken over from one that did, so it leaves in the same way.
        """
        came, registered = self._connection is not None, self._registered
        self._advance(Step.END)
        if registered is None:
            return
        self._registered = None
        if self._engine.connections.unregister(registered):
            if came:
                self._engine.departures.note(registered.user_id, registered.client_id, self._engine.now())
            self._device_event(Event.DEVICE_DISCONNECTED, registered)
            self._engine.router.indicators.disconnected(registered)
            self._engine.presence.disconnected(registered, goodbye=self.socket.said_goodbye)
        if came:
            self._engine.hooks.disconnected(registered.user_id, registered.client_id, registered.address)

    # The heartbeat supervisor's side.

    def beat(self) -> None:
        """Send a heartbeat for applications and a ping for whoever ignores those."""
        connection = self._connection
        if connection is None or self.state is not State.LIVE:
            self.socket.direct(PING_FRAME)
            return
        self._progress.announced = connection.sent_cursor
        beat = Heartbeat(cursor=connection.sent_cursor)
        self.socket.direct(text_frame(encode_event("connection_event", beat)) + PING_FRAME)

    def check(self) -> None:
        """Look again whether the token still stands.

        Raises:
            Disconnect: it does not.
        """
        if self._connection is not None:
            self._engine.accounts.check(self._connection.identity)

    def ends_at(self) -> float:
        """Return when the token expires, in monotonic seconds; infinity where it does not."""
        connection = self._connection
        expires_at = None if connection is None else connection.identity.expires_at
        return float("inf") if expires_at is None else trio.current_time() + expires_at - self._engine.now()
