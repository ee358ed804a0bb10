"""One HTTP/1.1 request to a server, byte by byte: what libraries hide is what `relay doctor` looks for.

Plain blocking calls, each under a deadline. No proxy of the environment is used.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from relay.protocol.errors import said
from relay.transports.urls import in_url

ANSWER_SECONDS: Final = 10.0
_MOST_BODY: Final = 65_536
_MOST_HEAD: Final = 65_536
_CHUNK: Final = 65_536
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_GONE: Final = "the connection was closed without an answer"


class Unreachable(Exception):
    """No answer came; the text says why, as far as that is known."""


class TooSlow(Unreachable):
    """No answer came in time."""


class BadCertificate(Unreachable):
    """The server's certificate is not one that clients accept."""


class Address(NamedTuple):
    """The public address of a server; `prefix` is a path that a proxy takes off."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def host_header(self) -> str:
        """The `Host` that browsers send."""
        host = in_url(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The `Origin` of the page there."""
        return f"{self.scheme}://{self.host_header}"


class Reply(NamedTuple):
    """An answer: header names in lower case, the beginning of the body, and the bytes behind an upgrade."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def field(self, name: str) -> object:
        """Return a field of a JSON object; None where the body is none, or has no such field."""
        try:
            found = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None
        return found.get(name) if isinstance(found, dict) else None

    @property
    def software(self) -> str:
        """The name of a program in front of relay, which names itself nowhere."""
        return self.headers.get("server", "")


def read_address(url: str) -> Address:
    """Read a URL.

    Raises:
        ValueError: it is none of http or https.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no address; right is https://chat.example.org")
    return Address(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))


class Connection:
    """One connection to a server.

    Args:
        check: whether its certificate must be one that clients accept.

    Attributes:
        own: the address and port of this end.

    Raises:
        Unreachable: it cannot be made.
    """

    def __init__(self, address: Address, *, check: bool = True) -> None:
        self._address = address
        self._received = bytearray()
        plain: socket.socket | None = None
        try:
            plain = socket.create_connection((address.host, address.port), timeout=ANSWER_SECONDS)
            self.own: tuple[str, int] = plain.getsockname()[:2]
            self.stream = plain if address.scheme == "http" else _wrapped(plain, address.host, check=check)
        except ssl.SSLCertVerificationError as error:
            _close(plain)
            raise BadCertificate(error.verify_message) from None
        except ssl.SSLError as error:
            _close(plain)
            reason = (error.reason or said(error)).lower().replace("_", " ")
            raise Unreachable(f"no TLS came about ({reason}); is it http:// there?") from None
        except TimeoutError:
            _close(plain)
            raise Unreachable(f"no connection within {ANSWER_SECONDS:g} s; does a firewall drop it?") from None
        except (OSError, UnicodeError) as error:
            _close(plain)
            raise Unreachable(getattr(error, "strerror", None) or said(error)) from None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        _close(self.stream)

    def certificate_ends(self) -> float | None:
        """Return when the server's certificate expires, in Unix seconds; None without TLS or a check."""
        found = self.stream.getpeercert() if isinstance(self.stream, ssl.SSLSocket) else None
        ends = found.get("notAfter") if found else None
        return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None

    def send_head(self, method: str, path: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Send a request's head.

        Raises:
            Unreachable: the server closes the connection.
        """
        named = [("Host", self._address.host_header), ("User-Agent", "relay-doctor"), *headers]
        lines = [f"{method} {self._address.prefix}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in named)]
        try:
            self.stream.sendall("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n")
        except OSError as error:
            raise Unreachable(said(error)) from None

    def send_body(self, size: int, seconds: float) -> int:
        """Send a body of zeros until it is sent, an answer comes, or the time is over; return the bytes sent."""
        part, sent, ends = bytes(_CHUNK), 0, time.monotonic() + seconds
        self.stream.settimeout(seconds)
        while sent < size and time.monotonic() < ends and not self._has_answer():
            try:
                self.stream.sendall(part[: size - sent])
            except OSError:
                break  # an answer may lie there, which says why
            sent += min(_CHUNK, size - sent)
        return sent

    def _has_answer(self) -> bool:
        waiting = isinstance(self.stream, ssl.SSLSocket) and self.stream.pending() > 0
        return waiting or bool(select.select([self.stream], [], [], 0)[0])

    def receive(self, seconds: float) -> bytes:
        """Return what comes next; b"" at the end.

        Raises:
            TimeoutError: nothing comes in time.
        """
        self.stream.settimeout(max(seconds, 0.001))
        try:
            return self.stream.recv(_CHUNK)
        except TimeoutError:
            raise
        except OSError:
            return b""

    def reply(self, seconds: float = ANSWER_SECONDS) -> Reply:
        """Read an answer; of one that upgrades the bytes behind it that came along.

        Raises:
            Unreachable: none came in time, or it is none of HTTP.
        """
        ends = time.monotonic() + seconds
        while b"\r\n\r\n" not in self._received:
            if not self._more(ends):
                raise Unreachable(_GONE)
            if len(self._received) > _MOST_HEAD:
                raise Unreachable("the answer is none of HTTP")
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/") or not parts[1].isdigit():
            raise Unreachable("the answer is none of HTTP")
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        self._received = bytearray(rest)
        if parts[1] != "101":
            length = headers.get("content-length", "")
            wanted = min(int(length), _MOST_BODY) if length.isdigit() else _MOST_BODY
            while len(self._received) < wanted and not self._received.endswith(b"\r\n0\r\n\r\n"):
                if not self._more(ends):
                    break
        return Reply(int(parts[1]), headers, bytes(self._received))

    def _more(self, ends: float) -> bool:
        try:
            received = self.receive(ends - time.monotonic())
        except TimeoutError:
            raise TooSlow("no answer came in time") from None
        self._received += received
        return bool(received)


def ask(address: Address, path: str, headers: Iterable[tuple[str, str]] = (), *, check: bool = True) -> Reply:
    """Ask once, on a connection of its own.

    Raises:
        Unreachable: there is no answer.
    """
    with Connection(address, check=check) as connection:
        connection.send_head("GET", path, [*headers, ("Connection", "close")])
        return connection.reply()


def upgrade_headers(origin: str | None = None) -> list[tuple[str, str]]:
    """Return the headers of an upgrade to a WebSocket (RFC 6455 section 4.1)."""
    key = base64.b64encode(os.urandom(16)).decode()
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    return headers if origin is None else [*headers, ("Origin", origin)]


def close_code(frame: bytes) -> int | None:
    """Return the code of a close frame that these bytes begin with."""
    is_close = len(frame) >= 4 and frame[0] == 0x88 and frame[1] >= 2
    return int.from_bytes(frame[2:4]) if is_close else None


def _wrapped(plain: socket.socket, host: str, *, check: bool) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    if not check:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(plain, server_hostname=host)


def _close(stream: socket.socket | None) -> None:
    if stream is not None:
        stream.close()
