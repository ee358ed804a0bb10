"""The front door: one port, and behind it the WebSocket library or the HTTP one.

relay reads a request's head itself, under a deadline and a size limit, and hands a stream that gives the
read bytes back to whichever library the head is for. A proxy may send an upgrade down a connection that
carried plain requests before: the HTTP side gives such a connection back, and it goes round once more.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from relay.plugin.engine import Engine
from relay.plugin.parts import Credentials
from relay.protocol.outbox import Outbox
from relay.services.heartbeat import HeartbeatSupervisor
from relay.transports.head import (
    END,
    BadHead,
    Head,
    check_request,
    check_upgrade,
    client_address,
    parse_head,
    refusal,
)
from relay.transports.link import PeerLink
from relay.transports.peer import PeerStream
from relay.transports.session import Session
from relay.transports.websocket import ServerSocket, switching_protocols

_log: Final = logging.getLogger("relay.front_door")

Http = Callable[[PeerStream], Awaitable[Head | None]]
"""Serves HTTP on a stream; returns the head of an upgrade that came after, or None when the peer is gone."""


class FrontDoor:
    """Takes accepted streams to where they belong.

    Args:
        serve_http: the HTTP side.
        version: what `ready` names as the server.
    """

    def __init__(self, engine: Engine, heartbeat: HeartbeatSupervisor, serve_http: Http, version: str) -> None:
        self._engine = engine
        self._heartbeat = heartbeat
        self._serve_http = serve_http
        self._version = version
        self._tls = _tls_context(engine)
        self._per_address: dict[str, int] = {}
        self.sessions: set[PeerLink] = set()
        self.streams: set[PeerStream] = set()
        self._empty = trio.Event()
        self._waiting: set[trio.CancelScope] = set()

    async def serve(self, stream: trio.SocketStream | trio.abc.Stream) -> None:
        """Serve one connection until it is over; nothing that a peer does gets out of here."""
        try:
            async with stream:
                await self._serve(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError):
            pass
        except* Exception as faults:
            _log.error("a connection ended with a fault of our own", exc_info=faults)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        timeouts = self._engine.settings.timeouts
        if self._tls is not None:
            stream = await self._shake_hands(stream, timeouts.tls_handshake_seconds)
        peer = PeerStream(stream, b"", write_seconds=timeouts.write_seconds, address=_peer_address(stream))
        self.streams.add(peer)
        try:
            head: Head | None = await self._read_head(peer)
            while head is not None:
                head = await self._route(peer, head)
        except BadHead as error:
            await peer.send_all(refusal(error))
            await _linger(peer)
        finally:
            self.streams.discard(peer)
            if not self.streams:
                self._empty.set()
                self._empty = trio.Event()

    async def _shake_hands(self, stream: trio.abc.Stream, seconds: float) -> trio.abc.Stream:
        wrapped = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)  # type: ignore[arg-type]
        with trio.move_on_after(seconds):
            await wrapped.do_handshake()
            return wrapped
        raise trio.BrokenResourceError("no TLS handshake in time")

    async def _read_head(self, peer: PeerStream) -> Head | None:
        """Read a request's head; None when the peer left before one began.

        Raises:
            BadHead: it is not one, is too long, or took too long.
        """
        seconds = self._engine.settings.timeouts.head_seconds
        with trio.move_on_after(seconds) as waiting:
            self._waiting.add(waiting)
            try:
                return await self._receive_head(peer)
            finally:
                self._waiting.discard(waiting)
        if self._engine.draining:
            raise BadHead(503, "the server is draining", "Retry-After: 1")
        raise BadHead(408, "the request's head did not arrive in time")

    async def _receive_head(self, peer: PeerStream) -> Head | None:
        limit = self._engine.settings.limits.head_bytes or 1 << 30
        data = b""
        while END not in data:
            if len(data) > limit:
                raise BadHead(431, f"a request's head has at most {limit} bytes")
            received = await peer.receive_some(16384)
            if not received:
                return None
            data += received
        if data.index(END) > limit:
            raise BadHead(431, f"a request's head has at most {limit} bytes")
        return parse_head(data)

    async def _route(self, peer: PeerStream, head: Head) -> Head | None:
        settings = self._engine.settings
        if not head.wants_websocket:
            check_request(head)
            peer.unread(head.without_upgrade() + head.rest)
            return await self._serve_http(peer)
        if self._engine.draining:
            raise BadHead(503, "the server is draining", "Retry-After: 1")
        check_upgrade(head, settings.server.allowed_origins)
        forwarded = head.headers.get("x-forwarded-for", "")
        address = client_address(forwarded, peer.address, settings.server.trusted_proxies)
        held = self._per_address.get(address, 0)
        if settings.limits.connections_per_address and held >= settings.limits.connections_per_address:
            raise BadHead(503, "too many connections from this address", "Retry-After: 10")
        self._per_address[address] = held + 1
        nearest, peer.address = peer.address, address
        try:
            await self._serve_websocket(peer, head, nearest)
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]
        return None

    async def _serve_websocket(self, peer: PeerStream, head: Head, nearest: str) -> None:
        """Run one WebSocket: the library's reader and the session, one fate for both."""
        settings = self._engine.settings
        limits = settings.limits
        bearer = head.headers.get("authorization", "")
        token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else None
        headers = head.headers if self._engine.hooks.authenticators else {}
        shown = Credentials(token, headers, peer.address, nearest)
        async with trio.open_nursery() as nursery:
            outbox = Outbox(limits.queue_bytes, limits.queue_messages)
            link = PeerLink(peer, nursery, outbox, close_seconds=settings.timeouts.close_seconds)
            session = Session(self._engine, link, nursery, shown=shown, version=self._version)
            socket = ServerSocket(link, session.on_text, limits.frame_bytes or 1 << 30)
            link.on_end = session.over
            self.sessions.add(link)
            try:
                offered = head.headers.get("sec-websocket-protocol", "")
                link.direct(switching_protocols(head.headers["sec-websocket-key"], offered))
                peer.unread(head.rest)
                head.forget()
                nursery.start_soon(socket.run)
                self._heartbeat.watch(link, session)
                session.on_known = partial(self._heartbeat.check_soon, link, session)
                async with link.owning_faults():
                    await session.run()
            finally:
                session.over()
                self.sessions.discard(link)
                link.cut()

    def turn_away(self) -> None:
        """Refuse whoever has not said yet what they want."""
        for waiting in list(self._waiting):
            waiting.cancel()

    async def wait_empty(self) -> None:
        """Return once no connection is left."""
        if self.streams:
            await self._empty.wait()

    async def abort_all(self) -> None:
        """Cut every connection that is left, without a word."""
        for link in list(self.sessions):
            link.cut()
        for peer in list(self.streams):
            await peer.abort()


def _tls_context(engine: Engine) -> ssl.SSLContext | None:
    server = engine.settings.server
    if not server.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.tls_certificate, server.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _peer_address(stream: trio.abc.Stream) -> str:
    below = getattr(stream, "transport_stream", stream)
    if isinstance(below, trio.SocketStream):
        name = below.socket.getpeername()
        return str(name[0]) if isinstance(name, tuple) else "local"
    return "memory"


async def _linger(peer: PeerStream) -> None:
    """Let the peer read a refusal before the close: unread input turns a close into a reset."""
    with trio.move_on_after(0.5):
        await peer.send_eof()
        for _ in range(64):
            if not await peer.receive_some(65536):
                return
