"""A network in memory below `HttpClient`: names, addresses, and servers that answer as a test tells them.

It stands in for httpcore's network and for trio's resolver; what is between them and a test is the real client.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import h11
import httpcore
import trio


class Asked(NamedTuple):
    """A request as it arrived.

    Attributes:
        address: that was connected to.
        certified: the name that the certificate was checked against; None without TLS.
    """

    address: str
    certified: str | None
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer; its body may be made piece by piece."""

    status: int = 200
    body: bytes | AsyncGenerator[bytes, None] = b""
    headers: Mapping[str, str] = {}


Serve = Callable[[Asked], Awaitable[Reply]]


async def accept(_asked: Asked) -> Reply:
    return Reply()


class Network(httpcore.AsyncNetworkBackend, trio.abc.HostnameResolver):
    """Names by their addresses, and what answers at all of them.

    Attributes:
        addresses: by host; changed by tests that let a name lead elsewhere.
        dead: addresses that cannot be connected to, with how long it takes to find that out, seconds.
        connected: every address that a connection was tried to.
        asked: every request.
    """

    def __init__(self, serve: Serve = accept, **addresses: list[str]) -> None:
        self.serve = serve
        self.addresses = {name.replace("_", "."): found for name, found in addresses.items()}
        self.dead: dict[str, float] = {}
        self.resolved: list[str] = []
        self.connected: list[str] = []
        self.asked: list[Asked] = []

    async def getaddrinfo(self, host: Any, port: Any, *_more: Any, **_named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        self.resolved.append(name)
        await trio.lowlevel.checkpoint()
        if name not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in self.addresses[name]
        ]

    async def getnameinfo(self, *_arguments: Any) -> Any:
        raise NotImplementedError

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        *_more: Any,
        **_named: Any,
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        self.connected.append(host)
        if host in self.dead:
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await trio.sleep(self.dead[host])
                raise httpcore.ConnectError("no route")
            raise httpcore.ConnectTimeout
        return _Stream(self, host)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection: what is written is parsed as requests, what is read is the answers to them."""

    def __init__(self, network: Network, address: str) -> None:
        self._network = network
        self._address = address
        self._certified: str | None = None
        self._server = h11.Connection(h11.SERVER)
        self._answers = self._serve()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        assert (ssl_context.verify_mode, ssl_context.check_hostname) == (ssl.CERT_REQUIRED, True)
        self._certified = server_hostname
        return self

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        if buffer:
            self._server.receive_data(buffer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        await trio.lowlevel.checkpoint()
        part = await anext(self._answers, b"")
        assert len(part) <= max_bytes
        return part

    async def aclose(self) -> None:
        await self._answers.aclose()

    async def _serve(self) -> AsyncGenerator[bytes, None]:
        while True:
            reply = await self._network.serve(self._read_request())
            headers = [*reply.headers.items()]
            if isinstance(reply.body, bytes):
                headers.append(("content-length", str(len(reply.body))))
            head = self._send(h11.Response(status_code=reply.status, headers=headers))
            if isinstance(reply.body, bytes):
                yield head + self._send(h11.Data(data=reply.body)) + self._send(h11.EndOfMessage())
            else:
                yield head
                async with aclosing(reply.body) as parts:
                    async for part in parts:
                        yield self._send(h11.Data(data=part))
                yield self._send(h11.EndOfMessage())
            self._server.start_next_cycle()

    def _send(self, event: Any) -> bytes:
        return self._server.send(event) or b""

    def _read_request(self) -> Asked:
        request, body = self._server.next_event(), b""
        assert isinstance(request, h11.Request)
        while not isinstance(event := self._server.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            body += event.data
        headers = {name.decode(): value.decode() for name, value in request.headers}
        method, target = request.method.decode(), request.target.decode()
        asked = Asked(self._address, self._certified, method, target, headers, body)
        self._network.asked.append(asked)
        return asked
