"""HTTP on the load's own loop: calls that are made when they are due, however many have no answer yet."""

from collections.abc import Callable

from benchmarks.frames import MismatchError
from benchmarks.loop import Connection, Loop

Answered = Callable[[float], None]


class WebConnection(Connection):
    """One connection that is kept alive, with at most one call on it."""

    def __init__(self, loop: Loop, user: str) -> None:
        super().__init__(loop, user)
        self._closing = True  # between two calls the server may end it
        self._answered: Answered | None = None

    @property
    def free(self) -> bool:
        """Tell whether a call can be made on it."""
        return self._answered is None and not self.closed

    def get(self, path: str, token: str, answered: Answered) -> None:
        """Ask for a path; `answered` is called with the moment of the whole answer."""
        self._answered, self._closing = answered, False
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        self.write(head.encode())

    def take(self, data: bytes, now: float) -> bytes:
        """Take an answer once it is whole.

        Raises:
            MismatchError: it is not a success, or says nothing of its length.
        """
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            return data
        status, *fields = head.lower().split(b"\r\n")
        lengths = [field.partition(b":")[2] for field in fields if field.startswith(b"content-length:")]
        if b" 200 " not in status + b" " or not lengths or self._answered is None:
            raise MismatchError(f"a call of {self.user} was answered {data[:300]!r}")
        if len(body) < int(lengths[0]):
            return data
        answered, self._answered, self._closing = self._answered, None, True
        answered(now)
        return b""


class Web:
    """Connections to one server: one more where all have a call on them, so that no call waits for another."""

    def __init__(self, loop: Loop, port: int) -> None:
        self._loop, self._port = loop, port
        self._connections: list[WebConnection] = []

    def get(self, path: str, user: str, token: str, answered: Answered) -> None:
        """Ask for a path as a user; `answered` is called with the moment of the whole answer."""
        self._connections = [one for one in self._connections if not one.closed]
        connection = next((one for one in self._connections if one.free), None)
        if connection is None:
            connection = WebConnection(self._loop, user)
            connection.open(self._port)
            self._connections.append(connection)
        connection.user = user
        connection.get(path, token, answered)
