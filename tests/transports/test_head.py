"""A request's head: what is one, what is an upgrade, whose page may connect, and whose address counts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.http.origins import origin_allowed
from relay.testing import UPGRADE
from relay.transports.head import (
    END,
    BadHead,
    Head,
    check_request,
    check_upgrade,
    client_address,
    parse_head,
    refusal,
)


def head_of(*lines: str, first: str = "GET /ws HTTP/1.1") -> Head:
    return parse_head("\r\n".join([first, *lines]).encode() + END)


def upgrade_of(first: str = "GET /ws HTTP/1.1", without: str = "", *more: str) -> Head:
    """Return a good upgrade, less one header, plus others."""
    lines = UPGRADE.decode().rstrip().split("\r\n")[1:]
    return head_of(*(line for line in lines if not (without and line.startswith(without))), *more, first=first)


def test_a_head_is_read_and_what_follows_is_kept() -> None:
    head = parse_head(b"POST /api/x?a=1 HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a: two\r\n\r\nbody\r\n\r\nmore")
    assert (head.method, head.target, head.path) == ("POST", "/api/x?a=1", "/api/x")
    assert head.headers == {"host": "h", "x-a": "one,two"}
    assert head.repeated == {"x-a"}
    assert (
        head.raw + head.rest
        == b"POST /api/x?a=1 HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a: two\r\n\r\nbody\r\n\r\nmore"
    )
    assert head.rest == b"body\r\n\r\nmore"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/2.0",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 x",
        b"G3T / HTTP/1.1",
        b" / HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: \xc3\xa4",
        b"GET / HTTP/1.1\r\nno colon",
        b"GET / HTTP/1.1\r\n: no name",
        b"GET / HTTP/1.1\r\nName : space",
        b"GET / HTTP/1.1\r\n folded: line",
        b"GET / HTTP/1.1\r\na: b\0c",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(BadHead) as refused:
        parse_head(data + END)
    assert refused.value.status == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    try:
        head = parse_head(data + END)
    except BadHead:
        return
    assert head.raw + head.rest == data + END


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Host: a", "Host: b"],
        ["Host: h", "Content-Length: five"],
        ["Host: h", "Content-Length: -1"],
        ["Host: h", "Content-Length: 5", "Content-Length: 6"],
        ["Host: h", "Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Host: h", "Transfer-Encoding: gzip"],
        ["Host: h", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
    ],
)
def test_a_request_that_the_library_would_refuse_without_a_word_is_told_what_is_wrong(lines: list[str]) -> None:
    with pytest.raises(BadHead, match=r"a request has one Host|Content-Length") as refused:
        check_request(head_of(*lines, first="POST /api/login HTTP/1.1"))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("first", "lines"),
    [
        ("GET / HTTP/1.0", []),
        ("GET / HTTP/1.1", ["Host: h"]),
        ("POST / HTTP/1.1", ["Host: h", "Content-Length: 0"]),
        ("POST / HTTP/1.1", ["Host: h", "Transfer-Encoding: Chunked"]),
    ],
)
def test_a_good_request_is_welcome(first: str, lines: list[str]) -> None:
    check_request(head_of(*lines, first=first))


def test_a_good_upgrade_is_welcome() -> None:
    check_upgrade(upgrade_of())
    check_upgrade(upgrade_of("GET /ws?x=1 HTTP/1.1"))
    check_upgrade(upgrade_of("GET /ws HTTP/1.1", "Connection", "Connection: keep-alive, UPGRADE"))
    assert upgrade_of().wants_websocket
    assert not head_of("Host: h").wants_websocket
    assert not head_of("Host: h", "Upgrade: h2c").wants_websocket


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (upgrade_of("GET /other HTTP/1.1"), 404),
        (upgrade_of("GET /ws/ HTTP/1.1"), 404),
        (upgrade_of("POST /ws HTTP/1.1"), 405),
        (upgrade_of("GET /ws HTTP/1.1", "Connection"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "Connection", "Connection: upgraded"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "Sec-WebSocket-Version"), 426),
        (upgrade_of("GET /ws HTTP/1.1", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426),
        (upgrade_of("GET /ws HTTP/1.1", "Sec-WebSocket-Key"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "Sec-WebSocket-Key", "Sec-WebSocket-Key: short=="), 400),
        (upgrade_of("GET /ws HTTP/1.1", "", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (upgrade_of("GET /ws HTTP/1.1", "Host"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "", "Host: other"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "", "Content-Length: 3"), 400),
        (upgrade_of("GET /ws HTTP/1.1", "", "Transfer-Encoding: chunked"), 400),
        (upgrade_of("GET /ws HTTP/1.0"), 426),
    ],
)
def test_another_upgrade_is_refused_with_what_would_be_right(head: Head, status: int) -> None:
    with pytest.raises(BadHead) as refused:
        check_upgrade(head)
    assert refused.value.status == status
    assert refused.value.reason


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://chat.example.org", "chat.example.org", True),
        ("https://chat.example.org", "chat.example.org", True),
        ("HTTPS://Chat.Example.ORG", "chat.example.org", True),
        ("https://chat.example.org", "CHAT.example.org", True),
        ("https://chat.example.org:443", "chat.example.org", True),
        ("https://chat.example.org", "chat.example.org:443", True),
        ("http://chat.example.org:80", "chat.example.org", True),
        ("http://localhost:8484", "localhost:8484", True),
        ("http://[::1]:8484", "[::1]:8484", True),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", True),
        ("https://app.example.org", "chat.example.org", True),  # is listed
        ("HTTPS://APP.example.org", "chat.example.org", True),
        ("https://chat.example.org:8443", "chat.example.org", False),
        ("https://chat.example.org", "chat.example.org:8443", False),
        ("http://chat.example.org:443", "chat.example.org", False),
        ("http://localhost:8484", "localhost:8485", False),
        ("https://evil.example", "chat.example.org", False),
        ("https://chat.example.org.evil.example", "chat.example.org", False),
        ("https://evilchat.example.org", "chat.example.org", False),
        ("https://xn--bcher-kva.example", "bucher.example", False),
        ("https://chat.example.org/", "chat.example.org", False),
        ("https://chat.example.org@evil.example", "chat.example.org", False),
        ("https://evil@chat.example.org", "chat.example.org", False),
        ("null", "chat.example.org", False),
        ("null", "null", False),
        ("", "", False),
        ("file://", "chat.example.org", False),
        ("chat.example.org", "chat.example.org", False),
        ("ws://chat.example.org", "chat.example.org", False),
        ("https://", "", False),
        ("https://[", "[", False),
        ("https://chat.example.org https://evil.example", "chat.example.org", False),
        ("http://app.example.org", "chat.example.org", False),
    ],
)
def test_whose_pages_may_connect(origin: str, host: str, allowed: bool) -> None:
    assert origin_allowed(origin, host, ["https://app.example.org"]) is allowed


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_origin_is_judged(origin: str, host: str) -> None:
    assert origin_allowed(origin, host, []) in (True, False)


TRUSTED = ["10.0.0.0/8", "::1/128", "192.0.2.7"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.5", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "1.1.1.1, 203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "203.0.113.5, 10.9.9.9", "203.0.113.5"),
        ("10.1.2.3", "203.0.113.5,192.0.2.7 ,, 10.9.9.9", "203.0.113.5"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("10.1.2.3", "10.4.4.4, 10.5.5.5", "10.4.4.4"),
        ("10.1.2.3", "unknown", "unknown"),
        ("10.1.2.3", " , ", "10.1.2.3"),
        ("memory", "203.0.113.5", "memory"),
    ],
)
def test_whose_address_counts(peer: str, forwarded: str, address: str) -> None:
    assert client_address(forwarded, peer, TRUSTED) == address


def test_forwarded_headers_of_two_lines_are_one_list() -> None:
    head = head_of("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.5")
    assert client_address(head.headers["x-forwarded-for"], "10.1.2.3", TRUSTED) == "203.0.113.5"


@pytest.mark.parametrize("status", [400, 404, 405, 408, 426, 431, 503])
def test_a_refusal_is_a_whole_answer(status: int) -> None:
    data = refusal(BadHead(status, "because", "X-More: 1"))
    head, _, body = data.partition(END)
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert {"Connection: close", "X-More: 1", f"Content-Length: {len(body)}"} <= set(lines)
    problem = json.loads(body)
    assert (problem["status"], problem["detail"]) == (status, "because")
    assert problem["retry"] is (status in (408, 503))
