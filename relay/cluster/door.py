"""The doors of a node: accepted connections wait for whoever serves them, and a follower passes them on.

A client that connects while nobody leads is not refused: it waits for some seconds, and is served by the next
leader, at whichever node that is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
import trio

from relay.settings import Settings
from relay.transports.head import BadHead, Head
from relay.transports.lobby import Guest
from relay.transports.peer import PeerStream
from relay.transports.reception import Reception
from relay.transports.tls import Certificate

HOLD_SECONDS: Final = 15.0
"""How long a connection waits for a leader; programs give up a connection after some twenty seconds."""

_HELD: Final = 4096
"""The most connections that wait at once."""

_NO_LEADER: Final = "the cluster has no leader at the moment"

Serve = Callable[[trio.SocketStream], Awaitable[object]]


class PassesOn(Protocol):
    """A way to the leader."""

    async def serve(self, stream: PeerStream) -> None:
        """Pass a client's stream on in both directions until it is over."""


class Entrance:
    """Hands accepted connections to the role that the node has; while it changes they wait."""

    def __init__(self) -> None:
        self._serve: Serve | None = None
        self._nursery: trio.Nursery | None = None
        self._opened = trio.Event()
        self._held = 0

    def open(self, serve: Serve, nursery: trio.Nursery) -> None:
        """Have all connections served by `serve`, by tasks in `nursery`, those that wait as well."""
        self._serve, self._nursery = serve, nursery
        self._opened.set()

    def close(self) -> None:
        """Let connections wait from now on."""
        self._serve = self._nursery = None
        self._opened = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Hand a connection over; cut one that waited for too long."""
        if self._serve is None and self._held < _HELD:
            self._held += 1
            try:
                with trio.move_on_after(HOLD_SECONDS):
                    await self._opened.wait()
            except trio.Cancelled:
                await trio.aclose_forcefully(stream)
                raise
            finally:
                self._held -= 1
        if self._serve is None or self._nursery is None:
            await trio.aclose_forcefully(stream)
        else:
            self._nursery.start_soon(self._serve, stream)


class FollowersDoor(Reception):
    """Passes all connections on to the leader, but for questions about this node itself.

    Args:
        condition: returns whether this node does its work, and what it says of that.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        certificate: Certificate | None,
        room: int,
        condition: Callable[[], tuple[bool, dict[str, object]]],
    ) -> None:
        super().__init__(settings, lambda: False, certificate, room)
        self._condition = condition
        self._way: PassesOn | None = None
        self._has_way = trio.Event()

    def take(self, way: PassesOn | None) -> None:
        """Pass connections on by another way from now on; with None they wait for one."""
        self._way = way
        if way is None:
            self._has_way = trio.Event()
        else:
            self._has_way.set()

    @property
    def has_way(self) -> bool:
        """Whether clients get through to a leader."""
        return self._way is not None

    async def _route(self, peer: PeerStream, head: Head, guest: Guest) -> Head | None:
        if head.method in ("GET", "HEAD") and head.path in ("/healthz", "/readyz"):
            await peer.send_all(self._answer(head))
            return None
        guest.begin_waiting()
        with trio.move_on_after(HOLD_SECONDS):
            await self._has_way.wait()
        if self._way is None:
            raise BadHead(503, _NO_LEADER, "Retry-After: 1")
        self._lobby.known(guest)  # the leader has a lobby of its own
        peer.unread(head.raw + head.rest)
        head.forget()
        await self._way.serve(peer)
        return None

    def _answer(self, head: Head) -> bytes:
        """Return the response about this node: whether the process lives, or does its work."""
        good, told = (True, {"status": "ok"}) if head.path == "/healthz" else self._condition()
        body = msgspec.json.encode(told)
        status = "200 OK" if good else "503 Service Unavailable\r\nRetry-After: 1"
        kind = "application/json" if good else "application/problem+json"
        lines = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close"
        return f"{lines}\r\n\r\n".encode() + (b"" if head.method == "HEAD" else body)
