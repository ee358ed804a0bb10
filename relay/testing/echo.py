"""An echo server on relay's own front door and WebSocket transport, for suites that test RFC 6455.

    python -m relay.testing.echo --port 9001

What it says of a frame, relay says: the same code reads, judges, answers and writes it. Only the session is
another one: it sends every message back, text and binary, and asks for no hello. Its limits leave room for what
such suites send: messages of up to 16 MiB, in any number of fragments and connections.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from relay.engine.engine import Engine
from relay.engine.opening import open_engine
from relay.protocol.framing import text_frame
from relay.protocol.outbox import Outbox
from relay.protocol.session import State
from relay.services.heartbeat import HeartbeatSupervisor
from relay.settings import Settings
from relay.testing.world import settings_for
from relay.transports.accepting import accept
from relay.transports.front_door import FrontDoor
from relay.transports.greeting import Greeting
from relay.transports.head import BadHead, Head
from relay.transports.listening import CannotListen, open_listeners
from relay.transports.peer import PeerStream
from relay.transports.websocket import WebSocket

VERSION: Final = "relay/echo"
_BINARY: Final = 0x82
"""The first byte of a whole binary frame, which relay's own protocol does not have."""

_LIMITS: Final = {
    "RELAY_LIMITS__FRAME_BYTES": str(16 << 20),
    "RELAY_LIMITS__SMALL_FRAMES_PER_SECOND": "0",
    "RELAY_LIMITS__STRANGERS_PER_ADDRESS": "0",
    "RELAY_LIMITS__CONNECTIONS_PER_ADDRESS": "0",
}


class EchoSession:
    """Sends back what a peer sends, over one WebSocket; see `relay.transports.session.Session` for a client's."""

    def __init__(
        self,
        engine: Engine,
        _heartbeat: HeartbeatSupervisor,
        peer: PeerStream,
        nursery: trio.Nursery,
        _greeting: Greeting,
    ) -> None:
        limits = engine.settings.limits
        self.state = State.LIVE
        self.socket = WebSocket(
            peer,
            nursery,
            Outbox(limits.queue_bytes, limits.queue_messages),
            self,
            max_bytes=limits.frame_bytes,
            small_per_second=limits.small_frames_per_second,
            close_seconds=engine.settings.timeouts.close_seconds,
            on_binary=self.on_binary,
        )

    async def run(self) -> None:
        """Serve the peer until the connection is over."""
        await self.socket.run()

    async def on_text(self, text: str) -> None:
        """Send a text back."""
        await self._send(text_frame(text.encode()))

    async def on_binary(self, data: bytes) -> None:
        """Send bytes back."""
        await self._send(bytes([_BINARY]) + text_frame(data)[1:])

    async def _send(self, frame: bytes) -> None:
        """Send, and read on once the kernel has it; the reader finds out by itself that a connection is over."""
        with suppress(trio.BrokenResourceError):
            await self.socket.send(frame)

    def on_end(self) -> None:
        """Leave: the end of the connection is decided."""
        self.state = State.CLOSED


async def _no_http(_peer: PeerStream) -> Head | None:
    raise BadHead(404, "this server echoes WebSocket messages at /ws, and serves no HTTP")


async def serve(settings: Settings) -> None:
    """Echo until cancelled.

    Raises:
        CannotListen: the port cannot be had.
    """
    listeners = await open_listeners(settings)
    async with open_engine(settings, background=False) as engine, trio.open_nursery() as nursery:
        heartbeat = HeartbeatSupervisor(engine.settings.heartbeat.interval_seconds, engine.tally.lags.add)
        door = FrontDoor(engine, heartbeat, _no_http, VERSION, make_session=EchoSession)
        for listener in listeners:
            nursery.start_soon(accept, listener, door.serve, nursery, door.log)
        host, port = listeners[0].socket.getsockname()[:2]
        print(f"echoes at ws://{host}:{port}/ws", flush=True)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m relay.testing.echo", description="Echo WebSocket messages at ws://127.0.0.1:PORT/ws."
    )
    parser.add_argument("--port", type=int, default=9001, help="0 takes a free one; 9001 without it")
    port = parser.parse_args().port
    with TemporaryDirectory(prefix="relay-echo-") as folder:
        settings = settings_for(Path(folder), relay_server__port=str(port), **_LIMITS)
        try:
            with suppress(KeyboardInterrupt):
                trio.run(partial(serve, settings))
        except CannotListen as error:
            raise SystemExit(f"echo: {error}") from None


if __name__ == "__main__":
    main()
