"""The settings `[plugins.oidc]`, checked strictly: most mistakes here would let anybody in, or nobody."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from relay.http import AddressPolicy

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Role = Literal["admin", "moderator", "member", "guest"]
RANKS: tuple[Role, ...] = ("admin", "moderator", "member", "guest")
"""The server roles that a group may give, the highest first."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LONGEST_SECRET = 4096


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.oidc.providers.NAME]`; docs/operate/single-sign-on.md describes each key."""

    issuer: Text
    client_id: Text
    client_secret_file: Text | None = None
    title: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    scopes: Annotated[list[Text], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["openid", "profile", "email"]
    )
    algorithms: Annotated[list[Algorithm], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: list(get_args(Algorithm))
    )
    user_claim: Text = "preferred_username"
    name_claim: Text | None = "name"
    groups_claim: Text | None = None
    roles: dict[str, Role] = {}
    allow_registration: bool = True
    link: Literal["ask", "email-verified", "never"] = "ask"
    logout: bool = False

    def __post_init__(self) -> None:
        if "openid" not in self.scopes:
            raise ValueError("scopes has openid among them: without it the provider tells nobody who somebody is")
        if (self.groups_claim is None) != (not self.roles):
            raise ValueError("groups_claim and roles go together: who is in which group has which role")
        if urlsplit(self.issuer).query or "#" in self.issuer:
            raise ValueError("issuer has no ? and no #; it is what the provider's own pages call its issuer")

    @property
    def is_plain(self) -> bool:
        """Whether it is called without TLS."""
        return self.issuer.startswith("http://")

    def secret(self) -> str | None:
        """Return the client's secret from its file; None where there is none.

        Raises:
            ValueError: the file cannot be read, or is no secret.
        """
        if self.client_secret_file is None:
            return None
        try:
            text = Path(self.client_secret_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as fault:
            words = getattr(fault, "strerror", None) or fault
            raise ValueError(f"client_secret_file: {self.client_secret_file}: {words}") from None
        if not 0 < len(text) <= _LONGEST_SECRET or not text.isprintable():
            raise ValueError(f"client_secret_file: {self.client_secret_file} has one line, the client's secret")
        return text


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.oidc]`; docs/operate/single-sign-on.md describes each key."""

    providers: dict[str, Provider]
    allow_networks: list[str] = []
    leeway_seconds: Annotated[float, Meta(ge=0, le=300)] = 30

    def __post_init__(self) -> None:
        if not self.providers:
            raise ValueError("providers is empty: name one, as [plugins.oidc.providers.keycloak]")
        for network in self.allow_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_networks: {error}; right is 10.0.0.0/8, or fd00::/8") from None
        for name, provider in self.providers.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"providers: the name {name!r} has other letters than a-z, 0-9, _ and -")
            if problem := self._address_problem(provider):
                raise ValueError(f"providers.{name}: {problem}")

    def _address_problem(self, provider: Provider) -> str | None:
        """Return what is wrong with a provider's issuer; None where it may be called."""
        parts = urlsplit(provider.issuer)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return f"issuer is {provider.issuer!r:.200}; it begins with https://"
        if parts.scheme == "http" and not self.allow_networks:
            return "issuer begins with https://, and with http:// only in networks that allow_networks names"
        return None

    @property
    def policy(self) -> AddressPolicy:
        """The addresses that may be called."""
        return AddressPolicy(tuple(map(ipaddress.ip_network, self.allow_networks)), http_anywhere=False)
