"""TLS: the certificate and its key, and errors about them that name the setting and the file."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from relay.protocol.errors import said
from relay.settings import Settings

NEAR_DAYS: Final = 14
"""Days before its end from which a certificate is spoken of."""


class TlsProblem(Exception):
    """The certificate or its key cannot be used; the text names the setting, the file, and what would be right."""


class Certificate(NamedTuple):
    """A certificate that can be served.

    Attributes:
        context: the context that TLS is served with.
        digest: of what the files hold: another one after a renewal.
        ends: when it expires, Unix seconds; None where that cannot be read.
    """

    context: ssl.SSLContext
    digest: bytes
    ends: float | None


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate that settings name; None where TLS is off.

    Raises:
        TlsProblem: the files do not fit.
    """
    context = tls_context(settings)
    if context is None:
        return None
    file = Path(settings.server.tls_certificate)
    try:
        held = file.read_bytes()
        digest = hashlib.sha256(held + Path(settings.server.tls_key).read_bytes()).digest()
    except OSError as error:
        raise TlsProblem(f"[server] tls_certificate: {file} cannot be read: {said(error)}") from None
    try:
        ends = x509.load_pem_x509_certificate(held).not_valid_after_utc.timestamp()
    except ValueError:
        ends = None
    return Certificate(context, digest, ends)


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context that TLS is served with; None where it is off.

    Raises:
        TlsProblem: the files do not fit.
    """
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if not certificate:
        return None
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            Path(file).read_bytes()
        except OSError as error:
            raise TlsProblem(f"[server] {name}: {file} cannot be read: {error.strerror or said(error)}") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    asked: list[bool] = []

    def passphrase() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(certificate, key, passphrase)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise TlsProblem(_why(Path(certificate), Path(key), error, encrypted=bool(asked))) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _why(certificate: Path, key: Path, error: Exception, *, encrypted: bool) -> str:
    if encrypted:
        return (
            f"[server] tls_key: {key} is locked with a passphrase, which a server cannot be asked for;"
            f" write it without one: openssl pkey -in {key} -out FILE"
        )
    if b"-----BEGIN CERTIFICATE" not in certificate.read_bytes():
        swapped = b"-----BEGIN CERTIFICATE" in key.read_bytes()
        hint = "; it is in tls_key: they are exchanged" if swapped else ""
        return f"[server] tls_certificate: {certificate} holds no certificate in PEM form{hint}"
    if b"PRIVATE KEY-----" not in key.read_bytes():
        return f"[server] tls_key: {key} holds no private key in PEM form"
    if "KEY_VALUES_MISMATCH" in str(error):
        return f"[server] tls_key: {key} is the key of another certificate than {certificate}"
    return f"[server] tls_certificate, tls_key: {certificate} and {key} cannot be used: {said(error)}"


def tls_warning(settings: Settings, now: datetime | None = None) -> str | None:
    """Return what is wrong with the times of the certificate; None where nothing is, or TLS is off."""
    file = settings.server.tls_certificate
    if not file:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(Path(file).read_bytes())
    except (OSError, ValueError):
        return None  # tls_context says it
    now = datetime.now(UTC) if now is None else now
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        return f"[server] tls_certificate: {file} has expired on {ends:%Y-%m-%d}; clients will refuse it"
    if now < begins:
        return f"[server] tls_certificate: {file} is valid from {begins:%Y-%m-%d} only; clients will refuse it"
    if (ends - now).days < NEAR_DAYS:
        return f"[server] tls_certificate: {file} expires on {ends:%Y-%m-%d}"
    return None
