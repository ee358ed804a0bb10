"""The kinds of value a setting can have, each with the bounds most of its settings share.

A setting's own `Meta` comes after its kind's and narrows it. Three rules that msgspec does not know are in
`Meta.extra`: `least` (the smallest value besides 0, which means "no limit"), `path` (resolved against the
folder of the file that names it) and `each` (a check of a text, or of one entry of a list, raising `ValueError`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from msgspec import Meta

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_ADDRESS = re.compile(r"https?://[^\s?#/]+(?:/[^\s?#]*)?")
_DOMAIN = re.compile(r"[^\s@A-Z.]+(?:\.[^\s@A-Z.]+)*")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_origin(text: str) -> None:
    """Check that a text has the form of a browser's `Origin`: scheme, host and port in lower case, without a path.

    Raises:
        ValueError: the text has another form.
    """
    found = _ORIGIN.fullmatch(text)
    if "*" in text:
        raise ValueError("an origin is a whole one, without *; list each, such as https://chat.example.org")
    if not found:
        raise ValueError(
            "an origin is written https://chat.example.org, in lower case and without a path; a name in other "
            "letters as browsers send it, xn--…"
        )
    scheme, host, port = found.groups()
    if port is not None and (port == _DEFAULT_PORTS.get(scheme) or not 0 < int(port) < 65_536 or port[0] == "0"):
        raise ValueError(f"browsers leave out a default port, and others are from 1 to 65535: {scheme}://{host}")
    if host.startswith("["):
        _check_ipv6(host[1:-1])


def _check_ipv6(text: str) -> None:
    try:
        shortest = str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise ValueError(f"{error}; an origin of an IPv6 address is written http://[::1]:8080") from None
    if shortest != text:
        raise ValueError(f"browsers write this address [{shortest}]")


def check_address(text: str) -> None:
    """Check that a text is the address of a page, or empty.

    Raises:
        ValueError: the text is neither.
    """
    if text and not _ADDRESS.fullmatch(text):
        raise ValueError("an address is written https://chat.example.org, with or without a path, no ? and #")


def check_network(text: str) -> None:
    """Check that a text is one address or one network in CIDR form, of IPv4 or IPv6.

    Raises:
        ValueError: the text is neither, or the network has host bits set.
    """
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; a network is written 10.0.0.0/8, a single address 10.0.0.1") from None


def check_domain(text: str) -> None:
    """Check that a text is the domain of mail addresses, in lower case.

    Raises:
        ValueError: the text is none.
    """
    if not _DOMAIN.fullmatch(text):
        raise ValueError("a domain is written example.org, in lower case, without @")


def check_name(text: str) -> None:
    """Check that a text is not blank.

    Raises:
        ValueError: the text is empty or only white space.
    """
    if not text.strip():
        raise ValueError("an entry of this list is never empty")


Text = Annotated[str, Meta(min_length=1, max_length=255)]
FilePath = Annotated[str, Meta(max_length=4096, extra={"path": True})]
Address = Annotated[str, Meta(max_length=255, extra={"each": check_address})]
Names = Annotated[list[str], Meta(max_length=1000, extra={"each": check_name})]
Paths = Annotated[list[str], Meta(max_length=100, extra={"each": check_name, "path": True})]
Origins = Annotated[list[str], Meta(max_length=1000, extra={"each": check_origin})]
Domains = Annotated[list[str], Meta(max_length=1000, extra={"each": check_domain})]
Networks = Annotated[list[str], Meta(max_length=1000, extra={"each": check_network})]

# The lower bound is far below any sensible value on purpose: somebody who tries out the deadlines should not have
# to wait for them.
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]

Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]
ByteLimit = Annotated[int, Meta(ge=0, le=1_073_741_824, extra={"least": 1024})]
