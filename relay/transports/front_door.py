"""The front door: one port, and behind it WebSockets and HTTP.

relay reads a request's head itself, under a deadline and a size limit, and hands a stream that gives the
read bytes back to whichever library the head is for. A proxy may send an upgrade down a connection that
carried plain requests before: the HTTP side gives such a connection back, and it goes round once more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

import trio

from relay.engine.engine import Engine
from relay.http.origins import origin_allowed
from relay.plugin.registrations import Credentials
from relay.protocol.errors import CLOSE_REASONS, CloseCode, ErrorCode, RelayError
from relay.protocol.framing import close_frame
from relay.protocol.session import State
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.storage.shown import cleaned
from relay.transports.greeting import Greeting
from relay.transports.head import (
    BadHead,
    Head,
    check_request,
    check_upgrade,
    client_address,
    is_trusted,
    switching_protocols,
)
from relay.transports.lobby import Guest
from relay.transports.peer import PeerStream
from relay.transports.probing import probe_of, serve_probe
from relay.transports.reception import Reception, full, linger
from relay.transports.session import Session
from relay.transports.tls import TlsProblem, certificate_of
from relay.transports.websocket import WebSocket

_log: Final = logging.getLogger("relay.front_door")

_MAX_AGENT: Final = 300
_DOUBTED: Final = 10
"""Addresses whose X-Forwarded-For is spoken of in the log; anybody can send one."""

Http = Callable[[PeerStream], Awaitable[Head | None]]
"""Serves HTTP on a stream; returns the head of an upgrade that came after, or None when the peer is gone."""


class Served(Protocol):
    """A client's session, or what stands in for it behind a WebSocket in a test of the transport."""

    state: State
    socket: WebSocket

    async def run(self) -> None:
        """Serve the peer until the connection is over."""


MakeSession = Callable[[Engine, HeartbeatSupervisor, PeerStream, trio.Nursery, Greeting], Served]


class FrontDoor(Reception):
    """Serves accepted streams, each by what its first request asks for.

    Args:
        serve_http: the HTTP side.
        version: what `ready` names as the server.
        room: the most connections that may be open; 0 means no limit.
        make_session: makes what serves a WebSocket.

    Attributes:
        websockets: those that are open.
    """

    def __init__(
        self,
        engine: Engine,
        heartbeat: HeartbeatSupervisor,
        serve_http: Http,
        version: str,
        room: int = 0,
        make_session: MakeSession = Session,
    ) -> None:
        certificate = certificate_of(engine.settings)
        super().__init__(lambda: engine.settings, lambda: engine.drain.begun, certificate, room)
        self._engine = engine
        self._heartbeat = heartbeat
        self._serve_http = serve_http
        self._version = version
        self._make_session = make_session
        self._per_address: dict[str, int] = {}
        self.websockets: set[WebSocket] = set()
        self._with_files = 0
        engine.live.certificate_ends = None if certificate is None else certificate.ends
        self._doubted: set[str] = set()
        engine.live.watch(self._prepare)

    def _prepare(self, settings: Settings) -> Callable[[], list[str]]:
        """Read the certificate of other settings; return what gives it to new connections, and says if it is new.

        Raises:
            RelayError: `conflict`, with the reason that it cannot be used.
        """
        try:
            certificate = certificate_of(settings)
        except TlsProblem as wrong:
            raise RelayError(ErrorCode.CONFLICT, str(wrong)) from None

        def take() -> list[str]:
            renewed = certificate is not None and certificate.digest != self._digest
            self.take_certificate(certificate)
            self._engine.live.certificate_ends = None if certificate is None else certificate.ends
            self._lobby.limit(settings.limits.strangers_per_address)
            return ["[server] tls_certificate"] if renewed else []

        return take

    async def _route(self, peer: PeerStream, head: Head, guest: Guest) -> Head | None:
        settings = self._engine.settings
        if "x-forwarded-for" in head.headers:
            self._note_proxy(peer.address)
        if not head.wants_websocket:
            check_request(head)
            peer.unread(head.without_upgrade() + head.rest)
            return await self._serve_http(peer)
        if self._engine.drain.begun:
            raise BadHead(503, "the server is draining", "Retry-After: 1")
        check_upgrade(head)
        forwarded = head.headers.get("x-forwarded-for", "")
        address = client_address(forwarded, peer.address, settings.server.trusted_proxies)
        held = self._per_address.get(address, 0)
        if settings.limits.connections_per_address and held >= settings.limits.connections_per_address:
            raise BadHead(503, "too many connections from this address", "Retry-After: 10")
        if guest.has_file and not self._lobby.may_upgrade(self._with_files):
            raise full()
        self._per_address[address] = held + 1
        nearest, peer.address = peer.address, address
        try:
            origin, probe = head.headers.get("origin"), probe_of(head)
            allowed = settings.server.allowed_origins
            if origin is not None and not origin_allowed(origin, head.headers["host"], allowed):
                await self._refuse_page(peer, head, guest, origin)
            elif probe is not None and self._engine.probes.is_open(probe):
                await self._serve_probe(peer, head, guest)
            else:
                await self._serve_websocket(peer, head, guest, nearest)
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]
        return None

    def _note_proxy(self, address: str) -> None:
        """Log once that an address speaks for clients, and is not believed: it may be a forgotten proxy."""
        if address in self._doubted or len(self._doubted) >= _DOUBTED:
            return
        self._doubted.add(address)
        if not is_trusted(address, self._engine.settings.server.trusted_proxies):
            _log.warning(
                "%s sends X-Forwarded-For, and is not believed: all its clients share the limits of one address;"
                " if it is your proxy, add it: [server] trusted_proxies",
                address,
            )

    async def _serve_probe(self, peer: PeerStream, head: Head, guest: Guest) -> None:
        """Hold the idle WebSocket of `relay doctor`, until the server ends."""
        with trio.CancelScope() as waiting:
            self._waiting[waiting] = guest
            try:
                await serve_probe(peer, head, self._engine.settings.heartbeat.interval_seconds)
            finally:
                del self._waiting[waiting]

    async def _refuse_page(self, peer: PeerStream, head: Head, guest: Guest, origin: str) -> None:
        """Refuse a page of another origin by a close code: its script is told nothing of an upgrade's status."""
        self.log.warn(
            f"origin {origin[:200]}",
            f"{peer.address}: a page of the origin {origin[:200]!r} is refused; if it is yours, add it to "
            "[server] allowed_origins",
        )
        code = CloseCode.ORIGIN_REFUSED
        await peer.send_all(switching_protocols(head) + close_frame(code, CLOSE_REASONS[code]))
        self._lobby.dismiss(guest)
        await linger(peer, self._engine.settings.timeouts.close_seconds)

    async def _serve_websocket(self, peer: PeerStream, head: Head, guest: Guest, nearest: str) -> None:
        """Run one WebSocket until it is over.

        Args:
            nearest: where the connection itself comes from, which may be a proxy.
        """
        async with trio.open_nursery() as nursery:
            greeting = self._greeting(peer, head, guest, nearest)
            session = self._make_session(self._engine, self._heartbeat, peer, nursery, greeting)
            guest.upgrade(lambda: session.state is State.GREETING)
            self.websockets.add(session.socket)
            self._with_files += guest.has_file
            try:
                session.socket.direct(switching_protocols(head))
                peer.unread(head.rest)
                head.forget()
                await session.run()
            finally:
                self.websockets.discard(session.socket)
                self._with_files -= guest.has_file

    def _greeting(self, peer: PeerStream, head: Head, guest: Guest, nearest: str) -> Greeting:
        bearer = head.headers.get("authorization", "")
        token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else None
        headers = head.headers if self._engine.authentication.by_plugins else {}
        credentials = Credentials(token, headers, peer.address, nearest)
        agent = cleaned(head.headers.get("user-agent", ""))[:_MAX_AGENT]
        return Greeting(self._engine, credentials, self._version, partial(self._lobby.known, guest), agent)

    async def abort_all(self) -> None:
        """Cut every connection that is left, without a word."""
        for websocket in list(self.websockets):
            websocket.cut()
        await super().abort_all()
