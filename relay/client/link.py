"""Keeps a client connected: dials, hands each connection to a session, and decides when to come back."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from relay.client.backoff import Backoff
from relay.client.closing import SESSION_REVOKED, TOO_BIG, Close, WireClosed
from relay.client.errors import RelayClosed, StateError
from relay.client.events import Event
from relay.client.inbox import Inbox
from relay.client.keeper import Identity
from relay.client.outbox import Outbox
from relay.client.session import Manners, Session, State
from relay.client.wire import Wire

_log = logging.getLogger("relay.client")
_GOODBYE_SECONDS = 3.0

OpenWire = Callable[[trio.Nursery], Awaitable[Wire]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How stubbornly to come back."""

    backoff: Backoff
    rng: random.Random


class Link:
    """The one task that owns the connection, over all the connections there will be."""

    def __init__(
        self,
        open_wire: OpenWire,
        manners: Manners,
        patience: Patience,
        identity: Identity,
        inbox: Inbox,
        outbox: Outbox,
        on_news: Callable[[], None],
    ) -> None:
        self.state: State = "connecting"
        self.changed = trio.lowlevel.ParkingLot()
        self.limits: dict[str, Any] = {}
        self.trouble: str | None = None
        self.failure: Exception | None = None
        self._open_wire = open_wire
        self._manners = manners
        self._patience = patience
        self._identity = identity
        self._inbox = inbox
        self._outbox = outbox
        self._on_news = on_news
        self._session: Session | None = None
        self._live_since: float | None = None
        self._attempt = 0
        self._leaving = False
        self._resyncing = False
        self._resync_wanted = trio.Event()
        self._current = trio.CancelScope()
        self._ended = trio.Event()
        inbox.on_caught_up = self._ask_resync

    # ---- what the session reports

    def is_ready(self, ready: Event) -> None:
        """Take over what the server says about this connection."""
        payload, identity = ready.payload, self._identity
        user_id = str(payload.get("user_id") or "")
        if identity.user_id is not None and user_id and user_id != identity.user_id:
            raise StateError(f"the state belongs to user {identity.user_id}, the token to {user_id}")
        epoch = payload.get("epoch")
        renamed = identity.epoch is not None and epoch is not None and epoch != identity.epoch
        refused = self._inbox.cursor is not None and payload.get("resumed") is False
        if renamed or refused:
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
        self._on_news()
        self._become("replaying")

    def is_live(self) -> None:
        """Take note that the replay is over."""
        self._live_since = trio.current_time()
        self.trouble = None
        self._become("live")

    # ---- the life

    async def run(self) -> None:
        """Connect and reconnect until told to leave, or until coming back is hopeless."""
        try:
            while not self._leaving:
                self._become("connecting")
                await self._follow(await self._connect_once())
        finally:
            self._end()

    async def _follow(self, close: Close) -> None:
        if self._leaving:
            return
        if close.final:
            self._give_up(close)
        else:
            await self._wait(close)

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

    async def leave(self) -> None:
        """Say goodbye if there is anyone to say it to, and stay away; takes three seconds at most."""
        self._leaving = True
        session = self._session
        if session is not None and self.state in ("replaying", "live"):
            with trio.move_on_after(_GOODBYE_SECONDS):
                await session.leave()
                await self._ended.wait()
        self._current.cancel()

    def fail(self, error: Exception) -> None:
        """End because of a fault that no reconnecting mends."""
        self.failure = self.failure or error
        self._leaving = True
        self._current.cancel()

    def closed_error(self) -> Exception:
        """Give what those learn who wait for something that will not come."""
        return self.failure or RelayClosed(1000, "this client said goodbye")

    def _become(self, state: State) -> None:
        self.state = state
        self.changed.unpark_all()

    async def _connect_once(self) -> Close:
        self._live_since = None
        close = Close(1006)
        async with trio.open_nursery() as nursery:
            self._current = nursery.cancel_scope
            try:
                wire = await self._open_wire(nursery)
            except WireClosed as lost:
                return lost.close
            self._resync_wanted = trio.Event()
            self._session = session = Session(wire, self._manners, self._identity, self._inbox, self._outbox, self)
            nursery.start_soon(self._resync_when_asked, session)
            try:
                close = await session.run()
            except StateError as error:
                self.fail(error)
            finally:
                self._session = None
                await wire.abort()
                self._outbox.lost()
                nursery.cancel_scope.cancel()
        return close

    async def _wait(self, close: Close) -> None:
        if close.code == TOO_BIG:
            self._outbox.refuse_largest(close.reason)
        if self._resyncing:
            self._resyncing = False
            return
        now = trio.current_time()
        if self._live_since is not None and now - self._live_since >= self._patience.backoff.settle:
            self._attempt = 0
        hint = close.retry_after
        delay = self._patience.backoff.delay(self._attempt, self._patience.rng)
        self._attempt += 1
        self.trouble = f"{close.code} {close.reason}".rstrip()
        seconds = delay if hint is None else hint
        _log.info("connection lost (%s), trying again in %.1f s", self.trouble, seconds)
        self._become("waiting")
        with trio.CancelScope() as self._current:
            await trio.sleep(seconds)

    def _give_up(self, close: Close) -> None:
        if close.code == SESSION_REVOKED:
            self._identity.session_id = None  # or the next process would be refused for it as well
        self._leaving = True
        self.failure = RelayClosed(close.code, close.reason)

    def _end(self) -> None:
        self._become("closed")
        closed = self.failure if isinstance(self.failure, RelayClosed) else RelayClosed(1000, "client closed")
        self._outbox.close(closed)
        self._inbox.changed.unpark_all()
        self._ended.set()

    def _ask_resync(self) -> None:
        # Not while greeting: the answer to the hello already makes room, and a second resync would undo it.
        if self.state in ("replaying", "live"):
            self._resync_wanted.set()

    async def _resync_when_asked(self, session: Session) -> None:
        await self._resync_wanted.wait()
        self._resyncing = True
        await session.resync()
