"""A node's proof to NATS of who it is: a name and a password, or a file of credentials; and TLS.

The files are read anew at each connection, as secrets are changed while servers run. nats-py reads credentials by
itself only with one more package; signing the server's nonce takes a dozen lines with one that relay has anyway.
"""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.protocol.errors import said
from relay.settings.cluster import ClusterSettings

_PART: Final = re.compile(r"-{3,}\s*BEGIN ([A-Z ]+?)\s*-{3,}\s+(\S+)\s+-{3,}")
_IDENTITY: Final = "NATS USER JWT"
_SEED: Final = "USER NKEY SEED"
_SEED_BYTES: Final = slice(2, 34)
"""Where the seed is in the bytes of a key: behind what kind of key it is, and before a checksum."""


class LoginFailed(Exception):
    """A file that a login takes cannot be read, or does not hold what it should; the text names it."""


class Login:
    """The words of one connection about this node, to one server.

    Args:
        server: its URL; one of tls:// gets nothing before the connection is encrypted.
    """

    def __init__(self, settings: ClusterSettings, server: str) -> None:
        self._settings = settings
        self._server = server
        self._encryption: _Encryption | None = None

    def arguments(self) -> dict[str, Any]:
        """Return nats-py's arguments.

        Raises:
            LoginFailed: a file is not there, or holds something else.
        """
        settings = self._settings
        if self._server.startswith("tls://"):
            self._encryption = _encryption(settings)
        found: dict[str, Any] = {"tls": self._encryption}
        if settings.credentials:
            identity, key = read_credentials(settings.credentials)

            def sign(nonce: str) -> bytes:
                self.check_encrypted()
                return base64.b64encode(key.sign(nonce.encode()))

            found |= {"user_jwt_cb": identity.encode, "signature_cb": sign}
        elif settings.user:
            lines = _read(settings.password_file).splitlines()

            def tell() -> str:
                self.check_encrypted()
                return lines[0] if lines else ""

            found |= {"user": settings.user, "password": tell}
        return found

    def check_encrypted(self) -> None:
        """Check that a connection that should be encrypted is; nats-py leaves that to the server.

        Raises:
            LoginFailed: it is not.
        """
        if self._encryption is not None and not self._encryption.is_used:
            raise LoginFailed(f"{self._server} speaks no TLS: nats:// is for such a server")


class _Encryption(ssl.SSLContext):
    """A context that knows whether a connection was encrypted by it."""

    is_used = False

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        self.is_used = True
        return super().wrap_bio(*args, **more)


def _encryption(settings: ClusterSettings) -> _Encryption:
    context = _Encryption(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
        else:
            context.load_default_certs()
        if settings.tls_certificate:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        files = " ".join(filter(None, (settings.tls_ca, settings.tls_certificate, settings.tls_key)))
        raise LoginFailed(f"TLS to NATS: {files}: {said(error)}") from error
    return context


def read_credentials(path: str) -> tuple[str, Ed25519PrivateKey]:
    """Return the token and the key of a file of credentials, as nsc makes it.

    Raises:
        LoginFailed: it is no such file.
    """
    parts = dict(_PART.findall(_read(path)))
    if not parts.keys() >= {_IDENTITY, _SEED}:
        raise LoginFailed(f"{path} has no {_IDENTITY} and {_SEED}; nsc generate creds makes such a file")
    seed = parts[_SEED]
    try:
        key = base64.b32decode(seed + "=" * (-len(seed) % 8))[_SEED_BYTES]
        return parts[_IDENTITY], Ed25519PrivateKey.from_private_bytes(key)
    except ValueError as error:
        raise LoginFailed(f"the {_SEED} of {path} is none") from error


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LoginFailed(f"{path} cannot be read: {said(error)}") from error
