"""Request bodies: each has a deadline, a large one comes in as fast as it is read, an unread one is drained.

A refusal is often sent before the body has arrived. HTTP/1.1 has no way to skip a body: either the rest of it is
read, and the connection goes on, or the connection ends, and a peer that is still sending may lose the answer with
it. So a small rest is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio
from quart import request

from relay.transports.peer import PeerStream

_BYTES_PER_SECOND: Final = 8192
"""The slowest body that is waited for, beyond the body deadline."""

_DRAINED_BYTES: Final = 262_144
"""The most that is read of an unwanted body; with more of it to come the connection ends."""

_WAITING_BYTES: Final = 262_144
"""The most of a paced body that may wait for its view."""

Asgi = Callable[..., Awaitable[None]]


def connection_of_request() -> dict[str, Any]:
    """Return what `GuardedApp` tells views of their connection; {} where the application runs without one."""
    known: dict[str, Any] = cast(dict[str, Any], request.scope).get("relay", {})
    return known


def pace_body() -> Flow:
    """Let the request's body in no faster than the view calls `taken`, from now on."""
    flow: Flow = connection_of_request().get("flow") or Flow()
    flow.begin()
    return flow


class Flow:
    """The pace of one body: no faster than its view reads it, once the view has said that it will tell."""

    def __init__(self) -> None:
        self._paced = False
        self._waiting = 0
        self._room = trio.Event()

    def begin(self) -> None:
        """Hold the body back from now on; `taken` lets it go on."""
        self._paced = True

    def let_go(self) -> None:
        """Let in whatever comes: nobody reads it any more."""
        self._paced = False
        self._room.set()

    def received(self, size: int) -> None:
        """Note bytes that came in."""
        self._waiting += size

    def taken(self, size: int) -> None:
        """Note bytes that the view has processed."""
        self._waiting -= size
        self._room.set()

    async def wait_for_room(self) -> float:
        """Wait until little is waiting; return the seconds that took, which are not the sender's."""
        begun = trio.current_time()
        while self._paced and self._waiting > _WAITING_BYTES:
            self._room = trio.Event()
            await self._room.wait()
        return trio.current_time() - begun


class GuardedApp:
    """The application, with a guard on each body, and a refusal for a WebSocket that got this far.

    Args:
        body_seconds: deadline of a request's body, extended by what arrives.
        authenticated: called once the caller of a request is known.
    """

    def __init__(
        self, app: Asgi, stream: PeerStream, body_seconds: float, authenticated: Callable[[], None] = lambda: None
    ) -> None:
        self._app = app
        self._stream = stream
        self._body_seconds = body_seconds
        self._authenticated = authenticated

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run one request."""
        if scope["type"] == "websocket":
            await send(
                {"type": "websocket.http.response.start", "status": 503, "headers": [(b"retry-after", b"1")]}
            )
            await send({"type": "websocket.http.response.body", "body": b"upgrade on a connection of its own"})
            return
        after: list[Callable[[], None]] = []
        try:
            await self._run(scope, receive, send, after)
        finally:
            for call in after:
                call()

    async def _run(self, scope: Any, receive: Any, send: Any, after: list[Callable[[], None]]) -> None:
        """Run one request of HTTP; each of `after` is called once the answer is sent, or never will be."""
        flow = Flow()
        scope["relay"] = {
            "address": self._stream.address,
            "flow": flow,
            "after": after,
            "authenticated": self._authenticated,
        }
        if not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._stream, flow, self._body_seconds)

        async def send_and_settle(event: Any) -> None:
            ends = event["type"] == "http.response.body" and not event.get("more_body", False)
            if ends and not body.over:
                await send({**event, "more_body": True})
                await body.settle()
                event = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(event)

        await self._app(scope, body.receive, send_and_settle)


class _Body:
    """The body of one request.

    Args:
        receive: brings its next part.
        seconds: its deadline from now on, extended by what arrives.
    """

    def __init__(
        self, receive: Callable[[], Awaitable[Any]], stream: PeerStream, flow: Flow, seconds: float
    ) -> None:
        self._receive = receive
        self._stream = stream
        self._flow = flow
        self._deadline = trio.current_time() + seconds
        self._over = trio.Event()
        self._answered = False
        self._unwanted = 0

    @property
    def over(self) -> bool:
        """True once nothing more of it will come, or is waited for."""
        return self._over.is_set()

    async def receive(self) -> Any:
        """Return its next part; a peer that is too late is cut off."""
        if self.over:
            return await self._receive()
        self._deadline += await self._flow.wait_for_room()
        with trio.CancelScope(deadline=self._deadline) as scope:
            event = await self._receive()
            self._note(event)
            return event
        if scope.cancelled_caught:
            await self._stream.abort()
        self._over.set()
        return {"type": "http.disconnect"}

    def _note(self, event: Any) -> None:
        size = len(event.get("body", b""))
        self._flow.received(size)
        self._deadline += size / _BYTES_PER_SECOND
        self._unwanted += size if self._answered else 0
        more = event["type"] == "http.request" and event.get("more_body", False)
        if not more or self._unwanted > _DRAINED_BYTES:
            self._over.set()

    async def settle(self) -> None:
        """Drain the rest, once the request is answered; the application may be reading as well."""
        self._answered = True
        self._flow.let_go()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._drain)
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _drain(self) -> None:
        while not self.over:
            await self.receive()
