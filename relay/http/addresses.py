"""For plugins that call other servers: which addresses are public, and what an answer or a failure says."""

from __future__ import annotations

import ipaddress
from email.utils import parsedate_to_datetime
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TUNNELS: Final = tuple(
    map(ipaddress.ip_network, ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
)
"""IPv6 networks whose addresses lead to IPv4 ones that nobody would have checked."""

_LONGEST_WORDS: Final = 300


def mapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2), or the address itself."""
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the internet at large: neither private, nor a way to a private one."""
    address = mapped(address)
    if any(address in network for network in _TUNNELS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After asks for, in either of its forms (RFC 9110 section 10.2.3).

    Args:
        now: Unix seconds.

    Returns:
        None where it asks for nothing that can be read; never less than 0.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def words_of(error: BaseException | None) -> str:
    """Return what an error says, or else what is behind it does: those of HTTP libraries are often silent."""
    cause = error
    while cause is not None:
        if str(cause):
            return str(cause)[:_LONGEST_WORDS]
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
