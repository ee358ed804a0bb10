"""Relay's clients as the load has them: frames made in advance, several frames a system call.

It is not a client to learn from: `relay/client` is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import msgspec

from benchmarks.frames import CLOSE, PING, PONG, Decoded, Frame, MismatchError, Payload, decode, masked
from benchmarks.loop import Connection, Loop

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the answer to that key, RFC 6455 section 1.3


Handler = Callable[["Client", list[Frame], float], None]
Decoder = Callable[[bytes], Decoded]


class Client(Connection):
    """One connection to relay, from the upgrade to its close."""

    def __init__(self, loop: Loop, user: str, token: str, client_id: str) -> None:
        super().__init__(loop, user)
        self.client_id = client_id
        self._on_frames: Handler = ignore
        self.decode: Decoder = decode
        self.ready, self.synced = Payload(), Payload()
        self.replay: list[Frame] = []
        self.hello_at = self.synced_at = 0.0
        self.position = self.cursor = 0  # the last seq and message_id seen; kept by whoever checks them
        self._hello: dict[str, object] = {"event": "hello", "token": token}
        self._upgraded = False
        self._receive: Handler = Client._greet

    def connect(self, port: int) -> None:
        """Connect over loopback and ask for the upgrade; the hello follows when it is granted."""
        self.open(port)
        self.write(UPGRADE % port)

    def handle(self, handler: Handler) -> None:
        """Hand the frames that come after `synced` to `handler`."""
        self._on_frames = handler
        if self.synced_at:
            self._receive = handler

    def resume_from(self, cursor: int, epoch: str) -> None:
        """Send this position with the hello."""
        self._hello |= {"cursor": cursor, "epoch": epoch}

    def take(self, data: bytes, now: float) -> bytes:
        """Hand the whole frames to the handler, and return what is left.

        Raises:
            MismatchError: the server refused the upgrade, or sent what it must not.
        """
        if not self._upgraded:
            data = self._upgrade(data)
            if not self._upgraded:
                return data
        frames, controls, used = self.decode(data)
        if frames:
            self._receive(self, frames, now)
        for opcode, payload in controls:
            self._control(opcode, payload)
        return data[used:]

    def close(self) -> None:
        """Begin a clean close; `closed` turns true once the server has ended the connection."""
        self._closing = True
        self.write(masked((1000).to_bytes(2, "big"), CLOSE))

    def _upgrade(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return data
        if not head.startswith(b"HTTP/1.1 101 ") or ACCEPTED not in head:
            raise MismatchError(f"upgrade refused: {head[:200]!r}")
        self._upgraded = True
        hello = {"type": "connection_event", "payload": self._hello, "meta": {"client_id": self.client_id}}
        frame = masked(msgspec.json.encode(hello))
        self.hello_at = perf_counter()
        self.write(frame)
        return rest

    def _greet(self, frames: list[Frame], now: float) -> None:
        for index, frame in enumerate(frames):
            event = frame.payload.event if frame.type == "connection_event" else ""
            if event == "ready":
                self.ready = frame.payload
            elif event == "synced":
                self.synced, self.synced_at, self.cursor = frame.payload, now, frame.payload.cursor
                self._receive = self._on_frames
                self._receive(self, frames[index + 1 :], now)
                return
            elif frame.type == "error":
                raise MismatchError(f"hello of {self.user}: {frame.payload.code}: {frame.payload.message}")
            else:
                self.replay.append(frame)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.write(masked(payload, PONG))
        elif opcode == CLOSE:
            self.ended(f"close {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
        elif opcode != PONG:
            raise MismatchError(f"the server sent a frame that begins with {opcode:#x}")


def ignore(client: Client, frames: list[Frame], now: float) -> None:
    """Handle the frames of a client that only stays connected: an error is the one thing that matters.

    Raises:
        MismatchError: the server sent an error.
    """
    for frame in frames:
        if frame.type == "error":
            raise MismatchError(f"{client.user}: {frame.payload.code}: {frame.payload.message}")


def connect_all(loop: Loop, clients: Sequence[Client], port: int, at_once: int = 64) -> None:
    """Bring every client from the TCP connection to `synced`, at most `at_once` of them under way.

    Raises:
        MismatchError: one is refused, or none of those under way gets on for 30 seconds.
    """
    under_way: list[Client] = []

    def room_for(number: int) -> bool:
        under_way[:] = [client for client in under_way if not client.synced_at]
        return len(under_way) <= at_once - number

    for client in clients:
        loop.run_until(partial(room_for, 1), "synced")
        client.connect(port)
        under_way.append(client)
    loop.run_until(partial(room_for, at_once), "synced")
