"""Calling what users named: never a private network, whatever a name resolves to at that moment.

A name is resolved here, every address it has is checked, and the connection goes to an address that was checked;
so what the name says a moment later changes nothing. Redirects are not followed, proxies of the environment are
not used, answers are read to a bound, and every call has a deadline.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import NamedTuple

import httpx
import trio

from relay.http import seconds_to_wait, words_of

from .options import Options
from .places import Places, Refused

READ_BYTES = 65_536
PER_HOST = 8
IN_ALL = 256
"""So many calls at once; a host that hangs takes its own share only."""

LONGEST_PAUSE = 86_400.0


class Gone(Exception):
    """A target that is no more: it is removed."""


class Failed(Exception):
    """A target that did not take it; its text is for its owner.

    Attributes:
        retry_after: how long it asked for, seconds.
        final: the same again would fare no better, though something else may.
    """

    def __init__(self, text: str, retry_after: float | None = None, *, final: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.final = final


class Answer(NamedTuple):
    """What a call was answered; of the body, where it was wanted, the first 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def make_transport() -> httpx.AsyncBaseTransport:
    """Return what carries the calls; tests put another in this function's place."""
    # No connection is kept: another name at the same address must not come by it.
    return httpx.AsyncHTTPTransport(verify=trusted(), limits=httpx.Limits(max_keepalive_connections=0))


@cache
def trusted() -> ssl.SSLContext:
    """Return what certificates are checked by; reading the machine's takes tens of milliseconds."""
    return ssl.create_default_context()


class Outward:
    """The way out to places that users named.

    Args:
        now: Unix seconds.
    """

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        self._places = Places(options)
        self._seconds = options.timeout_seconds
        self._now = now
        self._client = httpx.AsyncClient(
            transport=make_transport(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._seconds, connect=self._seconds / 2),  # time for a second address
        )
        self._in_all = trio.CapacityLimiter(IN_ALL)
        self._per_host: dict[str, trio.CapacityLimiter] = {}

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes = b"", read: bool = False
    ) -> Answer:
        """Make a call and return its answer, of status 2xx.

        Args:
            read: whether the answer's body is wanted.

        Raises:
            Gone: it answered 404 or 410.
            Failed: it could not be reached, took too long, or answered something else.
        """
        try:
            asked = _Asked(method, self._places.check_url(url), headers, content, read)
            async with self._place_for(asked.url.host), self._in_all:
                with trio.fail_after(self._seconds):
                    answer = await self._reach(asked)
        except trio.TooSlowError:
            raise Failed(f"no answer within {self._seconds:g} s") from None
        except Refused as refused:
            raise Failed(str(refused)) from None
        return _checked(answer, asked.url.host, self._now())

    @asynccontextmanager
    async def _place_for(self, host: str) -> AsyncIterator[None]:
        """Wait for one of a host's places; its counter is forgotten when nobody needs it."""
        limiter = self._per_host.setdefault(host, trio.CapacityLimiter(PER_HOST))
        try:
            async with limiter:
                yield
        finally:
            if not limiter.borrowed_tokens and not limiter.statistics().tasks_waiting:
                self._per_host.pop(host, None)

    async def _reach(self, asked: _Asked) -> Answer:
        """Try a host's addresses one after the other, and call the first that can be reached."""
        host, problem = asked.url.host, None
        for address in await self._addresses(asked.url):
            try:
                return await self._ask(asked, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = error
            except (httpx.HTTPError, OSError) as error:
                raise Failed(f"{host!r}: {words_of(error)}") from None
        raise Failed(f"{host!r} cannot be reached: {words_of(problem)}")

    async def _addresses(self, url: httpx.URL) -> Sequence[str]:
        """Resolve a URL's host; one address that may not be called spoils them all."""
        try:
            found = await trio.socket.getaddrinfo(url.host, None, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Failed(f"there is no host {url.host!r}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        for address in addresses:
            self._places.check_address(ipaddress.ip_address(address), url)
        return addresses

    async def _ask(self, asked: _Asked, address: str) -> Answer:
        """Send the request to an address; the certificate is checked against the name all the same."""
        own = {"Host": asked.url.netloc.decode("ascii"), "Accept-Encoding": "identity", "User-Agent": "relay"}
        request = self._client.build_request(
            asked.method,
            asked.url.copy_with(host=address),
            headers={**asked.headers, **own},
            content=asked.content,
            extensions={"sni_hostname": asked.url.raw_host.decode("ascii")},
        )
        response = await self._client.send(request, stream=True)
        try:
            return Answer(response.status_code, response.headers, await _body(response) if asked.read else b"")
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()


class _Asked(NamedTuple):
    """A call, checked as far as that can be done without its host's address."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    content: bytes
    read: bool


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) >= READ_BYTES:
            break
    return body[:READ_BYTES]


def _checked(answer: Answer, host: str, now: float) -> Answer:
    if 200 <= answer.status < 300:
        return answer
    text = f"{host!r} answered {answer.status}"
    if answer.status in (404, 410):
        raise Gone(text)
    final = answer.status in (400, 413, 422)
    pause = seconds_to_wait(answer.headers.get("retry-after"), now)
    raise Failed(text, None if pause is None else min(pause, LONGEST_PAUSE), final=final)
