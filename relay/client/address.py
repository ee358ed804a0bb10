"""The address of a server, as the WebSocket and as REST need it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


@dataclass(frozen=True, slots=True)
class Address:
    """One server; `path` is the prefix a reverse proxy put before relay's own paths."""

    host: str
    port: int
    secure: bool
    path: str

    @property
    def authority(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The address that the paths of REST calls are appended to."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"

    @property
    def socket_path(self) -> str:
        """The path of the WebSocket endpoint."""
        return f"{self.path}/ws"


def parse(url: str) -> Address:
    """Return the address that `http(s)://…` or `ws(s)://…` names, with or without the endpoint's `/ws`.

    Raises:
        ValueError: It has another scheme, no host, credentials, or a query: no secret belongs in an address.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SECURE or not parts.hostname:
        raise ValueError(f"{url!r} is not a server address: use http(s)://host:port or ws(s)://host:port")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ValueError("a server address takes no user, password, query or fragment: pass the token on its own")
    secure = _SECURE[parts.scheme]
    path = parts.path.rstrip("/").removesuffix("/ws")
    return Address(parts.hostname, parts.port or (443 if secure else 80), secure, path)
