"""Addresses to listen on, as a URL has them."""

from typing import Final

_OWN: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - told, not bound
"""Where a server that listens everywhere is reached from its own machine."""


def in_url(address: str) -> str:
    """Return a host as a URL has it (RFC 3986 section 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def reachable(address: str) -> str:
    """Return, as a URL has it, what a client on the server's machine can reach an address to listen on by."""
    return in_url(_OWN.get(address, address))
