"""The settings `[plugins.jwt_auth]`, checked strictly: most mistakes here would let anybody in."""

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.jwt_auth]`; docs/plugins/jwt_auth.md describes each of them."""

    issuer: Text
    audience: Text
    algorithms: Annotated[list[Algorithm], Meta(min_length=1)]
    secret: str | None = None
    secret_path: Text | None = None
    key_path: Text | None = None
    jwks_path: Text | None = None
    jwks_url: Text | None = None
    refresh_minutes: Annotated[float, Meta(ge=1, le=100_000)] = 60
    keep_minutes: Annotated[float, Meta(ge=1, le=1_000_000)] = 1440
    leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 10
    user_claim: Text = "sub"
    name_claim: Text | None = "name"
    scope_claim: Text | None = "scope"
    scope_prefix: Text = "relay:"
    admin_claim: Text | None = None
    admin_values: list[Text] = []
    create_users: bool = True

    def __post_init__(self) -> None:
        places = ("secret", "secret_path", "key_path", "jwks_path", "jwks_url")
        named = [name for name in places if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"name one place of keys, of {', '.join(places)}; this names {len(named)}")
        shared = "HS256" in self.algorithms
        if shared and len(self.algorithms) > 1:
            raise ValueError("HS256 stands alone: with others, a public key could be used as its secret")
        if shared != (named[0] in ("secret", "secret_path")):
            raise ValueError("HS256 takes secret or secret_path; the others take key_path, jwks_path or jwks_url")
        if self.jwks_url is not None and not _is_safe(self.jwks_url):
            raise ValueError("jwks_url begins with https://, or with http:// on this machine")
        if (self.admin_claim is None) != (not self.admin_values):
            raise ValueError("admin_claim and admin_values go together")


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        local = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = False
    return parts.scheme == "http" and local
