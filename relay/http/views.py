"""The caller of a view, the server that it may use, and the making of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from quart import Blueprint, Response, g, request

from relay.plugin import Server
from relay.protocol.envelope import encode_json
from relay.services.audit import Actor
from relay.services.envelopes import ack_payload
from relay.services.permissions import require_admin
from relay.storage.accounts import Identity

__all__ = [
    "Blueprint",
    "Caller",
    "Page",
    "Response",
    "ack_payload",
    "admin",
    "authenticate",
    "caller",
    "count_attempt",
    "nothing",
    "page_of",
    "redirect",
    "reply",
    "request",
    "server",
]

Row = TypeVar("Row")
Cursor = TypeVar("Cursor")


class Caller(NamedTuple):
    """The sender of a request: the user of its token, with the device that the token or the message names.

    Attributes:
        agent: how the caller's program names itself, by the header `User-Agent`.
    """

    identity: Identity
    client_id: str | None
    address: str
    agent: str = ""

    @property
    def user_id(self) -> str:
        """The authenticated user."""
        return self.identity.user_id

    @property
    def actor(self) -> Actor:
        """The caller as the audit log names who acts."""
        return Actor.of(self.identity, "rest", self.address, self.client_id or self.agent)


def caller() -> Caller:
    """Return the caller of this view; one without a token has none."""
    return cast(Caller, g.caller)


def admin() -> Caller:
    """Return the caller of this view, an admin of this server.

    Raises:
        RelayError: `forbidden`.
    """
    found = caller()
    require_admin(found.identity)
    return found


async def authenticate() -> Caller:
    """Return the caller of a view whose access is "either".

    Raises:
        Disconnect: 4501 when the token is missing, wrong or expired, 4502 when the account is disabled.
    """
    return cast(Caller, await g.authenticate())


def count_attempt() -> str:
    """Count an attempt to sign in, by the network that it comes from, and return the caller's address.

    For a view that is open to everybody: `[limits] logins_per_minute` bounds it, together with logins by a
    password.

    Raises:
        RelayError: `rate_limited`.
    """
    return cast(str, g.count_attempt())


def server() -> Server:
    """Return the server, as the view's plugin may use it."""
    return cast(Server, g.server)


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(encode_json(value), status=status, headers=headers, content_type="application/json")


def nothing() -> Response:
    """Return the answer without a body: 204."""
    response = Response(b"", status=204)
    del response.headers["Content-Type"]
    return response


def redirect(location: str) -> Response:
    """Return the answer that leads a browser elsewhere, by GET: 303.

    Args:
        location: relative to the view, or a whole address; never one that a request brought.
    """
    return Response(b"", status=303, headers={"Location": location})


class Page(NamedTuple, Generic[Row, Cursor]):
    """One page of a list; `next_cursor` is None on the last page."""

    rows: list[Row]
    has_more: bool
    next_cursor: Cursor | None


def page_of(rows: list[Row], limit: int, cursor_of: Callable[[Row], Cursor]) -> Page[Row, Cursor]:
    """Return the first `limit` of some rows as a page; a row beyond them means that there is another page.

    Args:
        cursor_of: makes the cursor of the next page from the last row of this one.
    """
    page, has_more = rows[:limit], len(rows) > limit
    return Page(page, has_more, cursor_of(page[-1]) if has_more else None)
