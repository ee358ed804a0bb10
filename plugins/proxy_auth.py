"""`proxy_auth`: logs in users whom a trusted reverse proxy has authenticated and names in a header."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from relay.http import origin_allowed
from relay.plugin import Authenticator, Claim, Credentials, ErrorCode, RelayError, Server, check_name, hookimpl

Header = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$(?!\n)")]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[plugins.proxy_auth]`.

    Attributes:
        networks: networks of the proxies that are trusted; `[server] trusted_proxies` does not count here.
        user_header, name_header: the headers with the user id, and with the display name for a new user.
        create_users: create users who do not exist yet.
    """

    networks: Annotated[list[str], Meta(min_length=1, max_length=100)]
    user_header: Header = "Remote-User"
    name_header: Header = "Remote-Name"
    create_users: bool = True

    def __post_init__(self) -> None:
        for network in self.networks:
            if ipaddress.ip_network(network).prefixlen == 0:
                raise ValueError(f"networks has {network}, which is everybody: anybody could be anybody")

    def believes(self, address: str) -> bool:
        """Return whether an address belongs to a trusted proxy."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in ipaddress.ip_network(network) for network in self.networks)


def check_page(headers: Mapping[str, str], allowed_origins: Sequence[str]) -> None:
    """Check that a request was not made by a page of another origin.

    The proxy knows its users by a cookie. A browser adds it to requests of every page of the same site, and an
    older browser to requests of any page at all. A browser names the requesting page by Sec-Fetch-Site, an older
    one by Origin or Referer; other programs send none of them.

    Raises:
        RelayError: `forbidden`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none"):
        return
    if origin is None and site is None and "referer" in headers:
        origin = _origin_of(headers["referer"])
    own = origin is not None and origin_allowed(origin, headers.get("host", ""), allowed_origins)
    if site == "cross-site" or (not own and (site, origin) != (None, None)):
        raise RelayError(
            ErrorCode.FORBIDDEN, "a page of another origin asked for this; add it to [server] allowed_origins"
        )


def _origin_of(url: str) -> str:
    """Return the origin of a page's URL; "null", which matches nothing, if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}"


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.proxy_auth]`, read into `Options`."""
    return Options


@hookimpl
def relay_authenticators(options: Options) -> list[Authenticator]:
    """Add the authenticator; credentials with a token are left to the others."""

    def look(server: Server, credentials: Credentials) -> Claim | None:
        user_id = credentials.headers.get(options.user_header.lower())
        if not user_id or credentials.token is not None or not options.believes(credentials.peer):
            return None
        check_page(credentials.headers, server.settings.server.allowed_origins)
        try:
            check_name(user_id, "user id")
        except RelayError as error:
            raise RelayError(ErrorCode.FORBIDDEN, f"{options.user_header}: {error.message}") from None
        name = credentials.headers.get(options.name_header.lower(), "").strip()[:100]
        return Claim(user_id, display_name=name or None, create=options.create_users)

    return [Authenticator(identify=look)]
