"""`proxy_auth`: a proxy that has asked who somebody is says so in a header, and one's own is believed."""

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
        networks: of the proxies that are believed; none but these, whatever `[server] trusted_proxies` says.
        user_header, name_header: what has the user id, and the display name of one who is created.
        create_users: whether somebody who was never here becomes a user.
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
        """Tell whether an address is one of the proxies'."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in ipaddress.ip_network(network) for network in self.networks)


def check_page(headers: Mapping[str, str], allowed_origins: Sequence[str]) -> None:
    """Refuse what another's page made a browser ask for.

    The proxy knows its users by a cookie, which a browser adds to what any page of the same site asks for, and an
    older browser to what any page at all does. A browser says who asks by Sec-Fetch-Site, by the Origin where that
    is not known, and by the Referer where neither is; what is no browser says none of them.

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
    """Return the origin of a page's address; "null", which is nobody's, where it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}"


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.proxy_auth]` into `Options`."""
    return Options


@hookimpl
def relay_authenticators(options: Options) -> list[Authenticator]:
    """Let in whom a trusted proxy names; who shows a token is somebody else's to judge."""

    def look(server: Server, credentials: Credentials) -> Claim | None:
        user_id = credentials.headers.get(options.user_header.lower())
        if not user_id or credentials.token is not None or not options.believes(credentials.peer):
            return None
        check_page(credentials.headers, server.services.settings.server.allowed_origins)
        try:
            check_name(user_id, "user id")
        except RelayError as error:
            raise RelayError(ErrorCode.FORBIDDEN, f"{options.user_header}: {error.message}") from None
        name = credentials.headers.get(options.name_header.lower(), "").strip()[:100]
        return Claim(user_id, display_name=name or None, create=options.create_users)

    return [Authenticator(identify=look)]
