"""Client connections cheap enough to load a server from one process.

One epoll loop over raw sockets, frames made in advance, several frames a system call. A client here must
cost far less than the server's side of the same message, or the figures would be the client's. It is not a
client to learn from: `relay/client` is.
"""

import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import msgspec

from benchmarks.frames import CLOSE, PING, PONG, Decoded, Frame, MismatchError, Payload, decode, masked

CHUNK = 65536
SPIN = 0.0005  # seconds before a moment that are spent looking: a timer that sleeps wakes up to this late
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the answer to that key, RFC 6455 section 1.3


Handler = Callable[["Client", list[Frame], float], None]
Decoder = Callable[[bytes], Decoded]


class Loop:
    """The epoll loop: one turn reads every client that has something to read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: "Client") -> None:
        """Watch a connected client."""
        self._clients[client.fd] = client
        self._epoll.register(client.fd, select.EPOLLIN)

    def remove(self, client: "Client") -> None:
        """Stop watching a client."""
        del self._clients[client.fd]
        self._epoll.unregister(client.fd)

    def want_write(self, client: "Client", wanted: bool) -> None:
        """Choose whether a client is also told that its socket takes bytes again."""
        self._epoll.modify(client.fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def close(self) -> None:
        """Close every client at once."""
        for client in list(self._clients.values()):
            client.drop()
        self._epoll.close()

    def turn(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something to read, and read it."""
        # epoll's own timeout is in whole milliseconds; select's, upon the epoll, is fine enough to pace by.
        select.select([self._epoll], [], [], timeout)
        for fd, mask in self._epoll.poll(0, 1024):
            client = self._clients[fd]
            if mask & select.EPOLLOUT:
                client.flush()
            if mask & ~select.EPOLLOUT:
                client.readable()

    def run_to(self, moment: float) -> None:
        """Turn until the clock (`perf_counter`) shows `moment`, to a few microseconds."""
        while (left := moment - perf_counter()) > 0:
            self.turn(max(0.0, left - SPIN))

    def run_for(self, seconds: float) -> None:
        """Turn for so many seconds."""
        self.run_to(perf_counter() + seconds)

    def run_until(self, done: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Turn until `done`.

        Raises:
            MismatchError: that takes longer than `timeout` seconds; `what` names what was awaited.
        """
        deadline = perf_counter() + timeout
        while not done():
            if perf_counter() > deadline:
                raise MismatchError(f"no {what} within {timeout:g} s")
            self.turn(0.05)


class Client:
    """One connection, from the upgrade to its close."""

    def __init__(self, loop: Loop, user: str, token: str, client_id: str) -> None:
        self.user, self.client_id = user, client_id
        self._on_frames: Handler = ignore
        self.decode: Decoder = decode
        self.ready, self.synced = Payload(), Payload()
        self.replay: list[Frame] = []
        self.hello_at = self.synced_at = 0.0
        self.position = self.cursor = 0  # the last seq and message_id seen; kept by whoever checks them
        self.closed = False
        self._hello: dict[str, object] = {"event": "hello", "token": token}
        self._loop = loop
        self._closing = self._upgraded = False
        self._rest = self._unsent = b""
        self._receive: Handler = Client._greet

    def connect(self, port: int) -> None:
        """Connect over loopback and ask for the upgrade; the hello follows when it is granted."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self._loop.add(self)
        self.write(UPGRADE % port)

    def handle(self, handler: Handler) -> None:
        """Hand the frames that come after `synced` to `handler`."""
        self._on_frames = handler
        if self.synced_at:
            self._receive = handler

    def resume_from(self, cursor: int, epoch: str) -> None:
        """Send this position with the hello."""
        self._hello |= {"cursor": cursor, "epoch": epoch}

    def write(self, data: bytes) -> None:
        """Send bytes now, and what the socket does not take as soon as it does."""
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.want_write(self, True)

    def flush(self) -> None:
        """Send what an earlier `write` could not."""
        data, self._unsent = self._unsent, b""
        self._loop.want_write(self, False)
        self.write(data)

    def readable(self) -> None:
        """Read once, and hand the whole frames among it to the handler.

        Raises:
            MismatchError: the server refused the upgrade, or closed a connection nobody asked it to close.
        """
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except ConnectionError as error:
            return self._ended(str(error))
        now = perf_counter()
        if not data:
            return self._ended("end of the stream")
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            data = self._upgrade(data)
            if not self._upgraded:
                self._rest = data
                return
        frames, controls, used = self.decode(data)
        self._rest = data[used:]
        if frames:
            self._receive(self, frames, now)
        for opcode, payload in controls:
            self._control(opcode, payload)

    def close(self) -> None:
        """Begin a clean close; `closed` turns true once the server has ended the connection."""
        self._closing = True
        self.write(masked((1000).to_bytes(2, "big"), CLOSE))

    def drop(self) -> None:
        """Close the socket at once."""
        if not self.closed:
            self.closed = True
            self._loop.remove(self)
            self._socket.close()

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
            self._ended(f"close {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
        elif opcode != PONG:
            raise MismatchError(f"the server sent a frame that begins with {opcode:#x}")

    def _ended(self, how: str) -> None:
        if not self._closing:
            raise MismatchError(f"the server closed the connection of {self.user}: {how}")
        self.drop()


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
