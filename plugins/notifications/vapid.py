"""Web Push: payloads that only the browser can read (RFC 8291), and the server's identity (VAPID, RFC 8292)."""

import base64
import os
import re
import secrets
import sqlite3
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

RECORD_BYTES = 4096
"""The record size that is declared; every payload here is one record (RFC 8291, section 4)."""

PADDED_TO = 512
"""Payloads are padded to multiples of so many bytes, so that their length tells little."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*=*")

VALID_SECONDS = 12 * 3600
"""How long a signed claim is valid; services refuse more than 24 hours."""


def encode(raw: bytes) -> str:
    """Return bytes as base64url without padding, as Web Push has them."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of base64url, with or without padding.

    Raises:
        ValueError: it is not base64url.
    """
    if not _BASE64URL.fullmatch(text):
        raise ValueError("it has characters that base64url has not")
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def make_key() -> bytes:
    """Return a new private key of P-256, 32 bytes."""
    return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")


def make_keys(connection: sqlite3.Connection) -> None:
    """Create the key that push services know this server by, and the secret that names notifications."""
    connection.executemany(
        "INSERT OR REPLACE INTO notifications_state VALUES (?, ?)",
        (("vapid", make_key()), ("secret", secrets.token_bytes(32))),
    )


def read_key(connection: sqlite3.Connection, name: str) -> bytes:
    """Return the key `vapid` or `secret`."""
    found = connection.execute("SELECT value FROM notifications_state WHERE name = ?", (name,)).fetchone()
    key: bytes = found[0]
    return key


def load_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key that `make_key` made."""
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key's public half as an uncompressed point, 65 bytes."""
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def load_point(raw: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of an uncompressed point.

    Raises:
        ValueError: it is not a point of P-256.
    """
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)


def encrypt(
    plaintext: bytes,
    browser: bytes,
    auth: bytes,
    *,
    salt: bytes | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    padded_to: int = PADDED_TO,
) -> bytes:
    """Return a push message's body in the content encoding `aes128gcm`.

    Args:
        browser: the subscription's p256dh, 65 bytes.
        auth: its authentication secret, 16 bytes.
        salt, key: 16 bytes, and the one-time key of this message; None for new ones.
    """
    salt = os.urandom(16) if salt is None else salt
    key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
    ours = public_bytes(key)
    shared = key.exchange(ec.ECDH(), load_point(browser))
    keying = _derive(shared, auth, b"WebPush: info\0" + browser + ours, 32)
    content_key = _derive(keying, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(keying, salt, b"Content-Encoding: nonce\0", 12)
    marked = plaintext + b"\x02"  # the last record's mark; zeros follow it
    padded = marked + bytes(-len(marked) % padded_to)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(ours)]) + ours
    return header + AESGCM(content_key).encrypt(nonce, padded, None)


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def authorization(key: ec.EllipticCurvePrivateKey, origin: str, now: float, contact: str | None) -> str:
    """Return the `Authorization` header for a push service.

    Args:
        origin: of the endpoint, as `https://push.example.org`.
        now: Unix seconds.
        contact: whom the operator of the service may write to; some services require it.
    """
    claims: dict[str, Any] = {"aud": origin, "exp": int(now) + VALID_SECONDS}
    if contact is not None:
        claims["sub"] = contact
    head, body = (encode(msgspec.json.encode(part)) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
    signed = f"{head}.{body}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    signature = encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return f"vapid t={signed}.{signature}, k={encode(public_bytes(key))}"
