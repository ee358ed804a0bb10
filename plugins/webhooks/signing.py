"""Secrets and signatures as Standard Webhooks has them (github.com/standard-webhooks, specification 1.0)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from relay.plugin import ErrorCode, RelayError

PREFIX = "whsec_"
_KEY_BYTES = (24, 64)


def new_secret() -> str:
    """Return a secret that nobody knows yet."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """Return a secret that was brought along, when it can be one.

    Raises:
        RelayError: `invalid_payload`.
    """
    try:
        fits = secret.startswith(PREFIX) and _KEY_BYTES[0] <= len(_key(secret)) <= _KEY_BYTES[1]
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        text = f"a secret is {PREFIX} and the base64 of {_KEY_BYTES[0]} to {_KEY_BYTES[1]} bytes"
        raise RelayError(ErrorCode.INVALID_PAYLOAD, text)
    return secret


def signed_headers(valid: Iterable[str], delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers that tell a receiver what came, when, and that it is genuine.

    Args:
        valid: the secrets; a signature of each is sent, so that a receiver may know either.
        timestamp: Unix seconds of this attempt.
    """
    signatures = " ".join(_sign(secret, delivery_id, timestamp, body) for secret in valid)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures,
    }


def _sign(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    digest = hmac.digest(_key(secret), f"{delivery_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
