"""Which places this server calls for its users: public ones, and private ones that its administrator named."""

import fnmatch
import ipaddress
from urllib.parse import urlsplit

import httpx

from relay.http import Address, is_public, mapped

from .options import Options

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refused(Exception):
    """A place that this server does not call; its text is for whoever named it."""


class Places:
    """What `allow_hosts` and `allow_networks` leave."""

    def __init__(self, options: Options) -> None:
        self._hosts = [pattern.lower() for pattern in options.allow_hosts]
        self._networks: list[Network] = [ipaddress.ip_network(network) for network in options.allow_networks]

    def check_url(self, url: str) -> httpx.URL:
        """Return a URL that users may name, as far as that shows without resolving its host.

        Raises:
            Refused: saying what would be right.
        """
        try:
            read = httpx.URL(url)
            urlsplit(url)  # reads strictly what httpx takes for a name, such as https://a[b
        except (httpx.InvalidURL, ValueError):
            raise Refused(f"{url[:80]!r} is no URL") from None
        if read.port is not None and not 0 < read.port < 65_536:
            raise Refused(f"{url[:80]!r} is no URL: a port is from 1 to 65535")
        plain = read.scheme == "http" and bool(self._networks)
        if (read.scheme != "https" and not plain) or not read.host:
            raise Refused("the URL begins with https://, and with http:// only in networks of this server's own")
        if any(map(str.isspace, url)):
            raise Refused("the URL has a space in it; in a URL that is written %20")
        if read.userinfo or read.fragment:
            raise Refused("the URL has no user, password or fragment; a token has a field of its own")
        if not any(fnmatch.fnmatchcase(read.host.lower(), pattern) for pattern in self._hosts):
            raise Refused(f"this server does not call {read.host!r}; its administrator says which hosts it may")
        try:
            address = ipaddress.ip_address(read.host)
        except ValueError:
            return read
        self.check_address(address, read)
        return read

    def check_address(self, address: Address, url: httpx.URL) -> None:
        """Refuse an address that a URL leads to, unless it is public or named.

        Raises:
            Refused: it is private, or reached without TLS and not named.
        """
        address = mapped(address)
        if any(address in network for network in self._networks):
            return
        if url.scheme == "http":
            raise Refused("http:// is for networks that this server's administrator has named only")
        if not is_public(address):
            raise Refused(f"{url.host!r} is in a private network, and this server does not call those")
