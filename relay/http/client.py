"""An HTTP client for calls to other servers: checked addresses, no redirects, bounded answers, a deadline.

httpcore, and not httpx above it, because its pool takes a network of one's own: a name is resolved here, its
addresses are checked, and the connection goes to one that was checked, whatever a name server says a moment later.
The certificate is checked against the name. Proxies of the environment are not used.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Final, NamedTuple

import httpcore
import trio

from relay.http.addresses import AddressPolicy, Url, display_host, read_url

_BROKEN: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)
_LONGEST_WORDS: Final = 300
_DEFAULT_HEADERS: Final = {"user-agent": "relay", "accept-encoding": "identity"}  # nothing is unpacked here


class CallFailed(Exception):
    """A call that got no answer: the connection broke. Its text names the host and says why.

    Attributes:
        words: the cause alone, without the host.
    """

    def __init__(self, text: str, words: str | None = None) -> None:
        super().__init__(text)
        self.words = words or text


class UnknownHost(CallFailed):
    """The host's name leads to no address."""


class AddressRefused(CallFailed):
    """The host has an address that the client's policy does not let it call."""


class Unreachable(CallFailed):
    """No address of the host could be connected to, or its certificate is not the host's."""


class TimedOut(CallFailed):
    """No answer came before the deadline."""


class HttpAnswer(NamedTuple):
    """An answer, whatever its status.

    Attributes:
        headers: by their names in lower case; of one sent twice the last.
        body: what was read of it.
        cut: why `body` is not the whole of it, in words; None where it is, or was not to be read.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    cut: str | None = None

    def retry_after(self, now: float) -> float | None:
        """Return the seconds that its `Retry-After` asks for; see `seconds_to_wait`."""
        return seconds_to_wait(self.headers.get("retry-after"), now)


class HttpClient:
    """Calls other servers; an asynchronous context manager.

    Args:
        seconds: the deadline of one call, from looking up the name to the answer; a body that is still on its way
            then is cut.
        answer_bytes: how much of an answer's body is read.
        policy: the addresses that may be called; None for all. A name with one that may not is not called at all,
            so that what happens does not depend on the order in which a name server lists them.
        at_once: the most calls at once. Others wait, and their time has not begun yet.
        at_once_per_host: the same for one host, so that one that hangs takes its own share only.
        idle_seconds: how long a connection is kept for another call to the same host. Addresses are checked when a
            connection is made, so with 0 at each call.
    """

    def __init__(
        self,
        *,
        seconds: float,
        answer_bytes: int,
        policy: AddressPolicy | None = None,
        at_once: int = 100,
        at_once_per_host: int | None = None,
        idle_seconds: float = 0.0,
    ) -> None:
        self._seconds = seconds
        self._answer_bytes = answer_bytes
        self._policy = policy
        self._idle_seconds = idle_seconds
        self._at_once = trio.CapacityLimiter(at_once)
        self._per_host = at_once if at_once_per_host is None else at_once_per_host
        self._hosts: dict[str, trio.CapacityLimiter] = {}
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            for pool in self._pools.values():
                await pool.aclose()

    async def call(
        self,
        method: str,
        url: str | Url,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        read: bool = True,
    ) -> HttpAnswer:
        """Make one call and return its answer, whatever its status; a redirect is an answer like any other.

        Args:
            read: whether the answer's body is wanted.

        Raises:
            CallFailed: there was no answer; see its subclasses.
            ValueError: the URL is none.
        """
        url = read_url(url) if isinstance(url, str) else url
        named = {name.lower(): value for name, value in (headers or {}).items()}
        sent = {"host": url.authority, **_DEFAULT_HEADERS, **named, "content-length": str(len(content))}
        if url.credentials is not None:
            sent.setdefault("authorization", f"Basic {b64encode(url.credentials.encode()).decode()}")
        asked = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        async with self._place_for(url.host), self._at_once:
            deadline = trio.current_time() + self._seconds
            with _failures_of(url.display_host), trio.CancelScope(deadline=deadline) as waiting:
                pool, fields = self._pool(url.scheme), [*sent.items()]
                async with pool.stream(method, asked, headers=fields, content=_Body(content)) as response:
                    waiting.deadline = float("inf")  # it is answered; from now on the deadline only cuts the body
                    return await self._answer(response, deadline, read)
        raise TimedOut(f"no answer within {self._seconds:g} s")

    async def _answer(self, response: httpcore.Response, deadline: float, read: bool) -> HttpAnswer:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if not read:
            return HttpAnswer(response.status, headers)
        body, cut = bytearray(), f"the answer did not end within {self._seconds:g} s"
        # Left by a cancellation: a `break` would leave the generators of httpcore open.
        with trio.CancelScope(deadline=deadline) as reading:
            try:
                async for part in response.aiter_stream():
                    body += part
                    if len(body) > self._answer_bytes:
                        cut = f"the answer has more than {self._answer_bytes:,} bytes"
                        reading.cancel()
                if len(body) <= self._answer_bytes:
                    return HttpAnswer(response.status, headers, bytes(body))
            except _BROKEN as error:
                cut = f"the answer broke off: {words_of(error)}"
        return HttpAnswer(response.status, headers, bytes(body[: self._answer_bytes]), cut)

    @asynccontextmanager
    async def _place_for(self, host: str) -> AsyncIterator[None]:
        """Wait for one of a host's places; its counter is forgotten when nobody needs it."""
        limiter = self._hosts.setdefault(host, trio.CapacityLimiter(self._per_host))
        try:
            async with limiter:
                yield
        finally:
            if not limiter.borrowed_tokens and not limiter.statistics().tasks_waiting:
                self._hosts.pop(host, None)

    def _pool(self, scheme: str) -> httpcore.AsyncConnectionPool:
        """Return the connections of a scheme: one policy may treat http:// and https:// differently."""
        pool = self._pools.get(scheme)
        if pool is None:
            network: httpcore.AsyncNetworkBackend = httpcore.TrioBackend()
            if self._policy is not None:
                network = _CheckedNetwork(network, self._policy, scheme, self._seconds / 2)
            pool = self._pools[scheme] = httpcore.AsyncConnectionPool(
                ssl_context=certificates() if scheme == "https" else None,
                max_connections=int(self._at_once.total_tokens),
                max_keepalive_connections=None if self._idle_seconds else 0,
                keepalive_expiry=self._idle_seconds,
                network_backend=network,
            )
        return pool


class _Body:
    """The bytes of a request, to be sent once.

    httpcore's own is an async generator, which a call that is cancelled while it sends would leave open.
    """

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked.

    Args:
        seconds: how long one address is tried while there is another one to try.
    """

    def __init__(
        self, network: httpcore.AsyncNetworkBackend, policy: AddressPolicy, scheme: str, seconds: float
    ) -> None:
        self._network = network
        self._policy = policy
        self._scheme = scheme
        self._seconds = seconds

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that can be reached."""
        *others, last = await self._resolve(host)
        for address in others:
            try:
                return await self._network.connect_tcp(address, port, self._seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)

    async def _resolve(self, host: str) -> Sequence[str]:
        """Return a host's addresses; there is one at least, and all of them may be called.

        Raises:
            UnknownHost, AddressRefused
        """
        shown = display_host(host)
        try:
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            words = getattr(error, "strerror", None) or words_of(error)
            raise UnknownHost(f"there is no host {shown!r}", words) from error
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        for address in addresses:
            refusal = self._policy.refusal(self._scheme, shown, ipaddress.ip_address(address))
            if refusal is not None:
                raise AddressRefused(refusal)
        return addresses


@contextmanager
def _failures_of(host: str) -> Iterator[None]:
    """Say in words why a call to a host failed."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        words = words_of(error)
        raise Unreachable(f"{host!r} cannot be reached: {words}", words) from error
    except _BROKEN as error:
        words = words_of(error)
        raise CallFailed(f"{host!r}: {words}", words) from error


@cache
def certificates() -> ssl.SSLContext:
    """Return how certificates are checked: by the machine's own authorities, whose reading takes milliseconds."""
    return ssl.create_default_context()


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After asks for, in either of its forms (RFC 9110 section 10.2.3).

    Args:
        now: Unix seconds.

    Returns:
        None where it asks for nothing that can be read; never less than 0.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def words_of(error: BaseException) -> str:
    """Return what an error says, or the error behind it: those of HTTP libraries are often silent."""
    cause: BaseException | None = error
    while cause is not None:
        if str(cause):
            return str(cause)[:_LONGEST_WORDS]
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
