"""The reception: it accepts streams, shakes hands, reads the first head, and hands over to who serves it.

A node of a cluster that does not lead has one as well, behind which it passes everything on.
"""

from __future__ import annotations

import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import trio

from relay.settings import Settings
from relay.transports.head import TLS_HELLO, BadHead, Head, is_trusted, receive_head, refusal
from relay.transports.lobby import Guest, Lobby, ThrottledLog
from relay.transports.peer import PassedOn, PeerStream
from relay.transports.tls import Certificate

_log: Final = logging.getLogger("relay.front_door")

_REFUSAL_SECONDS: Final = 1.0
LAST_SECONDS: Final = 1.0
"""How long a connection that was accepted right before a drain has to say what it wants."""

_TLS_HERE: Final = "this port speaks TLS: use https:// and wss://"


class Reception(ABC):
    """Receives accepted streams; who extends it routes their heads.

    Args:
        settings: returns those in force.
        draining: returns whether the server is ending.
        certificate: of the port; None for one without TLS.
        room: the most connections that may be open; 0 means no limit.

    Attributes:
        streams: all connections that are open.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        draining: Callable[[], bool],
        certificate: Certificate | None,
        room: int,
    ) -> None:
        self._settings = settings
        self._draining = draining
        self.take_certificate(certificate)
        self.log = ThrottledLog(_log)
        self._lobby = Lobby(
            settings().limits.strangers_per_address,
            room,
            lambda address: is_trusted(address, settings().server.trusted_proxies),
            self.log,
        )
        self.streams: set[PeerStream] = set()
        self._empty = trio.Event()
        self._waiting: dict[trio.CancelScope, Guest] = {}

    def take_certificate(self, certificate: Certificate | None) -> None:
        """Have a certificate for new connections."""
        self._tls = None if certificate is None else certificate.context
        self._digest = b"" if certificate is None else certificate.digest

    async def serve(self, stream: trio.SocketStream | trio.abc.Stream) -> None:
        """Serve one connection until it is over; nothing that a peer does gets out of here."""
        guest: Guest | None = None
        try:
            async with stream:
                guest = self._lobby.enter(_peer_address(stream), _source(stream))
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
                await stream.send_all(refusal(full()))

    async def _serve(self, stream: trio.abc.Stream, guest: Guest) -> None:
        address = _peer_address(stream)
        timeouts = self._settings().timeouts
        if self._tls is not None and not isinstance(stream, PassedOn):
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
            await linger(peer)
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
                await linger(stream)
                raise trio.BrokenResourceError("plain text on the port of TLS")
            await wrapped.do_handshake()
            return wrapped
        raise trio.BrokenResourceError("no TLS handshake in time")

    async def _read_head(self, peer: PeerStream, guest: Guest) -> Head | None:
        """Read a request's head; None when the peer left before one began.

        Raises:
            BadHead: it is not one, is too long, or took too long.
        """
        seconds = self._settings().timeouts.head_seconds
        if self._draining():
            seconds = min(seconds, LAST_SECONDS)
        with trio.move_on_after(seconds) as waiting:
            self._waiting[waiting] = guest
            try:
                return await self._receive_head(peer)
            finally:
                del self._waiting[waiting]
        if self._draining():
            raise BadHead(503, "the server is draining", "Retry-After: 1")
        raise BadHead(408, "the request's head did not arrive in time")

    async def _receive_head(self, peer: PeerStream) -> Head | None:
        return await receive_head(peer.receive_some, self._settings().limits.head_bytes or 1 << 30)

    @abstractmethod
    async def _route(self, peer: PeerStream, head: Head, guest: Guest) -> Head | None:
        """Serve what a head asks for; return the head that came after, or None when the peer is gone."""

    def turn_away(self) -> None:
        """Refuse whoever has not said yet what they want; what lies there and was not read yet is answered."""
        for waiting, guest in list(self._waiting.items()):
            if guest.was_silent():
                waiting.cancel()
            else:
                waiting.deadline = min(waiting.deadline, trio.current_time() + LAST_SECONDS)

    async def wait_empty(self) -> None:
        """Return once no connection is left."""
        if self.streams:
            await self._empty.wait()

    async def abort_all(self) -> None:
        """Cut every connection that is left, without a word."""
        for peer in list(self.streams):
            await peer.abort()


def _source(stream: trio.abc.Stream) -> int | PassedOn | None:
    if isinstance(stream, PassedOn):
        return stream
    return stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None


def full() -> BadHead:
    """Return the refusal of a connection that there is no room for."""
    return BadHead(503, "the server has no room for more connections", "Retry-After: 10")


def _peer_address(stream: trio.abc.Stream) -> str:
    if isinstance(stream, PassedOn):
        return stream.address
    below = getattr(stream, "transport_stream", stream)
    if isinstance(below, trio.SocketStream):
        name = below.socket.getpeername()
        return str(name[0]) if isinstance(name, tuple) else "local"
    return "memory"


async def linger(peer: trio.abc.Stream, seconds: float = 0.5) -> None:
    """Let the peer read a refusal: a close while something of its own is unread would be a reset."""
    with trio.move_on_after(seconds):
        if isinstance(peer, trio.abc.HalfCloseableStream):
            await peer.send_eof()
        for _ in range(64):
            if not await peer.receive_some(65536):
                return
