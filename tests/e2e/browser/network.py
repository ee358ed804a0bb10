"""The network between a browser and the server: it can be slow, cut, stand still, and be there again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.e2e.server import free_port


class Network:
    """A TCP proxy on a port of its own.

    Attributes:
        delay: seconds that whatever passes takes longer.
        sockets: connections that are WebSockets, now.
    """

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self.upstream = upstream
        self.delay = 0.0
        self.sockets = 0
        self._scopes: set[trio.CancelScope] = set()
        self._whole = True
        self._flows = trio.Event()
        self._flows.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection, and let none begin."""
        self._whole = False
        for scope in self._scopes:
            scope.cancel()

    def hold(self) -> None:
        """Let nothing through, and tell nobody: the connections are half-open."""
        self._flows = trio.Event()

    def restore(self) -> None:
        """Let everything through again; what was held comes late."""
        self._whole = True
        self._flows.set()

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.serve_tcp(self._connection, self.port, host="127.0.0.1", task_status=task_status)

    async def _connection(self, stream: trio.SocketStream) -> None:
        try:
            if self._whole:
                await self._join(stream)
        except (OSError, trio.BrokenResourceError):
            pass  # the server is away, which is what the tests are about
        finally:
            await trio.aclose_forcefully(stream)

    async def _join(self, stream: trio.SocketStream) -> None:
        upstream = await trio.open_tcp_stream("127.0.0.1", self.upstream)
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                head = await stream.receive_some(65536)
                is_socket = b"/ws " in head.split(b"\r\n", 1)[0]
                self.sockets += is_socket
                try:
                    await self._flows.wait()
                    await upstream.send_all(head)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(partial(self._pump, stream, upstream, nursery))
                        nursery.start_soon(partial(self._pump, upstream, stream, nursery))
                finally:
                    self.sockets -= is_socket
            finally:
                self._scopes.discard(scope)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(upstream)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, nursery: trio.Nursery) -> None:
        try:
            while data := await source.receive_some(65536):
                await trio.sleep(self.delay)
                await self._flows.wait()
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one end is gone; so goes the other
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_network(upstream: int) -> AsyncIterator[Network]:
    """Run a network before the server on a port."""
    async with trio.open_nursery() as nursery:
        network = Network(upstream)
        await nursery.start(network.serve)
        yield network
        nursery.cancel_scope.cancel()
