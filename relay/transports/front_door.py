"""The front door: one port, and behind it WebSockets and HTTP.

relay reads a request's head itself, under a deadline and a size limit, and hands a stream that gives the
read bytes back to whichever library the head is for. A proxy may send an upgrade down a connection that
carried plain requests before: the HTTP side gives such a connection back, and it goes round once more.
"""

from __future__ import annotations

import logging
import socket
import ssl
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
    TLS_HELLO,
    BadHead,
    Head,
    check_request,
    check_upgrade,
    client_address,
    is_trusted,
    receive_head,
    refusal,
    switching_protocols,
)
from relay.transports.lobby import Guest, Lobby, ThrottledLog
from relay.transports.peer import PeerStream
from relay.transports.probing import probe_of, serve_probe
from relay.transports.session import Session
from relay.transports.tls import Certificate, TlsProblem, certificate_of
from relay.transports.websocket import WebSocket

_log: Final = logging.getLogger("relay.front_door")

_MAX_AGENT: Final = 300
_REFUSAL_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 1.0
"""How long a connection that was accepted right before a drain has to say what it wants."""

_DOUBTED: Final = 10
"""Addresses whose X-Forwarded-For is spoken of in the log; anybody can send one."""

_TLS_HERE: Final = "this port speaks TLS: use https:// and wss://"

Http = Callable[[PeerStream], Awaitable[Head | None]]
"""Serves HTTP on a stream; returns the head of an upgrade that came after, or None when the peer is gone."""


class Served(Protocol):
    """A client's session, or what stands in for it behind a WebSocket in a test of the transport."""

    state: State
    socket: WebSocket

    async def run(self) -> None:
        """Serve the peer until the connection is over."""


MakeSession = Callable[[Engine, HeartbeatSupervisor, PeerStream, trio.Nursery, Greeting], Served]


class FrontDoor:
    """Serves accepted streams, each by what its first request asks for.

    Args:
        serve_http: the HTTP side.
        version: what `ready` names as the server.
        room: the most connections that may be open; 0 means no limit.
        make_session: makes what serves a WebSocket.

    Attributes:
        websockets: those that are open.
        streams: all connections that are open.
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
        self._engine = engine
        self._heartbeat = heartbeat
        self._serve_http = serve_http
        self._version = version
        self._make_session = make_session
        self._take_certificate(certificate_of(engine.settings))
        self._per_address: dict[str, int] = {}
        self.log = ThrottledLog(_log)
        self._lobby = Lobby(
            engine.settings.limits.strangers_per_address,
            room,
            lambda address: is_trusted(address, engine.settings.server.trusted_proxies),
            self.log,
        )
        self.websockets: set[WebSocket] = set()
        self.streams: set[PeerStream] = set()
        self._empty = trio.Event()
        self._waiting: dict[trio.CancelScope, Guest] = {}
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
            self._take_certificate(certificate)
            self._lobby.limit(settings.limits.strangers_per_address)
            return ["[server] tls_certificate"] if renewed else []

        return take

    def _take_certificate(self, certificate: Certificate | None) -> None:
        self._tls = None if certificate is None else certificate.context
        self._digest = b"" if certificate is None else certificate.digest
        self._engine.live.certificate_ends = None if certificate is None else certificate.ends

    async def serve(self, stream: trio.SocketStream | trio.abc.Stream) -> None:
        """Serve one connection until it is over; nothing that a peer does gets out of here."""
        guest: Guest | None = None
        try:
            async with stream:
                guest = self._lobby.enter(_peer_address(stream), _fileno(stream))
                if guest is None:
                    await self._turn_back(stream)
                else:
                    with guest.scope:
                        await self._serve(stream, guest)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError):
            pass
        except* Exception as faults:
            _log.error("a connection ended with a fault of our own", exc_info=faults)
        finally:
            if guest is not None:
                self._lobby.leave(guest)

    async def _turn_back(self, stream: trio.abc.Stream) -> None:
        """Refuse a connection that there is no room for."""
        if self._tls is None:
            with trio.move_on_after(_REFUSAL_SECONDS):
                await stream.send_all(refusal(_full()))

    async def _serve(self, stream: trio.abc.Stream, guest: Guest) -> None:
        address = _peer_address(stream)
        timeouts = self._engine.settings.timeouts
        if self._tls is not None:
            stream = await self._shake_hands(stream, timeouts.tls_handshake_seconds)
        peer = PeerStream(stream, b"", write_seconds=timeouts.write_seconds, address=address, guest=guest)
        self.streams.add(peer)
        try:
            head: Head | None = await self._read_head(peer, guest)
            while head is not None:
                head = await self._route(peer, head, guest)
        except BadHead as error:
            if error.noted:
                self.log.warn(error.reason, f"{peer.address}: {error.reason}")
            await peer.send_all(refusal(error))
            self._lobby.dismiss(guest)
            await _linger(peer)
        finally:
            self.streams.discard(peer)
            if not self.streams:
                self._empty.set()
                self._empty = trio.Event()

    async def _shake_hands(self, stream: trio.abc.Stream, seconds: float) -> trio.abc.Stream:
        wrapped = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)  # type: ignore[arg-type]
        with trio.move_on_after(seconds):
            first = await stream.socket.recv(1, socket.MSG_PEEK) if isinstance(stream, trio.SocketStream) else b""
            if first and first[0] != TLS_HELLO:
                self.log.warn("plain", f"{_peer_address(stream)}: {_TLS_HERE}")
                await stream.send_all(refusal(BadHead(400, _TLS_HERE)))
                await _linger(stream)
                raise trio.BrokenResourceError("plain text on the port of TLS")
            await wrapped.do_handshake()
            return wrapped
        raise trio.BrokenResourceError("no TLS handshake in time")

    async def _read_head(self, peer: PeerStream, guest: Guest) -> Head | None:
        """Read a request's head; None when the peer left before one began.

        Raises:
            BadHead: it is not one, is too long, or took too long.
        """
        seconds = self._engine.settings.timeouts.head_seconds
        if self._engine.drain.begun:
            seconds = min(seconds, _LAST_SECONDS)
        with trio.move_on_after(seconds) as waiting:
            self._waiting[waiting] = guest
            try:
                return await self._receive_head(peer)
            finally:
                del self._waiting[waiting]
        if self._engine.drain.begun:
            raise BadHead(503, "the server is draining", "Retry-After: 1")
        raise BadHead(408, "the request's head did not arrive in time")

    async def _receive_head(self, peer: PeerStream) -> Head | None:
        return await receive_head(peer.receive_some, self._engine.settings.limits.head_bytes or 1 << 30)

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
        if not self._lobby.may_upgrade(len(self.websockets)):
            raise _full()
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
        await _linger(peer, self._engine.settings.timeouts.close_seconds)

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
            try:
                session.socket.direct(switching_protocols(head))
                peer.unread(head.rest)
                head.forget()
                await session.run()
            finally:
                self.websockets.discard(session.socket)

    def _greeting(self, peer: PeerStream, head: Head, guest: Guest, nearest: str) -> Greeting:
        bearer = head.headers.get("authorization", "")
        token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else None
        headers = head.headers if self._engine.authentication.by_plugins else {}
        credentials = Credentials(token, headers, peer.address, nearest)
        agent = cleaned(head.headers.get("user-agent", ""))[:_MAX_AGENT]
        return Greeting(self._engine, credentials, self._version, partial(self._lobby.known, guest), agent)

    def turn_away(self) -> None:
        """Refuse whoever has not said yet what they want; what lies there and was not read yet is answered."""
        for waiting, guest in list(self._waiting.items()):
            if guest.was_silent():
                waiting.cancel()
            else:
                waiting.deadline = min(waiting.deadline, trio.current_time() + _LAST_SECONDS)

    async def wait_empty(self) -> None:
        """Return once no connection is left."""
        if self.streams:
            await self._empty.wait()

    async def abort_all(self) -> None:
        """Cut every connection that is left, without a word."""
        for websocket in list(self.websockets):
            websocket.cut()
        for peer in list(self.streams):
            await peer.abort()


def _fileno(stream: trio.abc.Stream) -> int | None:
    return stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None


def _full() -> BadHead:
    return BadHead(503, "the server has no room for more connections", "Retry-After: 10")


def _peer_address(stream: trio.abc.Stream) -> str:
    below = getattr(stream, "transport_stream", stream)
    if isinstance(below, trio.SocketStream):
        name = below.socket.getpeername()
        return str(name[0]) if isinstance(name, tuple) else "local"
    return "memory"


async def _linger(peer: trio.abc.Stream, seconds: float = 0.5) -> None:
    """Let the peer read a refusal: a close while something of its own is unread would be a reset."""
    with trio.move_on_after(seconds):
        if isinstance(peer, trio.abc.HalfCloseableStream):
            await peer.send_eof()
        for _ in range(64):
            if not await peer.receive_some(65536):
                return
