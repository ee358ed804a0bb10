"""ID tokens: their signature by the provider's keys, and their claims."""

from collections.abc import Sequence
from typing import Any

import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from .faults import Failed
from .options import Algorithm, Provider

_KINDS: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_TIMES = ("exp", "nbf", "iat")
MOST_KEYS = 100
_LEAST_RSA_BITS = 2048
_SIGNED_OUT = "http://schemas.openid.net/event/backchannel-logout"
_OLDEST = 300.0
"""A logout token is for now; some have no time at which they end."""


class Keys:
    """The public keys of a provider that ID tokens may be signed with; shared secrets are never among them."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self.all = KeySet(list(keys))
        self._ids = {key.kid for key in keys}

    @classmethod
    def read(cls, document: bytes, algorithms: Sequence[Algorithm]) -> "Keys":
        """Read a JSON Web Key Set (RFC 7517); keys of other kinds are passed over.

        Raises:
            ValueError: it is none, or no key in it can be used.
        """
        try:
            listed = msgspec.json.decode(document, type=dict[str, Any])["keys"][:MOST_KEYS]
        except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError) as fault:
            raise ValueError(f"not a JSON Web Key Set: {fault}") from None
        found = [key for one in listed if (key := _usable(one)) is not None]
        if not found:
            raise ValueError(f"no key in it is for {', '.join(algorithms)}")
        return cls(found)

    def has_key_of(self, token: str) -> bool:
        """Tell whether the key that a token names is here; a token that names none is for any key.

        Raises:
            Failed: it is no token.
        """
        try:
            key_id = jws.extract_compact(token.encode()).headers().get("kid")
        except (JoseError, ValueError) as fault:
            raise Failed("sso_bad_answer", f"the ID token is none: {fault}") from None
        return key_id is None or key_id in self._ids


def _usable(listed: Any) -> Any:
    """Return a key of a key set; None for one that signs no ID tokens."""
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig" or "d" in listed:
        return None
    kind = _KINDS.get(str(listed.get("kty")))
    if kind is None:
        return None
    try:
        key = kind.import_key(listed)
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError):
        return None
    return key


def check_id_token(
    token: str,
    keys: Keys,
    provider: Provider,
    *,
    nonce: str,
    access_token: str,
    now: float,
    leeway: float,
) -> dict[str, Any]:
    """Return the claims of an ID token that is valid for this sign-in (OpenID Connect Core 1.0 section 3.1.3.7).

    Args:
        now: Unix seconds.
        leeway: how far the clocks may differ, seconds.

    Raises:
        Failed
    """
    try:
        decoded = jwt.decode(token, keys.all, algorithms=list(provider.algorithms))
    except (JoseError, ValueError, TypeError) as fault:
        raise Failed("sso_bad_answer", f"the ID token is not valid: {_words(fault)}") from None
    options: Any = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": provider.client_id},
        "sub": {"essential": True, "allow_blank": False},
    }
    params = {"nonce": nonce, "client_id": provider.client_id, "access_token": access_token}
    claims = CodeIDToken(decoded.claims, decoded.header, options, params)
    try:
        claims.validate(now=int(now), leeway=int(leeway))
    except ExpiredTokenError:
        raise Failed("sso_clock", "the ID token has expired; do the clocks of both differ?") from None
    except InvalidClaimError as fault:
        reason = "sso_clock" if fault.claim in _TIMES else "sso_bad_answer"
        raise Failed(reason, f"the ID token is not valid: {_words(fault)}") from None
    except (JoseError, ValueError, TypeError) as fault:
        raise Failed("sso_bad_answer", f"the ID token is not valid: {_words(fault)}") from None
    if not isinstance(claims["sub"], str):
        raise Failed("sso_bad_answer", "the ID token is not valid: its sub is no text")
    return dict(claims)


def check_logout_token(token: str, keys: Keys, provider: Provider, *, now: float, leeway: float) -> str:
    """Return the `sub` of a logout token that is valid (OpenID Connect Back-Channel Logout 1.0 section 2.6).

    Args:
        now: Unix seconds.
        leeway: how far the clocks may differ, seconds.

    Raises:
        Failed
    """
    rules = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=int(leeway),
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": provider.client_id},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        claims = jwt.decode(token, keys.all, algorithms=list(provider.algorithms)).claims
        rules.validate(claims)
    except ExpiredTokenError:
        raise Failed("sso_clock", "it has expired; do the clocks of both differ?") from None
    except (JoseError, ValueError, TypeError) as fault:
        raise Failed("sso_bad_answer", _words(fault)) from None
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_SIGNED_OUT), dict):
        raise Failed("sso_bad_answer", f"its events have no {_SIGNED_OUT}")
    if "nonce" in claims:  # an ID token must not pass for one
        raise Failed("sso_bad_answer", "it has a nonce")
    if now - claims["iat"] > _OLDEST + leeway:
        raise Failed("sso_clock", "it was made too long ago; do the clocks of both differ?")
    if not isinstance(claims["sub"], str):
        raise Failed("sso_bad_answer", "its sub is no text")
    return claims["sub"]


def _words(fault: Exception) -> str:
    return str(fault)[:200]
