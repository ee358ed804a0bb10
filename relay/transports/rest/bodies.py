"""Requests' bodies: each comes in under a deadline, and one that nobody wants any more is still let in to its end.

A refusal is often answered before the body is there. HTTP/1.1 has no way to leave a body out: either the rest of
it is read, and the connection goes on, or the connection ends, and a peer that is still sending may lose the
answer with it. So the rest is read where it is small.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from relay.transports.peer import PeerStream
from relay.transports.rest.flow import Flow

_BYTES_PER_SECOND: Final = 8192
"""The slowest body that is waited for, beyond the body deadline."""

_REST_BYTES: Final = 262_144
"""How much of a body is read that nobody wants; with more of it to come the connection ends."""

Asgi = Callable[..., Awaitable[None]]


class GuardedApp:
    """The application, with a guard on each body, and a refusal for a WebSocket that got this far.

    Args:
        body_seconds: deadline of a request's body, extended by what arrives.
        know: told once it is known whose request this is.
    """

    def __init__(
        self, app: Asgi, stream: PeerStream, body_seconds: float, know: Callable[[], None] = lambda: None
    ) -> None:
        self._app = app
        self._stream = stream
        self._body_seconds = body_seconds
        self._know = know

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
        """Run one request of HTTP; `after` is what is to be called once its answer is sent, or never will be."""
        flow = Flow()
        scope["relay"] = {"address": self._stream.address, "flow": flow, "after": after, "know": self._know}
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
        """Whether nothing of it is to come any more, or waited for."""
        return self._over.is_set()

    async def receive(self) -> Any:
        """Return its next part; the peer is cut off where that is too late."""
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
        if not more or self._unwanted > _REST_BYTES:
            self._over.set()

    async def settle(self) -> None:
        """Let the rest in, once the request is answered; the application may be reading as well."""
        self._answered = True
        self._flow.let_go()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._drain)
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _drain(self) -> None:
        while not self.over:
            await self.receive()
