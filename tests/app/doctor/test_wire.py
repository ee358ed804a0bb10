"""Addresses and answers, as `relay doctor` reads them."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.app.doctor import wire
from relay.app.doctor.wire import Address, BadCertificate, TooSlow, Unreachable, ask, close_code, read_address
from relay.protocol.errors import CloseCode
from relay.protocol.framing import close_frame
from tests.transports.test_tls import make


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("https://chat.example.org", ("https", "chat.example.org", 443, ""), "chat.example.org"),
        ("chat.example.org", ("https", "chat.example.org", 443, ""), "chat.example.org"),
        ("http://[::1]:8484/chat/", ("http", "::1", 8484, "/chat"), "[::1]:8484"),
        ("http://localhost:80", ("http", "localhost", 80, ""), "localhost"),
    ],
)
def test_an_address_is_read_as_browsers_name_it(url: str, address: tuple[str, str, int, str], host: str) -> None:
    found = read_address(url)
    assert found == address
    assert found.host_header == host
    assert found.origin == f"{address[0]}://{host}"


@pytest.mark.parametrize("url", ["ftp://example.org", "https://", "http://x:99999", "http://[::1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        read_address(url)


@contextmanager
def answering(answer: bytes, *, stay: bool = False, tls: ssl.SSLContext | None = None) -> Iterator[Address]:
    """Listen for one request, and answer it; with TLS for one that gets so far."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            if tls is not None:
                try:
                    connection = tls.wrap_socket(connection, server_side=True)
                except ssl.SSLError:
                    connection.close()
                    connection = tls.wrap_socket(listening.accept()[0], server_side=True)
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                if stay:
                    over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address("http", "127.0.0.1", listening.getsockname()[1], "")
        finally:
            over.set()
            thread.join()


def test_an_answer_is_read_to_its_length_or_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: nginx/1\r\n"
    with answering(head + b'Content-Length: 15\r\n\r\n{"status":"ok"}', stay=True) as address:
        reply = ask(address, "/healthz")
    assert (reply.status, reply.software, reply.field("status")) == (200, "nginx/1", "ok")
    with answering(head + b"\r\nno JSON") as address:
        reply = ask(address, "/healthz")
    assert (reply.body, reply.field("status")) == (b"no JSON", None)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1\r\n\r\n"])
def test_what_is_no_answer_is_said_to_be_none(answer: bytes) -> None:
    with answering(answer) as address, pytest.raises(Unreachable):
        ask(address, "/healthz")


def test_who_does_not_answer_is_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"", stay=True) as address, wire.Connection(address) as connection:
        connection.send_head("GET", "/")
        with pytest.raises(TooSlow):
            connection.reply(0.05)


def test_nobody_there_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Unreachable, match="Connection refused"):
        ask(Address("http", "127.0.0.1", port, ""), "/")


def test_a_close_frame_has_a_code() -> None:
    assert close_code(close_frame(CloseCode.ORIGIN_REFUSED, "no")) == CloseCode.ORIGIN_REFUSED
    assert close_code(b"") is None


def test_tls_that_does_not_come_about_is_said_in_words() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address, pytest.raises(Unreachable) as caught:
        ask(address._replace(scheme="https"), "/healthz")
    assert str(caught.value).endswith("is it http:// there?")


def test_a_certificate_that_clients_refuse_is_told_apart_and_looked_past(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "elsewhere")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(b'HTTP/1.1 200 OK\r\n\r\n{"status":"ok"}', tls=context) as address:
        with pytest.raises(BadCertificate):
            ask(address._replace(scheme="https"), "/healthz")
        assert ask(address._replace(scheme="https"), "/healthz", check=False).field("status") == "ok"
