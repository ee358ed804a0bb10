"""What a plugin's views are given: who calls, and the server. For `relay_routes`."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from quart import Blueprint, Response, g, request

from relay.http.endpoint import described
from relay.plugin import Server
from relay.protocol.envelope import encode_json
from relay.services.permissions import require_admin
from relay.services.router import ack_payload
from relay.storage.accounts import Identity

__all__ = [
    "Blueprint",
    "Caller",
    "ack_payload",
    "admin",
    "caller",
    "described",
    "nothing",
    "reply",
    "request",
    "server",
]


class Caller(NamedTuple):
    """Who sends by REST: a token's user, with the device that the token or the message names."""

    identity: Identity
    client_id: str | None
    address: str

    @property
    def user_id(self) -> str:
        """The authenticated user."""
        return self.identity.user_id


def caller() -> Caller:
    """Return who calls this view; not for public ones, which have no caller."""
    return cast(Caller, g.caller)


def admin() -> Caller:
    """Return who calls this view, an admin of this server.

    Raises:
        RelayError: `forbidden`.
    """
    found = caller()
    require_admin(found.identity)
    return found


def server() -> Server:
    """Return the server, as the view's plugin may use it."""
    return cast(Server, g.server)


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(encode_json(value), status=status, headers=headers, content_type="application/json")


def nothing() -> Response:
    """Return the answer of what was done and has nothing to tell: 204."""
    response = Response(b"", status=204)
    del response.headers["Content-Type"]
    return response
