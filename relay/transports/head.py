"""Reading a request's head: just enough of HTTP/1.1 (RFC 9112) to know which library it is for.

The head is judged here because neither library survives every head: one non-ASCII byte in the wrong
header ends a process that lets wsproto's exception through. What is not plain ASCII is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

END = b"\r\n\r\n"
TLS_HELLO: Final = 0x16
"""The first byte of a TLS connection (RFC 8446 section 5.1); no request begins with it."""

_OFFERS = (b"upgrade:", b"http2-settings:")
_REQUEST_LINE = re.compile(r"([A-Za-z]+) ([\x21-\x7e]+) (HTTP/1\.[0-9])")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_network = cache(ipaddress.ip_network)  # of the settings' few: each request through a proxy asks


class BadHead(Exception):
    """A head that is refused with an HTTP status and a reason for a person.

    Attributes:
        noted: whether it is worth a line in the log.
    """

    def __init__(self, status: int, reason: str, *headers: str, noted: bool = False) -> None:
        super().__init__(reason)
        self.noted = noted
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(slots=True)
class Head:
    """A request's head. Header names are lower case; of a header sent twice the values are joined by commas."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    raw: bytes
    rest: bytes = b""
    repeated: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """Let go of what was read, once it was judged: a connection may last for weeks."""
        self.headers, self.raw, self.rest = {}, b"", b""

    def without_upgrade(self) -> bytes:
        """Return the head as read, less an offer to change the protocol: HTTP/2 is not spoken here."""
        if "upgrade" not in self.headers:
            return self.raw
        lines = self.raw.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.lower().startswith(_OFFERS))

    @property
    def path(self) -> str:
        """The target without its query, and without the scheme and the host that a proxy may be sent."""
        path = self.target.partition("?")[0]
        return path if path[0] in "/*" else urlsplit(path).path or "/"

    @property
    def wants_websocket(self) -> bool:
        """Whether this asks for a WebSocket (RFC 6455 section 4.2.1)."""
        return "websocket" in self.headers.get("upgrade", "").lower()


async def receive_head(receive: Callable[[int], Awaitable[bytes]], limit: int, data: bytes = b"") -> Head | None:
    """Read the next head of a connection; None when the peer left before it was whole.

    Args:
        receive: brings more bytes, b"" when the peer left.
        limit: the most bytes that a head has.
        data: what was read already.

    Raises:
        BadHead: 400 or 431, as soon as it is sure.
    """
    seen = 0
    while True:
        if not seen:
            data = data.lstrip(b"\r\n")  # an empty line before a request is no fault (RFC 9112 section 2.2)
            if data[:1] == bytes([TLS_HELLO]):
                raise BadHead(400, "this port speaks plain HTTP, not TLS: use http:// and ws://", noted=True)
        end = data.find(END, max(0, seen - 3))
        if end > limit or (end < 0 and len(data) > limit):
            raise BadHead(431, f"a request's head has at most {limit} bytes")
        if _BARE_LF.search(data, max(0, seen - 1), end if end >= 0 else len(data)):
            raise BadHead(400, "a line of a request's head ends with CR and LF")
        if end >= 0:
            return parse_head(data)
        seen = len(data)
        more = await receive(16384)
        if not more:
            return None
        data += more


def parse_head(data: bytes) -> Head:
    """Return the head that `data` begins with; the bytes after it are its `rest`.

    Raises:
        BadHead: 400.
    """
    raw, _, rest = data.partition(END)
    try:
        lines = raw.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise BadHead(400, "the request's head has bytes that are not ASCII") from None
    first = _REQUEST_LINE.fullmatch(lines[0])
    if first is None:
        raise BadHead(400, "the first line is not an HTTP/1.1 request")
    method, target, version = first.groups()
    if not _is_target(method, target):
        raise BadHead(400, "a request is for a path, such as /healthz, or for http://HOST/PATH")
    headers: dict[str, str] = {}
    repeated = set()
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(line):
            raise BadHead(400, "a header line is not 'name: value'")
        name, value = name.lower(), value.strip()
        if name in headers:
            repeated.add(name)
            value = f"{headers[name]},{value}"
        headers[name] = value
    return Head(method, target, version, headers, raw + END, rest, repeated)


def _is_target(method: str, target: str) -> bool:
    """Tell whether a request can be for this (RFC 9112 section 3.2); CONNECT's are a proxy's business."""
    if target[0] == "/" or (target == "*" and method == "OPTIONS"):
        return True
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def check_request(head: Head) -> None:
    """Refuse a request that the HTTP library would refuse without a word.

    Raises:
        BadHead: 400, naming what would be right.
    """
    headers = head.headers
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if "host" in head.repeated or ("host" not in headers and head.version != "HTTP/1.0"):
        raise BadHead(400, "a request has one Host")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise BadHead(400, "a Content-Length is one whole number")
    if coding is not None and (coding.lower() != "chunked" or length is not None or head.version == "HTTP/1.0"):
        raise BadHead(
            400, "a body has a Content-Length, or is chunked, which is the one Transfer-Encoding known here"
        )


def check_upgrade(head: Head) -> None:
    """Refuse an upgrade that is not to `/ws`, or not WebSocket version 13.

    Raises:
        BadHead: 400, 404, 405 or 426, naming what would be right.
    """
    headers = head.headers
    if head.path != "/ws":
        raise BadHead(404, "WebSocket is spoken at /ws")
    if head.method != "GET":
        raise BadHead(405, "an upgrade is a GET", "Allow: GET")
    if head.version == "HTTP/1.0":
        raise BadHead(426, "an upgrade is HTTP/1.1; does a proxy speak 1.0 to this server?", "Upgrade: websocket")
    if "upgrade" not in [token.strip().lower() for token in headers.get("connection", "").split(",")]:
        raise BadHead(400, "an upgrade has the header 'Connection: Upgrade'; does a proxy take it out?")
    if headers.get("sec-websocket-version") != "13":
        raise BadHead(426, "WebSocket version 13 is spoken here", "Sec-WebSocket-Version: 13")
    if "sec-websocket-key" not in headers or "sec-websocket-key" in head.repeated:
        raise BadHead(400, "an upgrade has one Sec-WebSocket-Key")
    if not _KEY.fullmatch(headers["sec-websocket-key"]):
        raise BadHead(400, "a Sec-WebSocket-Key is 16 bytes in base64")
    if "host" not in headers or "host" in head.repeated:
        raise BadHead(400, "a request has one Host")
    if "content-length" in headers or "transfer-encoding" in headers:
        raise BadHead(400, "an upgrade has no body")


def client_address(forwarded: str, peer: str, trusted: Sequence[str]) -> str:
    """Return whose address limits count: the nearest one that is no trusted proxy's.

    Args:
        forwarded: the `X-Forwarded-For` of the request or the upgrade; "" where there is none.
        peer: where the connection itself comes from.
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    address = peer
    while hops and is_trusted(address, trusted):
        address = hops.pop()
    return address


def is_trusted(address: str, trusted: Sequence[str]) -> bool:
    """Tell whether an address is in one of the networks of the settings' proxies."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in _network(network) for network in trusted)


def refusal(error: BadHead) -> bytes:
    """Return the whole answer to a head that is refused, and that the connection ends with it."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES[error.status],
        "status": error.status,
        "detail": error.reason,
        "code": _CODES.get(error.status, "bad_envelope"),
        "retry": error.status in (408, 503),
    }
    body = msgspec.json.encode(problem)
    lines = [
        f"HTTP/1.1 {error.status} {_TITLES[error.status]}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *error.headers,
    ]
    return "\r\n".join(lines).encode() + END + body


_TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_CODES = {404: "not_found", 431: "too_large", 503: "overloaded", 408: "bad_envelope"}
