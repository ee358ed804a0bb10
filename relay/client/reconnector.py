"""Keeps a client connected: dials, gives each connection to a session, and decides when to come back."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import trio

from relay.client.backoff import Backoff
from relay.client.close import CONNECTION_LOST, Close, WebSocketClosed
from relay.client.errors import RelayClosed, StateError
from relay.client.events import Event
from relay.client.inbox import Inbox
from relay.client.outbox import Outbox
from relay.client.persistence import Identity
from relay.client.session import Session, SessionOptions, State
from relay.client.websocket import WebSocket
from relay.protocol.errors import CloseCode

_log: Final = logging.getLogger("relay.client")
_GOODBYE_SECONDS: Final = 3.0
_RESTART_SECONDS: Final = 60.0
"""How long a server that stopped is expected back soon, so that waits are short."""

_RESTART_WAIT_SECONDS: Final = 3.0
"""The longest wait meanwhile; twice what the server asked for where that is more, as it spreads many clients."""

OpenWebSocket = Callable[[trio.Nursery], Awaitable[WebSocket]]


@dataclass(frozen=True, slots=True)
class ReconnectOptions:
    """The options of all connections: those of each session, and the waits between two."""

    session: SessionOptions
    backoff: Backoff
    rng: random.Random

    def delay(self, attempt: int, most: float = math.inf) -> float:
        """Return a random wait before try number `attempt`, in seconds, at most `most`."""
        return self.backoff.delay(attempt, self.rng, most)


class Reconnector:
    """Runs one session after the other until the client leaves or coming back is hopeless.

    Args:
        on_identity: called when the server named the client's ids, so that they are saved.
    """

    def __init__(
        self,
        open_websocket: OpenWebSocket,
        options: ReconnectOptions,
        identity: Identity,
        inbox: Inbox,
        outbox: Outbox,
        on_identity: Callable[[], None],
    ) -> None:
        self.state: State = "connecting"
        self.changed = trio.lowlevel.ParkingLot()
        self.limits: dict[str, Any] = {}
        self.trouble: str | None = None
        self.failure: Exception | None = None
        self._open_websocket = open_websocket
        self._options = options
        self._identity = identity
        self._inbox = inbox
        self._outbox = outbox
        self._on_identity = on_identity
        self._session: Session | None = None
        self._live_since: float | None = None
        self._attempt = 0
        self._restart = (-math.inf, math.inf)
        self._leaving = False
        self._resyncing = False
        self._resync_wanted = trio.Event()
        self._current = trio.CancelScope()
        self._ended = trio.Event()

    # ---- callbacks of the session

    def on_ready(self, ready: Event) -> None:
        """Adopt what the server says about this connection.

        Raises:
            StateError: The token belongs to another user than the state file.
        """
        payload, identity = ready.payload, self._identity
        user_id = str(payload.get("user_id") or "")
        if identity.user_id is not None and user_id and user_id != identity.user_id:
            raise StateError(f"the state belongs to user {identity.user_id}, the token to {user_id}")
        epoch = payload.get("epoch")
        another_log = identity.epoch is not None and epoch is not None and epoch != identity.epoch
        cursor_refused = self._inbox.cursor is not None and payload.get("resumed") is False
        if another_log or cursor_refused:
            self._inbox.restart()
        identity.user_id = user_id or identity.user_id
        identity.epoch = epoch if isinstance(epoch, str) else identity.epoch
        identity.session_id = payload.get("session_id") or identity.session_id
        identity.client_id = payload.get("client_id") or identity.client_id
        limits = payload.get("limits")
        self.limits = limits if isinstance(limits, dict) else {}
        in_flight = self.limits.get("in_flight")
        if isinstance(in_flight, int) and in_flight > 0:
            self._outbox.limit(in_flight)
        self._inbox.begin()
        self._outbox.begin()
        self._on_identity()
        self._become("replaying")

    def on_live(self) -> None:
        """Take note that the replay is over."""
        self._live_since = trio.current_time()
        self.trouble = None
        self._become("live")

    # ---- for the client

    async def run(self) -> None:
        """Connect and reconnect until told to leave, or until coming back is hopeless."""
        try:
            while not self._leaving:
                self._become("connecting")
                await self._after(await self._connect_once())
        finally:
            self._end()

    async def wait_live(self) -> None:
        """Wait until the replay is over and messages flow.

        Raises:
            RelayClosed: The connection is over for good.
            StateError: The state file cannot be used.
        """
        while self.state != "live":
            if self.state == "closed":
                raise self.closed_error()
            await self.changed.park()

    def request_resync(self) -> None:
        """Have the present connection replaced by one that brings everything after the cursor."""
        # Not while greeting: the answer to the hello already makes room, and a second resync would undo it.
        if self.state in ("replaying", "live"):
            self._resync_wanted.set()

    async def leave(self) -> None:
        """Say goodbye where there is a connection, and stay away; takes three seconds at most."""
        self._leaving = True
        session = self._session
        if session is not None and self.state in ("replaying", "live"):
            with trio.move_on_after(_GOODBYE_SECONDS):
                await session.leave()
                await self._ended.wait()
        self._current.cancel()

    def fail(self, error: Exception) -> None:
        """End because of a fault that reconnecting does not mend; the first fault is the one that is raised."""
        self.failure = self.failure or error
        self._leaving = True
        self._current.cancel()

    def closed_error(self) -> Exception:
        """Return the error for those who wait for something that will not come."""
        return self.failure or RelayClosed(CloseCode.NORMAL, "this client said goodbye")

    # ---- one connection after the other

    def _become(self, state: State) -> None:
        self.state = state
        self.changed.unpark_all()

    async def _connect_once(self) -> Close:
        self._live_since = None
        close = Close(CONNECTION_LOST)
        async with trio.open_nursery() as nursery:
            self._current = nursery.cancel_scope
            try:
                websocket = await self._open_websocket(nursery)
            except WebSocketClosed as closed:
                return closed.close
            self._resync_wanted = trio.Event()
            self._session = session = Session(
                websocket, self._options.session, self._identity, self._inbox, self._outbox, self
            )
            nursery.start_soon(self._resync_when_asked, session)
            try:
                close = await session.run()
            except StateError as error:
                self.fail(error)
            finally:
                self._session = None
                await websocket.abort()
                self._outbox.lost()
                nursery.cancel_scope.cancel()
        return close

    async def _after(self, close: Close) -> None:
        if self._leaving:
            return
        if close.final:
            self._give_up(close)
        else:
            await self._wait(close)

    async def _wait(self, close: Close) -> None:
        if close.code == CloseCode.TOO_BIG:
            self._outbox.refuse_largest(close.reason)
        if self._resyncing:
            self._resyncing = False
            return
        now = trio.current_time()
        if self._live_since is not None and now - self._live_since >= self._options.backoff.settle:
            self._attempt = 0
        if close.code == CloseCode.DRAINING:
            self._restart = (now + _RESTART_SECONDS, max(_RESTART_WAIT_SECONDS, 2 * (close.retry_after or 0.0)))
        until, most = self._restart
        # Drawn in any case, so that a seeded `rng` gives the same waits whatever the server asks for.
        delay = self._options.delay(self._attempt, most if now < until else math.inf)
        seconds = delay if close.retry_after is None else close.retry_after
        self._attempt += 1
        self.trouble = f"{close.code} {close.reason}".rstrip()
        _log.info("connection lost (%s), trying again in %.1f s", self.trouble, seconds)
        self._become("waiting")
        with trio.CancelScope() as self._current:
            await trio.sleep(seconds)

    def _give_up(self, close: Close) -> None:
        if close.code == CloseCode.SESSION_REVOKED:
            self._identity.session_id = None  # the next process would be refused for it as well
        self._leaving = True
        self.failure = RelayClosed(close.code, close.reason)

    def _end(self) -> None:
        self._become("closed")
        failure = self.failure
        left = RelayClosed(CloseCode.NORMAL, "client closed")
        self._outbox.close(failure if isinstance(failure, RelayClosed) else left)
        self._inbox.changed.unpark_all()
        self._ended.set()

    async def _resync_when_asked(self, session: Session) -> None:
        await self._resync_wanted.wait()
        self._resyncing = True
        await session.resync()
