"""Keys and tokens as NATS' own tools make them: an operator, one of its accounts, and a user's credentials."""

from __future__ import annotations

import base64
import time
from binascii import crc_hqx
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED: Final = 18 << 3
_KINDS: Final = {"operator": 14 << 3, "account": 0, "user": 20 << 3}


class Credentials(NamedTuple):
    """What a server and a client of an operator have.

    Attributes:
        config: lines of the server's configuration.
        file: the text of the user's file.
        seed: the secret in it.
    """

    config: str
    file: str
    seed: str


def make_credentials() -> Credentials:
    """Make an operator with an account with a user."""
    operator, account, user = (_Key(kind) for kind in _KINDS)
    unlimited = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
    by_operator = operator.token(operator, {})
    of_account = operator.token(account, {"limits": {**unlimited, "wildcards": True}})
    of_user = account.token(user, {"subs": -1, "data": -1, "payload": -1})
    return Credentials(
        f"operator: {by_operator}\nresolver: MEMORY\nresolver_preload: {{ {account.public}: {of_account} }}",
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\nNKEY Seed printed below.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n",
        user.seed,
    )


class _Key:
    def __init__(self, kind: str) -> None:
        self._key = Ed25519PrivateKey.generate()
        prefix = _KINDS[kind]
        self.kind = kind
        self.public = _encode(bytes([prefix]) + self._key.public_key().public_bytes_raw())
        self.seed = _encode(bytes([_SEED | prefix >> 5, (prefix & 31) << 3]) + self._key.private_bytes_raw())

    def token(self, of: _Key, claims: dict[str, Any]) -> str:
        """Return what this key says of another one."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        nats = {**claims, "type": of.kind, "version": 2}
        body = {"iat": int(time.time()), "iss": self.public, "name": of.kind, "sub": of.public, "nats": nats}
        text = f"{_web(msgspec.json.encode(head))}.{_web(msgspec.json.encode(body))}"
        return f"{text}.{_web(self._key.sign(text.encode()))}"


def _encode(data: bytes) -> str:
    return base64.b32encode(data + crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def _web(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
