"""The one module that names httpcore: posting a body to a URL, once, and reading a little of the answer.

httpcore and not httpx, because its pool takes a network of one's own: so the address that was checked is the one
that is connected to, whatever a name server says a moment later. It follows no redirects and knows no proxies.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore
import trio

from relay.http import is_public, words_of
from relay.plugin import ErrorCode, RelayError

MAX_URL = 2000
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError)
_IDLE_SECONDS = 2.0
"""Shorter than any server keeps an idle connection, so that none is used that is just being closed."""


class PostFailed(Exception):
    """No answer came; the text says why."""


class Answer(NamedTuple):
    """What a receiver answered.

    Attributes:
        body: its beginning.
        retry_after: what it says of when to try again; empty where it says nothing.
    """

    status: int
    body: bytes
    media_type: str
    retry_after: str


def check_url(url: str) -> str:
    """Return a URL that can be posted to.

    Raises:
        RelayError: `invalid_payload`, saying what would be right.
    """
    problem = _problem(url)
    if problem:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{url[:200]!r}: {problem}")
    return url


def _problem(url: str) -> str | None:
    if len(url) > MAX_URL:
        return f"a URL has {MAX_URL} characters at most"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "a URL is printable ASCII; write other characters as %-escapes, and a host's name in punycode"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "a URL begins with http://HOST or https://HOST"
    if parts.username is not None or parts.password is not None:
        return "put no user and password into it: deliveries are signed"
    return "leave out the part from the # on" if parts.fragment else None


class _PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a name, and connect to the first of its addresses that is public and answers."""
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host}: {error.strerror or error}") from error
        addresses = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        public = [address for address in addresses if is_public(ipaddress.ip_address(address))]
        failed: Exception = httpcore.ConnectError(
            f"{host} is in a private network, and [plugins.webhooks] allow_private is false"
        )
        for address in public:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failed = error
        raise failed


class Poster:
    """Posts to receivers, over connections that are shared; an asynchronous context manager.

    Args:
        at_once: the most connections.
        seconds: the deadline of one post, from looking up the name to the answer; what comes after is not read.
        answer_bytes: how much of an answer is read.
    """

    def __init__(self, *, at_once: int, seconds: float, answer_bytes: int, allow_private: bool) -> None:
        network: httpcore.AsyncNetworkBackend = httpcore.TrioBackend()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=at_once,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=network if allow_private else _PublicNetwork(network),
        )
        self._seconds = seconds
        self._answer_bytes = answer_bytes

    async def __aenter__(self) -> "Poster":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await self._pool.aclose()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post a body once and return the answer, whatever it is.

        Raises:
            PostFailed: there was none.
        """
        deadline = trio.current_time() + self._seconds
        try:
            with trio.CancelScope(deadline=deadline) as waiting:
                async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as response:
                    waiting.deadline = float("inf")  # it is answered: what follows is only shown
                    return await self._read(response, deadline)
        except (*_BROKEN, httpcore.UnsupportedProtocol, OSError) as error:
            raise PostFailed(f"{type(error).__name__}: {words_of(error)}") from error
        raise PostFailed(f"no answer within {self._seconds:g} s")

    async def _read(self, response: httpcore.Response, deadline: float) -> Answer:
        """Return an answer, with as much of its body as comes until the deadline and is to be read."""
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        read = bytearray()
        # Left by a cancellation, as a break would leave httpcore's own generators open below.
        with suppress(*_BROKEN), trio.CancelScope(deadline=deadline) as enough:
            async for chunk in response.aiter_stream():
                read += chunk[: self._answer_bytes - len(read)]
                if len(read) >= self._answer_bytes:
                    enough.cancel()
        media_type = told.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(response.status, bytes(read), media_type, told.get("retry-after", ""))
