"""A load balancer of the plainest kind: it passes each connection on to the next node that takes it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

from tests.e2e.wire import Address

CHUNK = 65_536


class Balancer:
    """The address that clients have, before nodes that come and go.

    Attributes:
        last: which node took the newest connection.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.last = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if (node := self._connect()) is None:
            client.close()
            return
        self._open |= {client, node}
        other_way = threading.Thread(target=_pass_on, args=(node, client), daemon=True)
        other_way.start()
        _pass_on(client, node)
        other_way.join()
        self._open -= {client, node}
        client.close()
        node.close()

    def _connect(self) -> socket.socket | None:
        for _ in self._addresses:
            try:
                return socket.create_connection(self._addresses[self.last], 1)
            except OSError:
                self.last = (self.last + 1) % len(self._addresses)
        return None

    @contextlib.contextmanager
    def running(self) -> Iterator[Balancer]:
        """Pass connections on in the block."""
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for one in list(self._open):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends, and tell the other side so."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
