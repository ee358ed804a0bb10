"""An event loop and connections cheap enough to load a server from one process.

One epoll loop over raw sockets. A connection here must cost far less than the server's side of the same message,
or the figures would be the load's.
"""

import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter

from benchmarks.frames import MismatchError

CHUNK = 65536
SPIN = 0.0005  # seconds before a moment that are spent looking: a timer that sleeps wakes up to this late


class Loop:
    """The epoll loop: one turn reads every connection that has something to read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: "Connection") -> None:
        """Watch a connection."""
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)

    def remove(self, connection: "Connection") -> None:
        """Stop watching a connection."""
        del self._connections[connection.fd]
        self._epoll.unregister(connection.fd)

    def want_write(self, connection: "Connection", wanted: bool) -> None:
        """Choose whether a connection is also told that its socket takes bytes again."""
        self._epoll.modify(connection.fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def close(self) -> None:
        """Close every connection at once."""
        for connection in list(self._connections.values()):
            connection.drop()
        self._epoll.close()

    def turn(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for something to read, and read it."""
        # epoll's own timeout is in whole milliseconds; select's, upon the epoll, is fine enough to pace by.
        select.select([self._epoll], [], [], timeout)
        for fd, mask in self._epoll.poll(0, 1024):
            connection = self._connections[fd]
            if mask & select.EPOLLOUT:
                connection.flush()
            if mask & ~select.EPOLLOUT:
                connection.readable()

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


class Connection(ABC):
    """One TCP connection: what is written, what is read, and how it ends. What the bytes mean, `take` knows.

    Args:
        user: whose it is, for what is said of it.
    """

    def __init__(self, loop: Loop, user: str) -> None:
        self.user = user
        self.closed = False
        self._loop = loop
        self._closing = False
        self._rest = self._unsent = b""

    def open(self, port: int) -> None:
        """Connect over loopback."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self._loop.add(self)

    @abstractmethod
    def take(self, data: bytes, now: float) -> bytes:
        """Take what has come, with what was left of it before, and return what is not whole yet."""

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
        """Read once, and take it.

        Raises:
            MismatchError: the server closed a connection nobody asked it to close.
        """
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except ConnectionError as error:
            return self.ended(str(error))
        now = perf_counter()
        if not data:
            return self.ended("end of the stream")
        self._rest = self.take(self._rest + data if self._rest else data, now)

    def drop(self) -> None:
        """Close the socket at once."""
        if not self.closed:
            self.closed = True
            self._loop.remove(self)
            self._socket.close()

    def ended(self, how: str) -> None:
        """Take the end of the stream.

        Raises:
            MismatchError: nobody asked for it.
        """
        if not self._closing:
            raise MismatchError(f"the server closed the connection of {self.user}: {how}")
        self.drop()
