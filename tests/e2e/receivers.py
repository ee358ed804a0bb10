"""Real servers on loopback for what a server calls: HTTP and HTTPS receivers, a mail server, a certificate."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class HttpServer:
    """One receiver on a port of its own; see tests/plugins/notifications/receivers.py for what answers.

    Attributes:
        hold_seconds: how long it waits after its work before it answers.
    """

    def __init__(
        self, make: Callable[[str], Any], certificate: Path | None = None, host: str = "127.0.0.1"
    ) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = outer.receiver.answer(self.command, self.path, dict(self.headers), body)
                time.sleep(outer.hold_seconds)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_POST = do_DELETE = do_PUT = do_GET = _answer

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments: Any) -> None:
                """Say nothing of peers that went away, or that refused the certificate."""

        self.hold_seconds = 0.0
        self._server = Quiet(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        self.receiver: Any = make(f"{scheme}://{host}:{self._server.server_port}")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self.receiver

    def __exit__(self, *_reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def make_certificate(path: Path, name: str) -> Path:
    """Write a key and a certificate for a host that is its own authority, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class MailServer:
    """A mail server that takes mails after a login, as little of RFC 5321 as that needs.

    Args:
        security: `starttls`, `tls` from the beginning, or `none`: then it asks for no login either.

    Attributes:
        letters: what it took.
        wrong: what was said out of turn: before TLS, before the login, or with a wrong password.
    """

    def __init__(self, certificate: Path, username: str, password: str, security: str = "starttls") -> None:
        self.security = security
        self.letters: list[EmailMessage] = []
        self.wrong: list[str] = []
        self.username = username
        self.password = password
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that refused the certificate
                    _Talk(outer, self.request).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Talk:
    """One connection of a mail client."""

    def __init__(self, server: MailServer, connection: Any) -> None:
        self.server = server
        self.connection = connection
        self.encrypted = self.logged_in = server.security == "none"
        if server.security == "tls":
            self.encrypt()
        self.file = self.connection.makefile("rb")

    def encrypt(self) -> None:
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.encrypted = True

    def say(self, text: str) -> None:
        self.connection.sendall(text.encode() + b"\r\n")

    def run(self) -> None:
        try:
            self.talk()
        finally:
            self.file.close()
            self.connection.close()

    def talk(self) -> None:
        self.connection.settimeout(10)
        self.say("220 mail ready")
        while line := self.file.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            if word == "EHLO":
                self.say("250-mail\r\n250-8BITMIME\r\n250 " + ("AUTH PLAIN" if self.encrypted else "STARTTLS"))
            elif word == "STARTTLS":
                self.say("220 go on")
                self.file.close()
                self.encrypt()
                self.file = self.connection.makefile("rb")
            elif word == "AUTH" and self.encrypted:
                given = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                self.logged_in = given == [self.server.username, self.server.password]
                self.say("235 welcome" if self.logged_in else "535 no")
                if not self.logged_in:
                    self.server.wrong.append(line)
            elif word == "QUIT":
                self.say("221 bye")
                return
            elif not (self.encrypted and self.logged_in):
                self.server.wrong.append(line)
                self.say("530 log in first")
            elif word == "DATA":
                self.say("354 go on")
                self.take_letter()
                self.say("250 taken")
            else:
                self.say("250 ok")

    def take_letter(self) -> None:
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        letter = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.server.letters.append(letter)
