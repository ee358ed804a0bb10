"""Origins of pages (RFC 6454) that may connect."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


def origin_allowed(origin: str, host: str, allowed: Sequence[str]) -> bool:
    """Tell whether a page of `origin` may connect: the server's own pages, and those of listed origins."""
    origin = origin.lower()
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(parts.scheme)
    if default is None or not parts.netloc or parts.path or parts.query or parts.fragment:
        return False
    own = host.lower()
    return parts.netloc == own or parts.netloc.removesuffix(default) == own.removesuffix(default)
