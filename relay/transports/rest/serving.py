"""HTTP/1.1 on a stream that the front door accepted: the one module that imports hypercorn.

hypercorn's `TCPServer` is an internal class: it takes a stream and runs an ASGI application on it. The version is
pinned, and a test holds the names that are used. Four gaps of it are closed here. Its sends have no deadline: the
stream has one. A request's body may drip in for ever: `receive` has a deadline that grows with what arrives. It
would answer an upgrade by itself: a head that asks for one goes back to the front door. And somebody must set its
`terminated` and run the ASGI lifespan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Updated
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from relay.transports.head import BadHead, Head, check_request, receive_head
from relay.transports.peer import PeerStream
from relay.transports.rest.bodies import Asgi, GuardedApp


class _HttpStream(PeerStream):
    """A stream for hypercorn that notices an upgrade between two requests.

    h11 knows where one request ends and the next begins: its `their_state` is IDLE while hypercorn waits for a
    head, and DONE while a request is being answered. Bytes that come in early are kept until the next head is due,
    and those that h11 has read already, behind a request or its body, are taken back: each head is checked here
    before h11 sees it. Bodies are not looked at.
    """

    def __init__(self, peer: PeerStream, head_bytes: int, head_seconds: float, keep_alive_seconds: float) -> None:
        super().__init__(peer, b"", write_seconds=peer.write_seconds, address=peer.address)
        self._keep_alive_seconds = keep_alive_seconds
        self._reading = trio.CancelScope()
        self._peer = peer
        self._authenticated = False
        if guest := peer.guest:
            guest.waiting = lambda: self.their_state() is not h11.DONE and not self._authenticated
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._turned = trio.Event()
        self._early = b""
        self.their_state: Callable[[], Any] = lambda: h11.IDLE
        self.take_back: Callable[[], bytes] = lambda: b""
        self._broken = False
        self.upgrade: Head | None = None
        self._goes_back = False

    @property
    def socket(self) -> Any:
        """The socket below."""
        return self._peer.socket

    def turn(self) -> None:
        """Note that hypercorn went on to the next request, or ended."""
        self._authenticated = False
        if self._peer.guest is not None:
            self._peer.guest.begin_waiting()
        if self.their_state() is h11.IDLE:
            self._early = self.take_back() + self._early
            self._reading.deadline = trio.current_time() + self._keep_alive_seconds
        self._turned.set()
        self._turned = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive; an upgrade is kept for the front door, and for hypercorn the peer has left."""
        if self.upgrade is not None:
            return b""
        # A request that was read already is answered, also when idle connections are closed.
        data, self._early = self._early or self._peer.take_unread(), b""
        if not data:
            idle = self.their_state() is h11.IDLE
            deadline = trio.current_time() + self._keep_alive_seconds if idle else inf
            with trio.CancelScope(deadline=deadline) as self._reading:
                data = await self._peer.receive_some(max_bytes)
        if not data:
            return data
        while self.their_state() is h11.DONE:
            await self._turned.wait()
        return await self._check_head(data) if self.their_state() is h11.IDLE else data

    async def _check_head(self, data: bytes) -> bytes:
        """Check a request's head as the front door checked the first one of the connection."""
        try:
            with trio.move_on_after(self._head_seconds):
                head = await receive_head(self._peer.receive_some, self._head_bytes, data)
                if head is None:
                    return b""
                if not head.wants_websocket:
                    check_request(head)
                    return head.without_upgrade() + head.rest
                self.upgrade, self._goes_back = head, True
                return b""
            raise BadHead(408, "the request's head did not arrive in time")
        except BadHead:
            self._goes_back = True
            raise

    @property
    def broken(self) -> bool:
        """Whether the peer was gone when something was sent."""
        return self._broken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as every stream does, and note that the peer is gone where it is."""
        try:
            await super().send_all(data)
        except trio.BrokenResourceError:
            self._broken = True
            raise

    def is_broken(self) -> bool:
        """Tell whether the peer could not be written to."""
        return self._broken

    def authenticated(self) -> None:
        """Note that the caller of this request is known."""
        self._authenticated = True

    def stop_idling(self) -> None:
        """Close, where no request is being answered, and none lies unread."""
        guest = self._peer.guest
        if self.their_state() is h11.IDLE and (guest is None or guest.was_silent()):
            self._reading.cancel()

    async def aclose(self) -> None:
        """Close, unless the stream goes back to the front door, with an upgrade or for a refusal."""
        self.turn()
        if not self._goes_back:
            await self._peer.aclose()

    async def send_eof(self) -> None:
        """Send EOF, unless the front door will write more."""
        if not self._goes_back:
            await self._peer.send_eof()

    async def abort(self) -> None:
        """Close at once."""
        self.aborted = True
        self.turn()
        await self._peer.abort()


class _Connection(TCPServer):
    """hypercorn's connection; it tells its stream of the next request, and ends as soon as it is over.

    hypercorn's own keep-alive timer does nothing: the stream has one. It would hold a connection that is over, and
    with it an upgrade that must go back to the front door; and once the server stops, it would close a connection
    whose request was not read yet, without an answer.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._reading = trio.CancelScope()

    async def protocol_send(self, event: Any) -> None:
        """Tell the stream, then do as hypercorn does.

        Where the peer is gone nothing more is read: hypercorn's reader may wait for the end of the request that is
        answered, and with another one behind that it would wait for ever.
        """
        if isinstance(event, (Updated, Closed)):
            cast(_HttpStream, self.stream).turn()
        if isinstance(event, Updated):
            return
        if isinstance(event, Closed):
            # The task that answers may be cancelled by now, and a connection that is over must not stay open.
            with trio.CancelScope(shield=True):
                await self.stream.aclose()
        await super().protocol_send(event)
        if cast(_HttpStream, self.stream).is_broken():
            self._reading.cancel()

    async def _read_data(self) -> None:
        """Read until the peer leaves, or cannot be written to."""
        with self._reading:
            await super()._read_data()

    async def _idle_timeout(self) -> None:
        """End at once."""

    def their_state(self) -> Any:
        """Return the state of the client in h11; IDLE before the first request."""
        protocol = getattr(self, "protocol", None)
        return h11.IDLE if protocol is None else getattr(protocol.protocol.connection, "their_state", None)

    def take_back(self) -> bytes:
        """Return the bytes of the next request that h11 holds: their head must be checked first."""
        if not hasattr(self, "protocol"):
            return b""
        held = cast(h11.Connection, self.protocol.protocol.connection)._receive_buffer
        return bytes(held._extract(len(held)))


class HttpServer:
    """A server of one ASGI application on streams.

    Args:
        body_seconds: deadline of a request's body, extended by what arrives.
        keep_alive_seconds: how long an idle connection is kept.
    """

    def __init__(
        self, app: Asgi, *, head_bytes: int, head_seconds: float, body_seconds: float, keep_alive_seconds: float
    ) -> None:
        self._app = app
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._body_seconds = body_seconds
        self._config = Config()
        self._config.keep_alive_timeout = keep_alive_seconds
        self._config.h11_max_incomplete_size = head_bytes
        self._config.alpn_protocols = ["http/1.1"]
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = None
        self._context = WorkerContext(None)
        self._state: dict[str, Any] = {}
        self._streams: set[_HttpStream] = set()

    async def serve(self, peer: PeerStream) -> Head | None:
        """Serve one connection; return the head of an upgrade that followed, or None at its end."""
        stream = _HttpStream(peer, self._head_bytes, self._head_seconds, self._config.keep_alive_timeout)
        app = GuardedApp(self._app, stream, self._body_seconds, stream.authenticated)
        http = _Connection(
            ASGIWrapper(app), self._config, self._context, cast(Any, self._state), cast(Any, stream)
        )
        stream.their_state, stream.take_back = http.their_state, http.take_back
        self._streams.add(stream)
        try:
            await http
        except* BadHead as refused:
            raise refused.exceptions[0] from None
        finally:
            self._streams.discard(stream)
        return stream.upgrade

    async def stop(self) -> None:
        """Let running requests finish, and close idle connections."""
        await self._context.terminated.set()
        for stream in list(self._streams):
            stream.stop_idling()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run the application's startup before the block and its shutdown after."""
        lifespan = Lifespan(ASGIWrapper(self._app), self._config, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            try:
                yield
            finally:
                with (
                    trio.CancelScope(shield=True, deadline=trio.current_time() + 2),
                    suppress(trio.ClosedResourceError),
                ):
                    await lifespan.wait_for_shutdown()
                nursery.cancel_scope.cancel()
