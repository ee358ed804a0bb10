"""Time-based one-time codes (RFC 6238): six digits, thirty seconds, SHA-1, as every authenticator app has them.

Written here, as it is a dozen lines of `hmac`, and a code that is good once needs the step that it belongs to,
which libraries do not tell.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
from typing import Final
from urllib.parse import quote, urlencode

SECONDS: Final = 30
DIGITS: Final = 6
_SECRET_BYTES: Final = 20
_WINDOW: Final = 1
"""Steps before and after the present one whose codes are taken: clocks differ, and people need time to type."""


def new_secret() -> bytes:
    """Return a new secret."""
    return secrets.token_bytes(_SECRET_BYTES)


def code_of(secret: bytes, step: int, *, digits: int = DIGITS, digest: str = "sha1") -> str:
    """Return the code of one step: RFC 4226 section 5.3, whose counter RFC 6238 makes of the time."""
    mac = hmac.digest(secret, struct.pack(">Q", step), digest)
    offset = mac[-1] & 0x0F
    (number,) = struct.unpack_from(">I", mac, offset)
    return str((number & 0x7FFF_FFFF) % 10**digits).zfill(digits)


def step_of(secret: bytes, code: str, now: float) -> int | None:
    """Return the step near `now`, Unix seconds, whose code this is; None for a wrong code."""
    present = int(now // SECONDS)
    found = None
    for step in range(present - _WINDOW, present + _WINDOW + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            found = step
    return found


def shown(secret: bytes) -> str:
    """Return a secret as apps take it when it is typed: base32."""
    return base64.b32encode(secret).decode()


def link_of(secret: bytes, user_id: str, issuer: str) -> str:
    """Return the `otpauth` link of a secret, which apps read from its QR code."""
    query = urlencode({"secret": shown(secret), "issuer": issuer, "digits": DIGITS, "period": SECONDS})
    return f"otpauth://totp/{quote(issuer)}:{quote(user_id)}?{query}"
