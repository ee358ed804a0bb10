"""The way in: what proxies between the public address and the server do with what clients send."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from relay.app.doctor.findings import Finding, bad, good, unknown, warning
from relay.app.doctor.idling import CHECK as IDLE_CHECK
from relay.app.doctor.idling import IdleSocket
from relay.app.doctor.recipes import BODY, FORWARDED, HEAD, HOST, UPGRADE, UPSTREAM, VERSION, mend
from relay.app.doctor.wire import (
    ANSWER_SECONDS,
    Address,
    BadCertificate,
    Connection,
    Reply,
    TooSlow,
    Unreachable,
    ask,
    close_code,
    upgrade_headers,
)
from relay.protocol.errors import CloseCode

_FORGED: Final = "192.0.2.77"
"""An address for documentation (RFC 5737): nobody's own."""

_LINE_BYTES: Final = 6000
_SHORT_WAIT: Final = 1.0
_BODY_SECONDS: Final = 10.0
_BODY_TRIED: Final = 100 * 1024 * 1024
_NEAR_DAYS: Final = 14
_SKEW_SECONDS: Final = 30
_MIB: Final = 1024 * 1024
_LOCAL: Final = ("127.", "::1")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server that the public address should lead to, as far as it is known here.

    Attributes:
        upstream: its own address and port, as a proxy reaches it.
        probe_id: opens its probes; None where no server could be asked for one.
        body_bytes: the largest body that it takes; 0 means no limit.
        idle_seconds: how long an idle WebSocket is watched; 0 leaves it out.
    """

    upstream: str
    probe_id: str | None
    heartbeat_seconds: float
    head_bytes: int
    body_bytes: int
    idle_seconds: float


class WayIn:
    """The checks of one public address."""

    def __init__(self, address: Address, server: Server) -> None:
        self._address = address
        self._server = server
        self._check = True
        self._software = ""
        self._arrival: dict[str, Any] | None = None
        self._idle: IdleSocket | None = None

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, one check after the other; an address that does not lead to relay ends it."""
        yield from self._certificate()
        reached, reply = self._reach()
        yield reached
        if reply is None:
            return
        yield from self._clock(reply)
        found = self._probe()
        if found is not None:
            yield found
        self._begin_idling()
        yield from self._forwarded()
        yield self._upgrade()
        yield self._origin()
        yield self._head()
        yield self._body()
        yield self._idled()

    def _mend(self, recipe: dict[str, str], **values: object) -> dict[str, str]:
        return mend(recipe, self._software, upstream=self._server.upstream, **values)

    @property
    def _probe_path(self) -> str:
        return f"/api/probe/{self._server.probe_id}"

    def _ask(self, path: str, *headers: tuple[str, str]) -> Reply:
        return ask(self._address, path, headers, check=self._check)

    def _certificate(self) -> Iterator[Finding]:
        if self._address.scheme != "https":
            if not self._address.host.startswith(_LOCAL) and self._address.host != "localhost":
                yield warning(
                    "certificate",
                    f"{self._address.origin} is without TLS: passwords and messages can be read on the way",
                )
            return
        try:
            with Connection(self._address) as connection:
                ends = connection.certificate_ends() or 0.0
        except BadCertificate as error:
            self._check = False
            yield bad(
                "certificate",
                f"clients refuse the certificate of {self._address.host_header}: {error}; it must be valid, for"
                " this name, and come with those between it and the root (fullchain.pem)",
            )
        except Unreachable:
            return  # the next check says so
        else:
            days = (ends - time.time()) / 86_400
            text = f"the certificate of {self._address.host_header} is valid for {days:.0f} more days"
            if days >= _NEAR_DAYS:
                yield good("certificate", text)
            else:
                yield warning("certificate", f"{text} only; does its renewal work?")

    def _reach(self) -> tuple[Finding, Reply | None]:
        url = f"{self._address.origin}{self._address.prefix}"
        try:
            reply = self._ask("/healthz")
        except Unreachable as error:
            return bad("reach", f"{url} does not answer: {error}"), None
        self._software = reply.software
        if reply.field("status") == "ok":
            through = f", through {self._software}" if self._software else ""
            return good("reach", f"{url} leads to relay{through}"), reply
        if reply.status in (301, 302, 307, 308):
            where = reply.headers.get("location", "somewhere else").removesuffix("/healthz")
            text = f"{url} answers by a redirect to {where}: give that address, here and in [server] public_url"
            return bad("reach", text), None
        if reply.status in (502, 503, 504):
            text = (
                f"{self._named()} answers {reply.status}: it does not reach relay, which should listen on"
                f" {self._server.upstream}"
            )
            return bad("reach", text, self._mend(UPSTREAM)), None
        text = (
            f"{url}/healthz is answered by {self._named()} with {reply.status}, not by relay: it must pass on all"
            " paths, and take off the path of the address where that has one"
        )
        return bad("reach", text, self._mend(UPSTREAM)), None

    def _named(self) -> str:
        return self._software or "a program that does not name itself"

    def _clock(self, reply: Reply) -> Iterator[Finding]:
        try:
            away = parsedate_to_datetime(reply.headers["date"]).timestamp() - time.time()
        except (KeyError, ValueError):
            return
        if abs(away) > _SKEW_SECONDS:
            yield warning(
                "clock", f"the clock of {self._address.host_header} is {away:+.0f} s away from this machine's"
            )

    def _probe(self) -> Finding | None:
        """Learn how requests arrive; return what stands in the way of that."""
        if self._server.probe_id is None:
            return unknown(
                "server", "no server runs on this database: how requests arrive there cannot be told, nor whether"
                " an idle WebSocket lives; start it, and run this on its machine, as its user or root",
            )  # fmt: skip
        try:
            with Connection(self._address, check=self._check) as connection:
                connection.send_head("GET", self._probe_path, [("Connection", "close")])
                reply, own = connection.reply(), connection.own
        except Unreachable as error:
            return bad("reach", f"a request was not answered: {error}")
        if reply.status != 200:
            return bad(
                "server",
                f"{self._address.origin} leads to another relay than the one of this database, which listens on"
                f" {self._server.upstream}: a probe of it is answered {reply.status}",
                self._mend(UPSTREAM),
            )
        self._arrival = msgspec.json.decode(reply.body)
        assert self._arrival is not None  # noqa: S101 - it was just decoded
        came_from = (self._arrival["peer"], self._arrival["peer_port"])
        named = self._software or "via" in reply.headers or self._arrival["forwarded_for"]
        if came_from == own or not (named or self._arrival["peer"].startswith(_LOCAL)):
            self._arrival["direct"] = True
        return None

    def _begin_idling(self) -> None:
        probe_id, seconds = self._server.probe_id, self._server.idle_seconds
        if self._arrival is not None and probe_id is not None and seconds:
            beat, upstream = self._server.heartbeat_seconds, self._server.upstream
            self._idle = IdleSocket(self._address, probe_id, beat, seconds, upstream, check=self._check)

    def _idled(self) -> Finding:
        if self._idle is None:
            return unknown(IDLE_CHECK, "whether an idle WebSocket lives was not looked at")
        return self._idle.finding()

    def _forwarded(self) -> Iterator[Finding]:
        """Check what arrives of the client's address and of HTTP itself."""
        arrival = self._arrival
        if arrival is None or arrival.get("direct"):
            return
        if arrival["http_version"] == "1.0":
            text = f"{self._named()} speaks HTTP/1.0 to relay, in which there are no WebSockets"
            yield bad("version", text, self._mend(VERSION))
        peer = arrival["peer"]
        if not arrival["forwarded_for"]:
            text = (
                f"{self._named()} does not say for whom it speaks (X-Forwarded-For): all clients share the"
                f" limits of one address, {peer}"
            )
            yield bad("forwarded", text, self._mend(FORWARDED))
            return
        if not arrival["trusted"]:
            text = (
                f"relay does not believe {self._named()}, which comes from {peer}: all clients share the limits"
                " of one address; name it in the settings, and start relay anew"
            )
            size = 128 if ":" in peer else 32
            yield bad("trusted", text, {"relay.toml": f'[server]\ntrusted_proxies = ["{peer}/{size}"]'})
        yield self._forgery()

    def _forgery(self) -> Finding:
        try:
            found = msgspec.json.decode(self._ask(self._probe_path, ("X-Forwarded-For", _FORGED)).body)
            hops = [hop.strip() for value in found["forwarded_for"] for hop in value.split(",")]
        except (Unreachable, msgspec.DecodeError, KeyError) as error:
            return unknown("forwarded", f"a request with an X-Forwarded-For of its own was not answered: {error}")
        if hops and hops[-1] != _FORGED:
            return good("forwarded", f"{self._named()} tells the address of each client")
        text = (
            f"{self._named()} passes on the X-Forwarded-For that a client sends: anybody can take any address, and"
            " escape the limits"
        )
        return bad("forwarded", text, self._mend(FORWARDED))

    def _shake_hands(self, origin: str | None) -> Reply:
        with Connection(self._address, check=self._check) as connection:
            connection.send_head("GET", "/ws", upgrade_headers(origin))
            reply = connection.reply()
            if origin is None or reply.status != 101:
                return reply
            try:
                return reply._replace(body=reply.body or connection.receive(_SHORT_WAIT))
            except TimeoutError:
                return reply  # nothing was said against it

    def _upgrade(self) -> Finding:
        try:
            reply = self._shake_hands(None)
        except Unreachable as error:
            return bad("upgrade", f"a WebSocket's upgrade is not answered: {error}", self._mend(UPGRADE))
        if reply.status == 101:
            return good("upgrade", "WebSockets come through")
        detail = reply.field("detail")
        if detail is None:
            text = f"{self._named()} answers a WebSocket's upgrade with {reply.status} itself"
        elif reply.status == 404:
            text = f"{self._named()} takes the header Upgrade out: relay sees a plain request, and no WebSocket"
        else:
            text = f"relay refuses a WebSocket's upgrade with {reply.status}: {detail}"
        return bad("upgrade", text, self._mend(UPGRADE))

    def _origin(self) -> Finding:
        """Check that the page of this address may connect: its origin is compared to the Host that arrives."""
        origin, host = self._address.origin, (self._arrival or {}).get("host")
        try:
            reply = self._shake_hands(origin)
        except Unreachable as error:
            return unknown("origin", f"a page's WebSocket is not answered: {error}")
        refused = reply.status == 101 and close_code(reply.body) == CloseCode.ORIGIN_REFUSED
        changed = f"{self._named()} passes the Host on as {host!r}, not as {self._address.host_header!r}"
        if refused:
            why = changed if host else f"{self._named()} changes the Host"
            return bad("origin", f"the page of {origin} may not connect: {why}", self._mend(HOST))
        if host and host.lower() != self._address.host_header.lower():
            return bad("origin", f"{changed}: links and the check of pages' origins go by it", self._mend(HOST))
        if reply.status != 101:
            return unknown("origin", "no WebSocket came about, so no page's either")
        return good("origin", f"the page of {origin} may connect")

    def _head(self) -> Finding:
        """Check that a large head comes through, of the size that long tokens and cookies make."""
        most = self._server.head_bytes or 16_384
        line = min(_LINE_BYTES, max(most // 2 - 1000, 200))
        padding = [(f"X-Padding-{number}", "x" * line) for number in (1, 2)]
        try:
            reply = self._ask("/healthz", *padding)
        except Unreachable as error:
            text = f"a request with {2 * line} bytes of headers is not answered: {error}"
            return bad("head", text, self._mend(HEAD))
        if reply.field("status") == "ok":
            return good("head", f"headers of {2 * line} bytes come through")
        text = f"{self._named()} refuses {2 * line} bytes of headers with {reply.status}; relay takes {most}"
        return bad("head", text, self._mend(HEAD))

    def _body(self) -> Finding:
        """Check that the largest body comes through; it is sent for some seconds at most, and forgotten there."""
        most = self._server.body_bytes or _BODY_TRIED
        shown = f"{most / _MIB:.0f} MiB"
        lines = self._mend(BODY, mebibytes=-(-most // _MIB))
        if self._arrival is None:
            return self._announced_body(most, shown, lines)
        sent, text = 0, f"{self._named()} refuses a body of {shown}, which relay takes: uploads fail there"
        try:
            with Connection(self._address, check=self._check) as connection:
                connection.send_head("POST", self._probe_path, _body_headers(most))
                sent = connection.send_body(most, _BODY_SECONDS)
                reply = connection.reply(ANSWER_SECONDS if sent == most else _SHORT_WAIT)
        except TooSlow:
            tried = f"{sent / _MIB:.0f} MiB of {shown} went in {_BODY_SECONDS:g} s"
            return unknown("body", f"{tried}; it was left at that")
        except Unreachable as error:
            return bad("body", f"{text}: {error}, after {sent / _MIB:.0f} MiB", lines)
        if reply.status == 200:
            return good("body", f"a body of {shown} comes through")
        # Caddy says 502 where it meets its limit only after it has begun to pass the body on.
        if reply.status in (413, 502) or sent < most:
            return bad("body", f"{text}: {reply.status} after {sent / _MIB:.0f} MiB", lines)
        text = f"{self._named()} answers a body of {shown} with {reply.status}; its log of errors says why"
        return bad("body", text)

    def _announced_body(self, most: int, shown: str, lines: dict[str, str]) -> Finding:
        """Only announce a body, where none would be forgotten: some proxies refuse it by its size alone."""
        try:
            with Connection(self._address, check=self._check) as connection:
                connection.send_head("POST", "/api/attachments", _body_headers(most))
                reply = connection.reply(_SHORT_WAIT)
        except Unreachable:
            return unknown("body", f"a body of {shown} was announced, and not refused at once")
        if reply.status == 413:
            return bad("body", f"{self._named()} refuses a body of {shown}, which relay takes", lines)
        return unknown("body", f"a body of {shown} was announced, and not refused for its size")


def _body_headers(size: int) -> list[tuple[str, str]]:
    return [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))]
