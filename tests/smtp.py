"""A real SMTP server on the loopback address, with TLS and logins where a test wants them."""

from __future__ import annotations

import email
import ipaddress
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.server import free_port


class Postbox:
    """What arrived, and what the server says to it.

    Attributes:
        refusals: answers to the next recipients, such as "451 later"; without one they are taken.
    """

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refusals: list[str] = []
        self.tried = 0

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        self.tried += 1
        if self.refusals:
            return self.refusals.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 taken"

    def wait(self, count: int, seconds: float = 20.0) -> list[EmailMessage]:
        """Wait until so many mails are here, and return them all."""
        deadline = time.monotonic() + seconds
        while len(self.mails) < count:
            assert time.monotonic() < deadline, f"{len(self.mails)} mails came of {count}"
            time.sleep(0.02)
        return self.mails


def text_of(mail: EmailMessage) -> str:
    """Return the text of a mail."""
    return str(mail.get_content()).replace("\r\n", "\n")


def link_in(mail: EmailMessage) -> str:
    """Return the link with a fragment in a mail."""
    found = re.search(r"https?://\S+#\S+", text_of(mail))
    assert found, text_of(mail)
    return found[0]


@contextmanager
def postbox(
    *, tls: Path | None = None, implicit: bool = False, login: tuple[str, str] | None = None
) -> Iterator[Postbox]:
    """Run a server.

    Args:
        tls: a folder with `certificate`'s files; then mails are taken over TLS only.
        implicit: whether TLS begins with the first byte, and not with STARTTLS.
        login: the name and password that it asks for.
    """
    box = Postbox()
    box.port = free_port()
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls / "cert.pem", tls / "key.pem")

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == login, handled=False)

    how: dict[str, Any] = {}
    if login is not None:
        how = {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": context is not None and not implicit,
        }
    if implicit:
        how["ssl_context"] = context
    elif context is not None:
        how |= {"tls_context": context, "require_starttls": True}
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **how)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def certificate(folder: Path) -> Path:
    """Write a certificate of 127.0.0.1, and its key; return the certificate's path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem"
