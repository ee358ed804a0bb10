"""Hosts of URLs: how the address that a server listens on is written in one, and reached."""

from typing import Final

_LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - shown, not bound
"""The address at which a server that listens everywhere is reached from its own machine."""


def in_url(address: str) -> str:
    """Return an address as the host of a URL (RFC 3986 section 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def reachable(address: str) -> str:
    """Return the host of a URL that a client on the same machine reaches a server's listening address by."""
    return in_url(_LOOPBACK.get(address, address))
