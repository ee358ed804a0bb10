"""`jwt_auth`: who shows a signed token (JWT, RFC 7519) of an identity provider comes in as whom it names.

Only the algorithms and the one place of keys that the settings name are ever used: what a token's own header says
of where keys are is not looked at.
"""

import re
from typing import Any

import jwt
import msgspec
from jwt.exceptions import PyJWTError

from relay.plugin import Authenticator, BackgroundTask, Claim, Credentials, Server, hookimpl

from .claims import claim, refused, times
from .keys import Keys
from .options import Options

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_CHECKS: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "enforce_minimum_key_length": True}


async def identify(server: Server, options: Options, keys: Keys, token: str) -> Claim | None:
    """Return whom a token names; None for what is no token of the issuer's.

    Raises:
        RelayError: `forbidden`: it is one, and not good.
    """
    try:
        header = jwt.get_unverified_header(token)
        said = jwt.decode(token, options={"verify_signature": False})
    except (PyJWTError, ValueError, RecursionError):
        return None
    if said.get("iss") != options.issuer:
        return None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in options.algorithms:
        raise refused(f"it is signed by {str(algorithm)[:20]!r}; right is {', '.join(options.algorithms)}")
    key = await keys.find(server, key_id, algorithm)
    try:
        said = jwt.decode(token, key, [algorithm], _CHECKS, audience=options.audience, issuer=options.issuer)
    except (PyJWTError, ValueError, TypeError) as fault:
        raise refused(str(fault)[:200].lower()) from None
    expires_at, issued_at = times(said, server.now(), options.leeway_seconds)
    return claim(said, options, expires_at, issued_at)


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.jwt_auth]` into `Options`."""
    return Options


def keys_of(server: Server, options: Options) -> Keys:
    """Return the keys of a server, the same ones to whoever asks."""
    keys: Keys | None = server.memory.get("keys")
    if keys is None:
        keys = server.memory["keys"] = Keys(options)
    return keys


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Fetch keys where a token needs them."""
    return [BackgroundTask(name="keys", run=lambda server: keys_of(server, options).keep(server))]


@hookimpl
def relay_authenticators(options: Options) -> list[Authenticator]:
    """Let in whom a token of the issuer's names."""
    Keys(options)  # what is wrong with them leaves the plugin out

    async def look(server: Server, credentials: Credentials) -> Claim | None:
        if credentials.token is None or not _SHAPE.fullmatch(credentials.token):
            return None
        return await identify(server, options, keys_of(server, options), credentials.token)

    return [Authenticator(identify=look)]
