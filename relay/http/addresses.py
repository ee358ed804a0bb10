"""Addresses of other servers: URLs, read strictly, and the network addresses that may be called."""

from __future__ import annotations

import ipaddress
import string
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import idna

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NOT_ESCAPED: Final = "".join(set(string.punctuation) - set('"#<>`{}'))

_TUNNELS: Final = tuple(
    map(ipaddress.ip_network, ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
)
"""IPv6 networks whose addresses lead to IPv4 ones that nobody would have checked."""


class Url(NamedTuple):
    """An `http://` or `https://` URL in its parts, all of them ASCII.

    Attributes:
        host: in lower case, without the brackets of an IPv6 address; names of other alphabets in punycode.
        port: None for the scheme's own.
        target: the path and the query, escaped.
        credentials: `user:password`, as Basic authentication has it before its encoding; None without one.
        fragment: the part behind the `#`, which is never sent.
    """

    scheme: str
    host: str
    port: int | None
    target: str
    credentials: str | None = None
    fragment: str = ""

    @property
    def authority(self) -> str:
        """The host and the port, as the `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The scheme and the authority: `https://push.example.org`."""
        return f"{self.scheme}://{self.authority}"

    @property
    def display_host(self) -> str:
        """The host in the letters of its own alphabet."""
        return display_host(self.host)

    @property
    def literal(self) -> Address | None:
        """The address, where the host is one; None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def read_url(url: str) -> Url:
    """Read a URL; nothing is resolved.

    Raises:
        ValueError: saying what is wrong with it.
    """
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("a URL begins with https://HOST or http://HOST")
    if any(character.isspace() for character in url):
        raise ValueError("a URL has no spaces; write %20")
    if parts.port == 0:
        raise ValueError("a port is from 1 to 65535")
    if parts.netloc.partition("]")[2][:1] not in ("", ":"):  # urlsplit drops what follows an IPv6 address
        raise ValueError("only a port may follow an IPv6 address")
    host = parts.hostname
    if not host.isascii():
        # idna and not Python's own codec, which goes by an older standard and would call another host.
        host = idna.encode(host, uts46=True).decode("ascii")
    target = quote(parts.path or "/", safe=_NOT_ESCAPED)
    if parts.query:
        target += f"?{quote(parts.query, safe=_NOT_ESCAPED)}"
    port = None if parts.port == _DEFAULT_PORTS[parts.scheme] else parts.port
    credentials = None
    if parts.username or parts.password:
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return Url(parts.scheme, host, port, target, credentials, parts.fragment)


def display_host(host: str) -> str:
    """Return a host in the letters of its own alphabet: `bücher.example` for `xn--bcher-kva.example`."""
    try:
        return idna.decode(host)
    except UnicodeError:
        return host


def mapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2), or the address itself."""
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the internet at large: neither private, nor a way to a private one."""
    address = mapped(address)
    if any(address in network for network in _TUNNELS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class AddressPolicy(NamedTuple):
    """Addresses that may be called: public ones, and those in networks that an administrator has named.

    Attributes:
        networks: private networks that may be called all the same.
        http_anywhere: whether `http://` is for every address; if not, it is for the named networks only.
    """

    networks: tuple[Network, ...] = ()
    http_anywhere: bool = True

    def refusal(self, scheme: str, host: str, address: Address) -> str | None:
        """Return why an address of a host may not be called; None where it may."""
        address = mapped(address)
        if any(address in network for network in self.networks):
            return None
        if scheme == "http" and not self.http_anywhere:
            return "http:// is for networks that this server's administrator has named only"
        if not is_public(address):
            return f"{host!r} is in a private network, and this server does not call those"
        return None
